#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a Linux guest with many blobs mapped, and looks on.

The guest runs many-blobs.c on the real virglrenderer.  This side finds the
blobs' memory in the renderer's files, checks what the guest wrote there,
writes an answer, and under KVM counts memory slots at every step.
"""

import platform
import re
import struct
import sys

from guest import Failure, Guest, options
from support import Tally

HOST_TAG = 0x484F53542D2D0000

# What the guest asks of real-buffers.c in turns: udmabuf, vgem, memfd, with
# the renderer silent; the second is the one that is write-combined
BUFFERS = [1, 2, 4]


def toggled(guest, tally):
    """The guest makes the window's memory slot anew, again and again."""
    args = guest.args
    got = guest.step("toggled")
    tally.equal((got["toggled"], got["wrong"]), (args.toggles, 0),
                args.name + ": contents after the window went and came back")
    with open(guest.trace) as f:
        aside = [[int(n) for n in found] for found in re.findall(
            r"virtio_gpu_blob_aside .*buffers (\d+) lost (\d+) ns (\d+)",
            f.read())]
    # KVM on x86 does not look at what it makes a slot over
    if not args.renderer or platform.machine() == "x86_64":
        tally.equal(aside, [], args.name + ": buffers stay")
        return
    # of three kinds two are dma-bufs
    want = args.blobs // len(BUFFERS) * 2
    tally.equal([a[:2] for a in aside], [[want, 0]] * args.toggles,
                args.name + ": dma-bufs step aside each time, and come back")
    times = sorted(a[2] / want for a in aside)
    print("%s: %.1f us a dma-buf and toggle (median)" %
          (args.name, times[len(times) // 2] / 1000 if times else 0))


def run(args, tally):
    name = args.name
    kvm = args.accel == "kvm"
    words = [args.blobs, args.size, args.toggles]
    words += BUFFERS if args.renderer else []
    guest = Guest(args, "many-blobs", words)
    try:
        guest.step("ready")
        slots, calls = guest.slots()
        tally.equal(slots > 0, kvm, name + ": the guest runs under " +
                    args.accel)
        guest.go_on()

        got = guest.step("mapped")
        now, now_calls = guest.slots()
        print("%s: %d blobs mapped, %d us each in the guest" %
              (name, got["mapped"], got["us"]))
        if kvm:
            print("%s: memory slots %d -> %d, set %d times meanwhile" %
                  (name, slots, now, now_calls - calls))
        tally.equal((got["mapped"], got["wrong"]), (args.blobs, 0),
                    name + ": blobs mapped at once, read back right")
        if kvm and not args.stock:
            tally.equal((now, now_calls), (slots, calls),
                        name + ": memory slots do not change with blobs")
        files = guest.blob_files()
        tally.equal(len(files), got["mapped"],
                    name + ": the host finds each blob's memory")
        tally.equal([i for i, f in files.items() if not f[1]], [],
                    name + ": the host sees what the guest wrote")
        for i, (view, _) in files.items():
            struct.pack_into("<Q", view, 8, HOST_TAG + i)
            view.close()
        if args.renderer:
            tally.equal(got["wc"], args.blobs // len(BUFFERS),
                        name + ": the guest maps vgem's write-combined")
        else:
            tally.equal(got["wc"], 0, name + ": the guest maps cached")
        guest.go_on()

        got = guest.step("checked")
        tally.equal(got["wrong"], 0,
                    name + ": the guest sees what the host wrote")
        if args.toggles:
            guest.go_on()
            toggled(guest, tally)
        before = guest.rss()
        guest.go_on()

        if not args.stock:
            got = guest.step("touched")
            grown = guest.rss() - before
            tally.check(got["touched"] > 0 and grown < 65536,
                        name + ": %d holes touched, the VM lives, QEMU grows "
                        "by %d KiB" % (got["touched"], grown))
            guest.go_on()
        else:
            got = guest.step("touched")
            print("%s: %d holes touched" % (name, got["touched"]))
            guest.go_on()

        got = guest.step("unmapped")
        now, now_calls = guest.slots()
        print("%s: unmapped, %d us each in the guest" % (name, got["us"]))
        tally.equal(got["wrong"], 0, name + ": contents kept until unmap")
        if kvm and not args.stock:
            tally.equal(now, slots, name + ": as many slots as at the start")
        guest.go_on()

        got = guest.step("again")
        tally.equal(got["wrong"], 0, name + ": a new blob in an old place")
        guest.go_on()
        guest.step("end")
        guest.process.stdin.close()
        tally.equal(guest.process.wait(60), 0, name + ": QEMU ends well")
        if not args.stock:
            with open(guest.trace) as f:
                text = f.read()
            tally.check("guest's cache type %s\n" % args.guest_type in text,
                        name + ": the guest's cache type: " + args.guest_type)
            tally.equal(len(re.findall(r"virtio_gpu_blob_map .*path window",
                                       text)), args.blobs + 1,
                        name + ": every blob is in the window")
    except Failure as e:
        tally.check(False, name + ": all steps", str(e))
        guest.show_end()
    finally:
        guest.stop()


def main():
    parser = options(__doc__, "ours", 16384, 120, False)
    parser.add_argument("--accel", choices=("kvm", "tcg"), default="kvm")
    parser.add_argument("--stock", action="store_true",
                        help="no window and no traces are expected")
    parser.add_argument("--blobs", type=int, default=2000)
    parser.add_argument("--toggles", type=int, default=0,
                        help="times that the window leaves the guest's memory")
    parser.add_argument("--guest-type", default="honoured",
                        help="what QEMU finds that becomes of it on this host")
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    tally = Tally()
    run(args, tally)
    if args.stock and tally.failed:
        # It aborts or stops answering now and then, as regions come and go.
        print("%s: once more; of stock only the last try counts" % args.name)
        tally = Tally()
        run(args, tally)
    return tally.end()


sys.exit(main())
