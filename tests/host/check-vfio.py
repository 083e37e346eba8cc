#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""With a device of this host given to the guest: which memory can it reach?

VFIO pins what it maps for the device, and the kernel counts pinned memory in
VmLck of QEMU.  So the window may add exactly what is mapped in it.
"""

import argparse
import os
import re
import subprocess
import sys

from support import Tally
import vgpu

KIB = 1024
RAM = 64 << 20
# More pages than VFIO has mappings
WINDOW = 1 << 30
UDMABUF, MEMFD = 1, 4
DEVICES = "/sys/bus/pci/devices/"


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


def pinned(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmLck:\s+(\d+)", f.read()).group(1)) * KIB


def run(args, tally):
    tally.equal(give(args.device), "vfio-pci", "the device is ours to give")
    log = os.path.join(args.run_dir, "vfio-qemu.log")
    env = dict(os.environ, LD_PRELOAD=args.renderer,
               SDL_VIDEODRIVER="offscreen", XDG_RUNTIME_DIR=args.run_dir)
    machine = vgpu.Machine(args.qemu + [
        "-M", "pc", "-m", "64M", "-nodefaults", "-no-user-config",
        "-display", "sdl,gl=on",
        "-device", "virtio-gpu-gl-pci,addr=2,blob=on,hostmem=%d" %
        WINDOW,
        "-device", "vfio-pci,addr=3,host=" + args.device,
        "-trace", "virtio_gpu_blob_*",
    ], env, args.run_dir, log, 120)
    try:
        pid = machine.process.pid
        gpu = vgpu.Gpu(machine)
        gpu.create_context(1)
        before = pinned(pid)
        tally.equal(before >= RAM, True, "the guest's RAM is pinned")
        tally.equal(before - RAM < WINDOW // 2, True,
                    "an empty window is not")

        total, blobs, offset = 0, [], 0
        for i, size in enumerate((4 * KIB, 64 * KIB, 16 << 20, 12 * KIB)):
            res = 10 + i
            gpu.create_blob(res, MEMFD, size)
            answer, info, _ = gpu.map_blob(res, offset)
            tally.equal((answer, info), (vgpu.OK_MAP_INFO, 1),
                        "a blob of %d KiB" % (size // KIB))
            total += size
            tally.equal(pinned(pid) - before, total,
                        "the device reaches it and no more")
            data = os.urandom(64)
            machine.write(gpu.window + offset + size - 64, data)
            tally.equal(machine.read(gpu.window + offset + size - 64, 64),
                        data, "it can be written")
            blobs.append((res, size))
            # some are neighbours, between some is a hole of a page
            offset += size + i % 2 * 4 * KIB

        # A dma-buf's pages may move: no device learns of them
        gpu.create_blob(30, UDMABUF, 64 * KIB)
        answer, info, _ = gpu.map_blob(30, WINDOW // 2)
        tally.equal((answer, info), (vgpu.OK_MAP_INFO, 1), "a dma-buf")
        tally.equal(pinned(pid) - before, total, "is out of the device's reach")
        data = os.urandom(64)
        machine.write(gpu.window + WINDOW // 2, data)
        tally.equal(machine.read(gpu.window + WINDOW // 2, 64), data,
                    "and can be written by the guest")
        gpu.unref(30)
        tally.equal(pinned(pid) - before, total, "and goes without a trace")

        for res, size in blobs[::2]:
            gpu.unmap_blob(res)
            gpu.unref(res)
            total -= size
            tally.equal(pinned(pid) - before, total,
                        "a blob of %d KiB is out of reach" % (size // KIB))
        for res, size in blobs[1::2]:
            gpu.unref(res)
            total -= size
            tally.equal(pinned(pid) - before, total,
                        "gone with its resource: %d KiB" % (size // KIB))
        tally.equal(pinned(pid), before, "nothing is left pinned")
    finally:
        tally.equal(machine.close(), 0, "QEMU ends well")


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
        run(args, tally)
    except (vgpu.Failure, OSError, subprocess.SubprocessError) as e:
        tally.equal(str(e), "", "all steps")
    return tally.end()


sys.exit(main())
