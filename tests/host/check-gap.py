#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vCPUs use places where buffers fail to map.

A driver's mmap() that fails may unmap what is at the address first.  Meanwhile
two vCPUs read and write these pages, an iothread and its workers do I/O to
them, and four threads in QEMU map memory anywhere.  No vCPU stops, none sees
the threads' data, and they see no other's.  A request of I/O may fail.
"""

import argparse
import os
import struct
import sys

from support import Tally
from touching import PAGE, Board, Guest
import test_exporter
import vblk
import vgpu

PAGES = 16
SIZE = PAGES * PAGE
KICK = vgpu.QUEUE_SIZE // 2
GONE = 5
DISK = 1 << 20
FOREIGN = bytes([0xEE] * 4)


class Gap(Guest):
    def __init__(self, args, tally):
        self.args, self.tally = args, tally
        self.file = os.path.join(args.run_dir, "disk")
        with open(self.file, "wb") as f:
            f.write(bytes([0x11]) * DISK)
        super().__init__(args, args.accel, 4, [
            "-object", "iothread,id=io",
            "-blockdev", "null-co,node-name=null,read-zeroes=on,size=%d" %
            DISK,
            "-blockdev", "file,node-name=file,aio=threads,filename=" +
            self.file.replace(",", ",,"),
            "-device", "virtio-blk-pci,disable-legacy=on,addr=3,drive=null,"
            "iothread=io",
            "-device", "virtio-blk-pci,disable-legacy=on,addr=4,drive=file,"
            "iothread=io"])
        # the iothread's own accesses, and the kernel's for its workers
        self.null = vblk.Disk(self.machine, 0x18, Board, 0x800000)
        self.disk = vblk.Disk(self.machine, 0x20, Board, 0x1000000)
        pages = [self.gpu.window + i * PAGE for i in range(PAGES)]
        self.null.prepare(pages, PAGE, [vblk.READ])
        self.disk.prepare(pages, PAGE, [vblk.READ, vblk.WRITE])

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
            self.null.go_on()
            self.disk.go_on()
            m.mem("w", gpu.doorbell, 0)
            while m.mem("w", vgpu.RAM_USED + 2) != gpu.head:
                m.wait()
        answers = {struct.unpack("<I", m.read(
            vgpu.RAM_BUF + slot * 4096 + 2048, 4))[0] for slot in range(KICK)}
        return answers

    def check_disks(self, name):
        null, disk = self.null.answers, self.disk.answers
        self.tally.check(set(null) == {vblk.OK, vblk.IO_ERROR} and
                         null[vblk.OK] and not null[vblk.IO_ERROR],
                         name + ": the iothread's accesses succeed", str(null))
        self.tally.check(set(disk) == {vblk.OK, vblk.IO_ERROR} and
                         disk[vblk.OK],
                         name + ": its workers' succeed or fail", str(disk))
        with open(self.file, "rb") as f:
            self.tally.equal(FOREIGN in f.read(), False,
                             name + ": no thread's data is on the disk")
        print("# %s: I/O that succeeded and failed: %s, %s" %
              (name, list(null.values()), list(disk.values())))

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
        self.check_disks(name)
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
