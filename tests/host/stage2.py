# SPDX-License-Identifier: GPL-2.0-or-later
"""Which memory type a guest's access has on arm64.

A guest chooses a type in its own tables (stage 1), KVM has one in those it
keeps for the guest (stage 2), and the architecture makes one of both.  The
rules are the Arm Architecture Reference Manual's, "Combining stage 1 and
stage 2 memory type attributes" (D8.6); CHECKS has their table, row by row.
"""

import glob
import re

# From the weakest to the strongest
DEVICES = ["Device-GRE", "Device-nGRE", "Device-nGnRE", "Device-nGnRnE"]

# What a Linux guest makes of the type that it is told (virtgpu_vram.c, and
# arch/arm64/include/asm/pgtable.h): cached, uncached, write-combined
STAGE1 = {1: "WB", 2: "Device-nGnRnE", 3: "NC"}


def device(bits):
    """The device type that the lower two bits of MemAttr name."""
    return DEVICES[3 - bits]


def stronger(a, b):
    """Of two types without FWB: Device before Normal, the stricter Device
    before the other, Non-cacheable before Write-Back."""
    order = ["WB", "NC"] + DEVICES
    return max(a, b, key=order.index)


def combine(fwb, stage1, memattr):
    """The type of an access.  MemAttr is what KVM put into the entry."""
    if not memattr & 0xC:
        return stronger(stage1, device(memattr))
    if fwb:
        return {0x5: stronger(stage1, "NC"), 0x6: "WB", 0x7: stage1}[memattr]
    return stronger(stage1, {0x5: "NC", 0xF: "WB"}[memattr])


# FWB, stage 1, MemAttr, the result
CHECKS = [
    (False, "WB", 0xF, "WB"),
    (False, "NC", 0xF, "NC"),
    (False, "Device-nGnRnE", 0xF, "Device-nGnRnE"),
    (False, "WB", 0x5, "NC"),
    (False, "NC", 0x5, "NC"),
    (False, "Device-nGnRnE", 0x5, "Device-nGnRnE"),
    (False, "WB", 0x1, "Device-nGnRE"),
    (False, "NC", 0x1, "Device-nGnRE"),
    (False, "Device-nGnRnE", 0x1, "Device-nGnRnE"),
    (False, "Device-nGnRE", 0x0, "Device-nGnRnE"),
    (False, "WB", 0x2, "Device-nGRE"),
    (False, "WB", 0x3, "Device-GRE"),
    (True, "WB", 0x6, "WB"),
    (True, "NC", 0x6, "WB"),
    (True, "Device-nGnRnE", 0x6, "WB"),
    (True, "WB", 0x5, "NC"),
    (True, "NC", 0x5, "NC"),
    (True, "Device-nGnRnE", 0x5, "Device-nGnRnE"),
    (True, "WB", 0x1, "Device-nGnRE"),
    (True, "NC", 0x1, "Device-nGnRE"),
    (True, "Device-nGnRnE", 0x1, "Device-nGnRnE"),
    (True, "WB", 0x7, "WB"),
    (True, "NC", 0x7, "NC"),
    (True, "Device-nGnRnE", 0x7, "Device-nGnRnE"),
]

# Encodings that no hypervisor may use, and that no row explains
RESERVED = [(False, 0x4), (False, 0x8), (False, 0xC), (True, 0x4)]


def check_rules(tally):
    for fwb, stage1, memattr, result in CHECKS:
        tally.equal(combine(fwb, stage1, memattr), result,
                    "rules: %s over MemAttr %#x, %s FWB" %
                    (stage1, memattr, "with" if fwb else "without"))
    for fwb, memattr in RESERVED:
        try:
            result = combine(fwb, "WB", memattr)
        except KeyError:
            result = None
        tally.equal(result, None, "rules: MemAttr %#x is reserved" % memattr)


LINE = re.compile(r"0x([0-9a-f]+)-0x([0-9a-f]+)\s+\d+[KMGTPE]\s+(\d)\s(.*)")


class Entry:
    """A page's entry: its MemAttr, if the guest may write, and if it is one
    of a block."""

    def __init__(self, level, text):
        self.level = level
        self.memattr = int(re.search(r"MemAttr=0x([0-9a-f])", text)[1], 16)
        self.writable = " W " in " " + text + " "
        self.block = "BLK" in text


class Tables:
    """The stage-2 tables of the one VM of a process."""

    def __init__(self, pid, page_size):
        self.page_size = page_size
        pattern = "/sys/kernel/debug/kvm/%d-*/stage2_page_tables" % pid
        self.path, = glob.glob(pattern)

    def read(self):
        with open(self.path) as f:
            self.text = f.read()
        self.ranges = []
        for line in self.text.splitlines():
            found = LINE.match(line)
            if found and "MemAttr" in found[4]:
                self.ranges.append((int(found[1], 16), int(found[2], 16),
                                    Entry(int(found[3]), found[4])))

    def entry(self, addr):
        """None where no page is."""
        for start, end, entry in self.ranges:
            if start <= addr < end:
                return entry
        return None

    def pages(self, addr, size):
        """An entry, or None, for each page."""
        self.read()
        return [self.entry(at)
                for at in range(addr, addr + size, self.page_size)]
