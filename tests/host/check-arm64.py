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
import sys

from support import Tally
from arm64 import (Host, KINDS, NAMES, PAGE, PAGES, POLICIES, Run, SIZE, TYPES,
                   true_word)
import arm64_pages
import arm64_slots
import arm64_wrong
import stage2
import vcpu
import vgpu

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


class Cases:
    """Each kind of buffer with one policy."""

    def __init__(self, run):
        self.run, self.host, self.policy = run, run.host, run.policy
        self.gpu, self.tally = run.gpu, run.tally

    def check_decision(self, name, res, expected, answer):
        granted = TYPES.get(expected.split()[0])
        if granted:
            self.tally.equal(answer, (vgpu.OK_MAP_INFO, granted, 0),
                             name + ": granted")
        else:
            self.tally.equal(answer[0], vgpu.ERR_UNSPEC, name + ": refused")
        line = self.run.log.find("virtio_gpu_blob_decision resource %d " % res)
        self.tally.check(line.endswith(expected.replace(" ", ", ")),
                         "%s: %s" % (name, expected), line)

    def check_shared(self, name, kind, view, at):
        """The guest's processor and the host see the same, whether a page is
        first read or first written."""
        if not self.host.may_be_written(kind):
            self.run.check_reads(name, view, at)
            self.tally.equal({p and p.writable
                              for p in self.run.tables.pages(at, SIZE)},
                             {False}, name + ": KVM maps it for reading only")
            self.tally.skip(name + ": the guest writes",
                            "this kernel would stop the machine")
            return
        half = PAGES // 2 * PAGE
        self.run.vcpu.write(at + half, PAGES - PAGES // 2, PAGE, 0)
        self.run.check_reads(name, view, at)
        self.run.check_writes(name, view, at)

    def check_granted(self, name, kind, res, told):
        at = self.gpu.window + res % 8 * SIZE
        view = self.run.view(res)
        if self.host.entry(kind) is None:
            self.tally.skip(name, "KVM maps no such page here")
        else:
            self.check_shared(name, kind, view, at)
            self.run.compare(name, kind, at, told)
        self.tally.equal(self.gpu.unmap_blob(res), vgpu.OK_NODATA,
                         name + ": unmapped")
        self.tally.equal(self.run.tables.pages(at, SIZE), [None] * PAGES,
                         name + ": no entry is left")
        view.close()

    def case(self, kind, word, statement):
        """One buffer; the truth is told by it and of it, or a decision is all
        that can be looked at."""
        name = "%s, renderer says %s, states %s, policy %s" % (
            kind, word, statement, self.policy)
        expected = say(self.policy, word, statement, kind == "memfd",
                       not self.host.fwb)
        res, made = self.run.new(kind, word, statement)
        self.tally.equal(made, vgpu.OK_NODATA, name + ": created")
        answer = self.gpu.map_blob(res, res % 8 * SIZE)
        self.check_decision(name, res, expected, answer)
        if answer[0] == vgpu.OK_MAP_INFO:
            if NAMES.get(answer[1]) == true_word(kind):
                self.check_granted(name, kind, res, answer[1])
            else:
                self.tally.check(expected.endswith((" renderer", " nobody")),
                                 name + ": another type on the renderer's "
                                 "word only", expected)
                self.gpu.unmap_blob(res)
        self.tally.equal(self.gpu.unref(res), vgpu.OK_NODATA, name + ": unref")

    def statements(self, kind):
        """What is true of it and can be stated."""
        if kind == "memfd" or not self.run.args.ioctl:
            return ["nothing"]
        if kind in STATED:
            return [STATED[kind]]
        return ["nothing", "INCOHERENT",
                "WC" if "write-combined" in kind else "CACHED"]

    def all(self):
        for kind in KINDS:
            true = true_word(kind)
            other = {"cached": "wc", "wc": "uncached"}[true]
            for statement in self.statements(kind):
                for word in ("none", true, other):
                    self.case(kind, word, statement)


def cases(args, host, tally):
    stage2.check_rules(tally)
    for policy in POLICIES:
        with Run(args, host, policy, tally) as run:
            Cases(run).all()


# What is checked in one QEMU
TOGETHER = {"pages": arm64_pages.check, "wrong": arm64_wrong.check,
            "blocks": arm64_pages.check_blocks, "slots": arm64_slots.check}
# What has its own
ALONE = {"cases": cases, "wrong": arm64_wrong.check_host,
         "pages": arm64_pages.check_aligning,
         "writes": arm64_pages.check_writes}


def together(args, host, tally):
    with Run(args, host, "renderer", tally) as run:
        for name, check in TOGETHER.items():
            if name in args.check:
                check(run)


def chosen(args):
    """The checks, by their names."""
    for name, check in ALONE.items():
        if name in args.check:
            yield name, check
    if set(args.check) & set(TOGETHER):
        yield " ".join(args.check), together


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="append", required=True,
                        choices=sorted(ALONE | TOGETHER),
                        help="what is checked; may be repeated")
    parser.add_argument("--ioctl", action="store_true",
                        help="this kernel has DMA_BUF_IOCTL_INFO")
    parser.add_argument("--fwb", action="store_true",
                        help="the processors have FEAT_S2FWB")
    parser.add_argument("--dic", action="store_true",
                        help="they have CTR_EL0.DIC, too")
    parser.add_argument("--cacheable-pfnmap", action="store_true",
                        help="KVM knows cached memory that is no RAM (6.17)")
    parser.add_argument("--write-notify", action="store_true",
                        help="GEM shmem wants to know of writes (7.1)")
    parser.add_argument("--blobs", type=int, default=100,
                        help="how many there are while slots are made anew")
    parser.add_argument("--times", type=int, default=10,
                        help="how often they are")
    parser.add_argument("--name", default="", help="how messages call it")
    parser.add_argument("--renderer", required=True,
                        help="libreal-buffers.so")
    parser.add_argument("--liar", help="libother-fwb.so, for --check=wrong")
    parser.add_argument("--vcpu", required=True, help="the guest's program")
    parser.add_argument("--run-dir", required=True, help="for logs, sockets")
    parser.add_argument("qemu", nargs="+", help="QEMU and its first options")
    return parser


def main():
    args = options().parse_args()
    tally = Tally(args.name)
    host = Host(args)
    for name, check in chosen(args):
        try:
            check(args, host, tally)
        except (vgpu.Failure, vcpu.Fault, OSError) as e:
            tally.check(False, name + ": all of it", str(e))
    return tally.end()


sys.exit(main())
