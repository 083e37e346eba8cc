#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the first access of a vCPU to each page of a blob costs under KVM.

Prints the exits of KVM and its faults a page, and the time in us.  "mapped in
QEMU": QEMU has read all pages before.  "huge pages": the host's setting for
shared memory is "force".
"""

import argparse
import glob
import mmap
import os
import time

from touching import PAGE, Guest

PAGES = 8192
SIZE = PAGES * PAGE
UDMABUF, MEMFD = 1, 4
HUGE = "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
ROWS = [("memfd, empty", MEMFD, False, False, "never"),
        ("memfd, full", MEMFD, True, False, "never"),
        ("memfd, full, mapped in QEMU", MEMFD, True, True, "never"),
        ("memfd, huge pages", MEMFD, False, False, "force"),
        ("udmabuf", UDMABUF, False, False, "never"),
        ("udmabuf, mapped in QEMU", UDMABUF, False, True, "never")]


def counters():
    """Of all VMs; there is one."""
    sums = dict.fromkeys(("exits", "pf_taken"), 0)
    for name in sums:
        for path in glob.glob("/sys/kernel/debug/kvm/*-*/" + name):
            with open(path) as f:
                sums[name] += int(f.read())
    return sums


def fill(fd):
    with mmap.mmap(fd, SIZE) as view:
        for at in range(0, SIZE, PAGE):
            view[at] = 1


def measure(args, name, blob_id, full, mapped, huge):
    with open(HUGE, "w") as f:
        f.write(huge)
    guest = Guest(args)
    try:
        fd = guest.blob(1, blob_id, SIZE)
        if full:
            fill(fd)
        os.close(fd)
        guest.gpu.map_blob(1, 0)
        if mapped:
            for at in range(0, SIZE, 1 << 20):
                guest.machine.read(guest.gpu.window + at, 1 << 20)
        before, start = counters(), time.monotonic()
        guest.start_vcpus(PAGES)
        while not any(guest.passes()):
            time.sleep(0.01)
        took, after = time.monotonic() - start, counters()
    finally:
        guest.machine.close()
    print("%-30s %6.3f exits, %6.3f faults, %6.1f us a page" %
          (name, (after["exits"] - before["exits"]) / PAGES,
           (after["pf_taken"] - before["pf_taken"]) / PAGES,
           took * 1e6 / PAGES), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renderer", required=True,
                        help="libreal-buffers.so")
    parser.add_argument("--vcpu", required=True, help="gap-vcpu.bin")
    parser.add_argument("--run-dir", required=True)
    parser.add_argument("qemu", nargs="+", metavar="QEMU")
    args = parser.parse_args()
    for row in ROWS:
        measure(args, *row)
    print("%d passed, 0 failed" % len(ROWS))


main()
