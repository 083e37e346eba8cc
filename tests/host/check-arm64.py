#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest is told of a blob is what this arm64 host's tables make of it.

Runs as root on an arm64 host with KVM and our test kernel.  Maps every kind of
buffer through our QEMU under KVM, lets a guest's processor use each page, and
reads the entry of each page in the stage-2 tables.  With the type that the
guest was told, that gives the type of the guest's accesses (stage2.py), which
must be the one with which this host maps the same page.
"""

import argparse
import mmap
import os
import re
import struct
import sys

from support import Tally, fetch_fd
import stage2
import test_exporter
import vcpu
import vgpu

PAGE = 4096
PAGES = 16
SIZE = PAGES * PAGE

POLICIES = ("safe", "strict", "renderer")
TYPES = {"none": 0, "cached": 1, "uncached": 2, "wc": 3}
NAMES = {number: name for name, number in TYPES.items()}

# The renderer's number of a buffer, and how this host maps it
KINDS = {"memfd": (4, "WB"), "udmabuf": (1, "WB"), "heap": (3, "WB"),
         "vgem": (2, "NC"), "vkms": (13, "WB")}
for kind, number in test_exporter.KINDS.items():
    KINDS[kind] = (number, "NC" if "write-combined" in kind else "WB")

# The word that fits, for each type that the host maps with
TRUE_WORD = {"WB": "cached", "NC": "wc"}

# What exporters say on a kernel with DMA_BUF_IOCTL_INFO.  A cached mapping is
# coherent where the device's DMA is, and these devices have none.
STATED = {"udmabuf": "INCOHERENT", "heap": "INCOHERENT", "vkms": "INCOHERENT",
          "vgem": "WC"}

IGNORED = "guest-type-ignored"


def say(policy, word, statement, shm, honoured):
    """What the decision's table (docs/devel) makes of a buffer on arm64: the
    type and who vouches, or the reason of a refusal."""
    if shm:
        return "cached memfd"
    named = word != "none"
    if policy == "renderer" and named:
        return word + " renderer"
    if statement in ("CACHED", "WC"):
        kind = statement.lower()
        if policy == "strict" and named and word != kind:
            return "renderer-disagrees"
        result = kind + " exporter"
    elif statement == "INCOHERENT":
        return "exporter-incoherent"
    elif policy == "safe" and named:
        result = word + " renderer"
    elif policy == "renderer":
        return "cached nobody"
    else:
        return "nobody-vouches"
    if policy != "renderer" and not honoured and not result.startswith("cached"):
        return IGNORED
    return result


class Host:
    """What this host's processors and kernel are known to do."""

    def __init__(self, args):
        self.fwb = args.fwb
        # From 6.17 on KVM maps a cached BAR as such with both, else not at all
        self.bar = "cached" if args.fwb and args.dic else "never"
        # Up to 6.12 KVM wants a count on each page, and has none in the pages
        # of a larger one but in its first
        self.uncounted = ()
        if not args.cacheable_pfnmap:
            self.bar = "device"
            self.uncounted = ("heap", "test uncounted")

    @staticmethod
    def place(kind):
        return "BAR" if "BAR" in kind else "RAM"

    def entry(self, kind):
        """MemAttr of its pages' entries; None where KVM makes none."""
        host_type = KINDS[kind][1]
        if kind in self.uncounted:
            return None
        if self.place(kind) == "RAM":
            return 6 if self.fwb else 0xF
        if host_type == "NC" or self.bar == "device":
            return 1
        return {"cached": 6, "never": None}[self.bar]


    def lasting(self):
        """Buffers that the guest may touch."""
        return [kind for kind in KINDS if self.entry(kind)]


class Run:
    """One QEMU with one policy."""

    def __init__(self, args, host, policy, tally):
        self.args, self.host, self.policy = args, host, policy
        self.tally = tally
        self.log = os.path.join(args.run_dir, "qemu-%s.log" % policy)
        env = dict(os.environ, LD_PRELOAD=args.renderer,
                   SDL_VIDEODRIVER="offscreen", XDG_RUNTIME_DIR=args.run_dir)
        argv = args.qemu + [
            "-M", "virt,gic-version=3", "-cpu", "host", "-m", "64M",
            "-nodefaults", "-no-user-config", "-display", "sdl,gl=on",
            "-device", "virtio-gpu-gl-pci,addr=2,blob=on,hostmem=64M,"
            "map-policy=" + policy,
            "-device", "loader,file=%s,cpu-num=0" % args.vcpu,
            "-trace", "virtio_gpu_blob_*",
        ]
        self.machine = vgpu.Machine(argv, env, args.run_dir, self.log, 120,
                                    accel="kvm")
        self.gpu = vgpu.Gpu(self.machine, board=vcpu.Virt)
        self.vcpu = vcpu.VCPU(self.machine)
        self.tables = stage2.Tables(self.machine.process.pid)
        tally.equal(self.gpu.create_context(1), vgpu.OK_NODATA,
                    "%s: a context" % policy)
        self.next_id = 10
        self.stamp = 0x1000000

    def renderer_fd(self, res):
        found = re.search(r"real-buffers: resource %d kind \d+ fd (\d+)" % res,
                          self.machine.log_text())
        if not found:
            raise vgpu.Failure("the renderer made no buffer: " +
                               self.machine.log_tail())
        return fetch_fd(self.machine.process.pid, int(found.group(1)))

    def new(self, kind, word, statement="nothing", size=SIZE):
        """Creates a blob; returns the resource and the answer."""
        res = self.next_id
        self.next_id += 1
        blob_id = KINDS[kind][0] | TYPES[word] << 8
        if kind.startswith("test "):
            blob_id |= test_exporter.STATEMENTS[statement] << 16
        return res, self.gpu.create_blob(res, blob_id, size)

    def check_decision(self, name, res, expected, answer):
        granted = TYPES.get(expected.split()[0])
        if granted:
            self.tally.equal(answer, (vgpu.OK_MAP_INFO, granted, 0),
                             name + ": granted")
        else:
            self.tally.equal(answer[0], vgpu.ERR_UNSPEC, name + ": refused")
        line = re.search(r"virtio_gpu_blob_decision resource %d .*" % res,
                         self.machine.log_text())
        self.tally.check(line and line[0].endswith(expected.replace(" ", ", ")),
                         "%s: %s" % (name, expected),
                         line[0] if line else self.machine.log_tail())

    def next_stamp(self):
        self.stamp += 0x10000
        return self.stamp

    def check_shared(self, name, view, at):
        """The guest's processor and the host see the same.  It reads each
        page before it writes there: a page may be read-only until then."""
        first = self.next_stamp()
        for i in range(PAGES):
            struct.pack_into("<Q", view, i * PAGE, first + i)
        self.tally.equal(self.vcpu.read(at, PAGES, PAGE, first), 0,
                         name + ": the guest reads what the host wrote")
        first = self.next_stamp()
        self.vcpu.write(at + PAGE - 8, PAGES, PAGE, first)
        self.tally.equal(
            [struct.unpack_from("<Q", view, i * PAGE + PAGE - 8)[0]
             for i in range(PAGES)], [first + i for i in range(PAGES)],
            name + ": the host reads what the guest wrote")

    def compare(self, name, kind, at, told):
        """The oracle: each page, as the guest reaches it and as we do."""
        pages = self.tables.pages(at, SIZE)
        entry = self.host.entry(kind)
        host_type = KINDS[kind][1]
        self.tally.equal([p and p.memattr for p in pages], [entry] * PAGES,
                         name + ": stage 2 of each page")
        self.tally.check(not any(p and p.block for p in pages),
                         name + ": no page is one of a block",
                         self.tables.text)
        made = {p and stage2.combine(self.host.fwb, stage2.STAGE1[told],
                                     p.memattr) for p in pages}
        if self.host.place(kind) == "RAM" and not (
                self.policy == "renderer" and self.host.fwb and told != 1):
            self.tally.equal(made, {host_type},
                             name + ": the guest's type is the host's")

    def check_granted(self, name, kind, res, told):
        at = self.gpu.window + res % 8 * SIZE
        fd = self.renderer_fd(res)
        view = mmap.mmap(fd, SIZE)
        os.close(fd)
        if self.host.entry(kind) is None:
            self.tally.skip(name, "KVM maps no such page here")
        else:
            self.check_shared(name, view, at)
            self.compare(name, kind, at, told)
        self.tally.equal(self.gpu.unmap_blob(res), vgpu.OK_NODATA,
                         name + ": unmapped")
        self.tally.equal(self.tables.pages(at, SIZE), [None] * PAGES,
                         name + ": no entry is left")
        view.close()

    def case(self, kind, word, statement):
        """One buffer; the truth is told by it and of it, or a decision is all
        that can be looked at."""
        name = "%s, renderer says %s, states %s, policy %s" % (
            kind, word, statement, self.policy)
        expected = say(self.policy, word, statement, kind == "memfd",
                       not self.host.fwb)
        res, made = self.new(kind, word, statement)
        self.tally.equal(made, vgpu.OK_NODATA, name + ": created")
        answer = self.gpu.map_blob(res, res % 8 * SIZE)
        self.check_decision(name, res, expected, answer)
        if answer[0] == vgpu.OK_MAP_INFO:
            true = TRUE_WORD[KINDS[kind][1]]
            if NAMES.get(answer[1]) == true:
                self.check_granted(name, kind, res, answer[1])
            else:
                self.tally.check(expected.endswith((" renderer", " nobody")),
                                 name + ": another type on the renderer's "
                                 "word only", expected)
                self.gpu.unmap_blob(res)
        self.tally.equal(self.gpu.unref(res), vgpu.OK_NODATA, name + ": unref")

    def statements(self, kind):
        """What is true of it and can be stated."""
        if kind == "memfd" or not self.args.ioctl:
            return ["nothing"]
        if kind in STATED:
            return [STATED[kind]]
        return ["nothing", "INCOHERENT",
                "WC" if "write-combined" in kind else "CACHED"]

    def cases(self):
        for kind in KINDS:
            true = TRUE_WORD[KINDS[kind][1]]
            other = {"cached": "wc", "wc": "uncached"}[true]
            for statement in self.statements(kind):
                for word in ("none", true, other):
                    self.case(kind, word, statement)

    #
    # The guest makes KVM's slot over the window anew
    #

    def fill(self, kinds, n, size):
        """Maps n blobs, one kind after the other, from the window's start."""
        wrong = []
        for i in range(n):
            kind = kinds[i % len(kinds)]
            res, made = self.new(kind, TRUE_WORD[KINDS[kind][1]], size=size)
            answer = self.gpu.map_blob(res, i * size)[0]
            if (made, answer) != (vgpu.OK_NODATA, vgpu.OK_MAP_INFO):
                wrong.append((kind, i, hex(made), hex(answer)))
        self.tally.equal(wrong, [], "slots: %d blobs are mapped" % n)
        # KVM gives up on a page that drivers want to know the first write of
        # (GEM shmem's, from 7.1 on), unless it was read before
        self.vcpu.read(self.gpu.window, n, size, 0)

    def toggle(self, name, times, n, size):
        """Memory decoding off and on, by the guest's processor, with a look
        at the first word of each blob after each."""
        first = self.next_stamp()
        self.vcpu.write(self.gpu.window, n, size, first)
        wrong, micros = self.vcpu.toggle(
            self.gpu.board.config_addr(self.gpu.devfn, 4), 4, 6, times,
            self.gpu.window, n, size, first)
        self.tally.equal(wrong, 0, name + ": contents after each")
        print("%s: %d times, %.3f ms each" % (name, times, micros / times / 1e3))

    def move_bar(self, name, n, size):
        """The window gets another address, and has the same blobs there."""
        first = self.next_stamp()
        self.vcpu.write(self.gpu.window, n, size, first)
        self.gpu.move_window(self.gpu.window + (1 << 32))
        self.tally.equal(self.vcpu.read(self.gpu.window, n, size, first), 0,
                         name + ": contents at the new address")

    def slots(self, kinds, n, times):
        size = 4 * PAGE
        self.fill(kinds, n, size)
        name = "slots: %d blobs, %d kinds" % (n, len(kinds))
        self.toggle(name + ", decoding off and on", times, n, size)
        self.move_bar(name + ", the BAR moves", n, size)
        last = self.next_stamp()
        self.vcpu.write(self.gpu.window, n, size, last)
        wrong = 0
        for i in range(n):
            fd = self.renderer_fd(self.next_id - n + i)
            view = mmap.mmap(fd, size)
            wrong += struct.unpack_from("<Q", view)[0] != last + i
            view.close()
            os.close(fd)
        self.tally.equal(wrong, 0, name + ": the host reads what was written")

    def close(self):
        self.tally.equal(self.machine.close(), 0,
                         "policy %s: QEMU ends well" % self.policy)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ioctl", action="store_true",
                        help="this kernel has DMA_BUF_IOCTL_INFO")
    parser.add_argument("--fwb", action="store_true",
                        help="the processors have FEAT_S2FWB")
    parser.add_argument("--dic", action="store_true",
                        help="they have CTR_EL0.DIC, too")
    parser.add_argument("--cacheable-pfnmap", action="store_true",
                        help="KVM knows cached memory that is no RAM (6.17)")
    parser.add_argument("--slots", type=int, default=0, metavar="N",
                        help="only so many blobs while slots are made anew")
    parser.add_argument("--times", type=int, default=1000,
                        help="how often they are")
    parser.add_argument("--name", default="", help="how messages call it")
    parser.add_argument("--renderer", required=True,
                        help="libreal-buffers.so")
    parser.add_argument("--vcpu", required=True, help="the guest's program")
    parser.add_argument("--run-dir", required=True, help="for logs, sockets")
    parser.add_argument("qemu", nargs="+", help="QEMU and its first options")
    args = parser.parse_args()
    tally = Tally(args.name)
    stage2.check_rules(tally)
    host = Host(args)
    for policy in ("renderer",) if args.slots else POLICIES:
        try:
            run = Run(args, host, policy, tally)
            try:
                if args.slots:
                    run.slots(host.lasting(), args.slots, args.times)
                else:
                    run.cases()
            finally:
                run.close()
        except (vgpu.Failure, vcpu.Fault, OSError) as e:
            tally.check(False, "policy %s: all cases" % policy, str(e))
    return tally.end()


sys.exit(main())
