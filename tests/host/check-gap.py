#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vCPUs use places where buffers fail to map.

A driver's mmap() that fails may unmap what is at the address first.  Meanwhile
two vCPUs read and write these pages, and four threads in QEMU map memory
anywhere.  No vCPU stops, none sees the threads' data, and they see no other's.
"""

import argparse
import os
import struct
import sys

from support import Tally
from touching import PAGE, Guest
import test_exporter
import vgpu

PAGES = 16
SIZE = PAGES * PAGE
KICK = vgpu.QUEUE_SIZE // 2
GONE = 5


class Gap(Guest):
    def __init__(self, args, tally):
        super().__init__(args, args.accel, 4)
        self.args, self.tally = args, tally

    def await_passes(self, name):
        """Both vCPUs access all of the pages again."""
        before = self.passes()
        self.tally.check(self.wait_until(
            lambda: all(a != b for a, b in zip(self.passes(), before))),
            name + ": both vCPUs go on", "%s: %s" %
            (before, self.machine.log_tail()))

    def map_often(self, res):
        """Sends all commands that the queue has places for, again and again;
        returns the answers of the last ones."""
        gpu, m = self.gpu, self.machine
        done = self.args.failures // KICK
        for _ in range(KICK):
            gpu.map_blob(res, 0)
        for _ in range(done - 1):
            gpu.head = (gpu.head + KICK) & 0xFFFF
            m.mem("w", vgpu.RAM_AVAIL + 2, gpu.head)
            m.mem("w", gpu.doorbell, 0)
            while m.mem("w", vgpu.RAM_USED + 2) != gpu.head:
                m.wait()
        answers = {struct.unpack("<I", m.read(
            vgpu.RAM_BUF + slot * 4096 + 2048, 4))[0] for slot in range(KICK)}
        return answers

    def check(self, res, kind, when, device):
        name = "%s, mmap fails %s" % (kind, when)
        fd = self.blob(res, test_exporter.KINDS[kind], SIZE)
        device.act(fd, test_exporter.ACTIONS[when], GONE)
        before = device.mmaps(fd)
        self.tally.equal(self.map_often(res), {vgpu.ERR_UNSPEC},
                         name + ": refused")
        tried = device.mmaps(fd) - before
        self.tally.check(tried >= self.args.failures // KICK * KICK,
                         name + ": its driver was asked", str(tried))
        self.await_passes(name)
        self.tally.equal(self.wrong(), [0, 0],
                         name + ": no vCPU sees another's data")
        self.tally.equal("real-buffers: not ours" in self.machine.log_text(),
                         False, name + ": no thread sees a vCPU's")
        device.act(fd, test_exporter.FAIL, 0)
        self.tally.equal(self.gpu.map_blob(res, 0)[0], vgpu.OK_MAP_INFO,
                         name + ": mapped when it can be")
        self.await_passes(name + ", then not")
        self.gpu.unmap_blob(res)
        self.gpu.unref(res)
        os.close(fd)


def run(args, tally):
    device = test_exporter.Device()
    gap = Gap(args, tally)
    try:
        gap.start_vcpus(PAGES)
        gap.await_passes("at first")
        for res, (kind, when) in enumerate(
                [(kind, when) for kind in ("test pages", "test pfn")
                 for when in ("at once", "late")], 1):
            gap.check(res, kind, when, device)
    finally:
        tally.equal(gap.machine.close(), 0, "QEMU ends well")
        device.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renderer", required=True,
                        help="libreal-buffers.so")
    parser.add_argument("--vcpu", required=True, help="gap-vcpu.bin")
    parser.add_argument("--run-dir", required=True)
    parser.add_argument("--accel", choices=("kvm", "tcg"), default="kvm")
    parser.add_argument("--failures", type=int, default=10000,
                        help="for all of them together")
    parser.add_argument("qemu", nargs="+", metavar="QEMU")
    args = parser.parse_args()
    args.failures //= 4
    tally = Tally("gap-" + args.accel)
    try:
        run(args, tally)
    except (vgpu.Failure, OSError, ValueError) as e:
        tally.check(False, "all steps", str(e))
    return tally.end()


sys.exit(main())
