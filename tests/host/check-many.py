#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What live dma-bufs cost QEMU under KVM: no file descriptor, and nothing when
a memory region is mapped and unmapped among them.
"""

import argparse
import os
import statistics
import sys
import time

from support import Tally
from touching import PAGE, Guest
import vgpu

UDMABUF, PRIVATE = 1, 14
REGION = 1
TURNS = 5
MAPS = 8
RATIO = 1.2


class Many(Guest):
    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.machine.process.pid))

    def map(self, res, offset):
        answer = self.gpu.map_blob(res, offset)[0]
        if answer != vgpu.OK_MAP_INFO:
            raise vgpu.Failure("blob %d is refused: %#x" % (res, answer))

    def time_region(self):
        start = time.monotonic()
        for _ in range(MAPS):
            self.map(REGION, 0)
            self.gpu.unmap_blob(REGION)
        return (time.monotonic() - start) / MAPS * 1e6

    def time_regions(self):
        return statistics.median(self.time_region() for _ in range(TURNS))


def run(args, tally):
    guest = Many(args)
    try:
        guest.gpu.create_blob(REGION, PRIVATE | 1 << 8, PAGE)
        for res in range(2, args.blobs + 2):
            guest.gpu.create_blob(res, UDMABUF, PAGE)
        before = guest.descriptors()
        times = [guest.time_regions()]
        for res in range(2, args.blobs + 2):
            guest.map(res, res * PAGE)
        tally.equal(guest.descriptors(), before,
                    "%d dma-bufs are mapped: file descriptors" % args.blobs)
        times.append(guest.time_regions())
        for res in range(2, args.blobs + 2):
            guest.gpu.unmap_blob(res)
        times.append(guest.time_regions())
        tally.check(times[1] <= max(times[0], times[2]) * RATIO,
                    "a region is mapped and unmapped in %.0f us; before, with "
                    "no dma-buf, in %.0f us, and after in %.0f us" %
                    (times[1], times[0], times[2]))
    finally:
        tally.equal(guest.machine.close(), 0, "QEMU ends well")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blobs", type=int, default=2000)
    parser.add_argument("--renderer", required=True,
                        help="libreal-buffers.so")
    parser.add_argument("--vcpu", required=True, help="gap-vcpu.bin")
    parser.add_argument("--run-dir", required=True)
    parser.add_argument("qemu", nargs="+", metavar="QEMU")
    args = parser.parse_args()
    tally = Tally("many")
    try:
        run(args, tally)
    except (vgpu.Failure, OSError) as e:
        tally.check(False, "all steps", str(e))
    return tally.end()


sys.exit(main())
