#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""With a device of this host given to the guest: which memory can it reach?

VFIO pins what it maps for the device, and the kernel counts pinned memory in
VmLck of QEMU.  A blob is memory that may move or go, so none is pinned, and the
device reaches none.  It is QEMU's edu, which reads and writes memory by itself;
what it wrote is looked at from the renderer's side, in the buffer.
"""

import argparse
import mmap
import os
import re
import subprocess
import sys

from edu import Edu
from support import Tally, fetch_fd
import vgpu
from vtd import Vtd

KIB = 1024
PAGE = 4096
RAM = 64 << 20
# More pages than VFIO has mappings
WINDOW = 1 << 30
UDMABUF, MEMFD = 1, 4
# The renderer's own memory, that it calls cached
POINTER = 12 | 1 << 8
DEVICES = "/sys/bus/pci/devices/"
EDU_DEVFN = 0x18
OUT_OF_REACH = (False, False)


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def give(device):
    """Takes the device from its driver, if any, and gives it to vfio-pci."""
    base = DEVICES + device
    if os.path.exists(base + "/driver"):
        write(base + "/driver/unbind", device)
    write(base + "/driver_override", "vfio-pci")
    write("/sys/bus/pci/drivers_probe", device)
    return os.path.basename(os.path.realpath(base + "/driver"))


class Guest:
    """A QEMU that was given the device, with blobs in its window."""

    def __init__(self, args, name, options=()):
        log = os.path.join(args.run_dir, "vfio-%s.log" % name)
        env = dict(os.environ, LD_PRELOAD=args.renderer,
                   SDL_VIDEODRIVER="offscreen", XDG_RUNTIME_DIR=args.run_dir)
        self.machine = vgpu.Machine(args.qemu + [
            "-M", "q35", "-m", "64M", "-nodefaults", "-no-user-config",
            "-display", "sdl,gl=on", *options,
            "-device", "virtio-gpu-gl-pci,addr=2,blob=on,hostmem=%d" %
            WINDOW,
            "-device", "vfio-pci,addr=3,host=" + args.device,
            "-trace", "virtio_gpu_blob_*",
        ], env, args.run_dir, log, 120)
        self.gpu = vgpu.Gpu(self.machine)
        self.gpu.create_context(1)
        self.edu = Edu(self.machine, EDU_DEVFN)

    def pinned(self):
        with open("/proc/%d/status" % self.machine.process.pid) as f:
            return int(re.search(r"VmLck:\s+(\d+)", f.read()).group(1)) * KIB

    def create(self, res, blob_id, size):
        """A blob; returns its buffer, as the renderer has it."""
        self.gpu.create_blob(res, blob_id, size)
        found = re.findall(r"real-buffers: resource %d kind \d+ fd (\d+)\n" %
                           res, self.machine.log_text())
        if not found:
            raise vgpu.Failure("no buffer: " + self.machine.log_tail())
        fd = fetch_fd(self.machine.process.pid, int(found[-1]))
        try:
            return mmap.mmap(fd, size)
        finally:
            os.close(fd)

    def reaches(self, addr, buffer, offset):
        """Does the device, with this address, read and write the buffer?"""
        place = slice(offset, offset + 64)
        data, other = os.urandom(64), os.urandom(64)
        buffer[place] = data
        reads = self.edu.read(addr, 64) == data
        self.edu.write(addr, other)
        if buffer[place] not in (data, other):
            raise vgpu.Failure("the buffer has neither's data")
        return reads, buffer[place] == other


def check_blob(guest, tally, name, blob_id):
    """The guest reads and writes it, the device does not."""
    gpu, base = guest.gpu, guest.pinned()
    buffer = guest.create(30, blob_id, 64 * KIB)
    answer, info, _ = gpu.map_blob(30, WINDOW // 2)
    tally.equal((answer, info), (vgpu.OK_MAP_INFO, 1), name)
    tally.equal(guest.pinned(), base, name + " is not pinned")
    addr = gpu.window + WINDOW // 2 + PAGE
    tally.equal(guest.reaches(addr, buffer, PAGE), OUT_OF_REACH,
                name + " is out of the device's reach")
    data = os.urandom(64)
    guest.machine.write(addr, data)
    tally.equal(buffer[PAGE:PAGE + 64], data, name + ": the guest writes it")
    gpu.unref(30)
    tally.equal(guest.pinned(), base, name + " goes without a trace")


def check_plain(args, tally):
    guest = Guest(args, "plain")
    try:
        before = guest.pinned()
        tally.equal(before >= RAM, True, "the guest's RAM is pinned")
        tally.equal(before - RAM < WINDOW // 2, True,
                    "an empty window is not")
        data = os.urandom(64)
        guest.machine.write(vgpu.RAM_FREE + 8 * PAGE, data)
        tally.equal(guest.edu.read(vgpu.RAM_FREE + 8 * PAGE, 64), data,
                    "the device reads the guest's RAM")
        check_blob(guest, tally, "shared memory", MEMFD)
        check_blob(guest, tally, "a dma-buf", UDMABUF)
        check_blob(guest, tally, "a buffer without a file", POINTER)
        tally.equal(guest.pinned(), before, "all is as it was")
    finally:
        tally.equal(guest.machine.close(), 0, "QEMU ends well")


def check_behind_iommu(guest, tally, name, blob_id):
    """The guest maps a blob for the device, and unmaps the blob first."""
    gpu, vtd, base = guest.gpu, guest.vtd, guest.pinned()
    iova, offset = 0x20000, WINDOW // 2
    buffer = guest.create(40, blob_id, 64 * KIB)
    answer, _, _ = gpu.map_blob(40, offset)
    tally.equal(answer, vgpu.OK_MAP_INFO, name)
    vtd.map(iova, gpu.window + offset)
    gpu.unmap_blob(40)
    tally.equal(guest.pinned(), base, name + " is not pinned any more")
    tally.equal(guest.reaches(iova, buffer, 0), OUT_OF_REACH,
                name + " is out of reach when it is unmapped")
    vtd.unmap(iova)
    gpu.unref(40)
    tally.equal(guest.pinned(), base, name + " goes without a trace")


def check_iommu(args, tally):
    guest = Guest(args, "iommu", ("-device",
                                  "intel-iommu,caching-mode=on,aw-bits=39"))
    try:
        guest.vtd = Vtd(guest.machine, EDU_DEVFN)
        guest.vtd.enable()
        # what edu's driver needs, and nothing else
        for page in (vgpu.RAM_FREE, vgpu.RAM_FREE + PAGE):
            guest.vtd.map(page - vgpu.RAM_FREE + Edu.BASE, page)
        guest.edu.base = Edu.BASE
        tally.equal(guest.pinned(), 2 * PAGE, "two pages are pinned")
        for name, blob_id in (("shared memory", MEMFD),
                              ("a dma-buf", UDMABUF), ("a region", POINTER)):
            check_behind_iommu(guest, tally, "behind an IOMMU, " + name,
                               blob_id)
    finally:
        tally.equal(guest.machine.close(), 0, "QEMU ends well")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="0000:00:10.0")
    parser.add_argument("--renderer", required=True,
                        help="libreal-buffers.so")
    parser.add_argument("--run-dir", required=True)
    parser.add_argument("qemu", nargs="+", help="QEMU and its first options")
    args = parser.parse_args()
    tally = Tally("vfio")
    try:
        tally.equal(give(args.device), "vfio-pci",
                    "the device is ours to give")
        check_plain(args, tally)
        check_iommu(args, tally)
    except (vgpu.Failure, OSError, subprocess.SubprocessError) as e:
        tally.equal(str(e), "", "all steps")
    return tally.end()


sys.exit(main())
