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
# Of a time that is measured in an emulated host
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


def run(args, tally):
    guest = Many(args)
    try:
        guest.gpu.create_blob(REGION, PRIVATE | 1 << 8, PAGE)
        for res in range(2, args.blobs + 2):
            guest.gpu.create_blob(res, UDMABUF, PAGE)
        before = guest.descriptors()
        guest.time_region()
        none, live = [], []
        for turn in range(TURNS):
            none.append(guest.time_region())
            for res in range(2, args.blobs + 2):
                guest.map(res, res * PAGE)
            if not turn:
                tally.equal(guest.descriptors(), before,
                            "%d dma-bufs are mapped: file descriptors" %
                            args.blobs)
            live.append(guest.time_region())
            for res in range(2, args.blobs + 2):
                guest.gpu.unmap_blob(res)
        none, live = statistics.median(none), statistics.median(live)
        tally.check(live <= none * RATIO,
                    "a region is mapped and unmapped in %.0f us, among none in "
                    "%.0f us" % (live, none))
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
