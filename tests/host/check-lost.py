#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux guest uses blobs whose buffers lose their pages.

The guest runs lose-blobs.c, four threads that read and write.  This side finds
the buffers in the renderer's files and takes their pages away: a file is
truncated, a dma-buf revoked or purged.
"""

import os
import re
import sys

from guest import Failure, Guest, options
from support import Tally
import test_exporter

MEMFD_LOOSE = 11
CACHED, WC = 1, 3

# By each: how its pages go
TRUNCATE, HALVE = "truncated", "cut in half"
REVOKE, PURGE = "revoked", "purged"
ACTIONS = {REVOKE: test_exporter.REVOKE, PURGE: test_exporter.PURGE}


def blob_id(kind, word):
    return test_exporter.KINDS.get(kind, MEMFD_LOOSE) | word << 8


def losses(args):
    """What there is to lose: name, blob id, action."""
    found = [("memfd", blob_id("memfd", CACHED), action)
             for action in (TRUNCATE, HALVE)]
    if args.exporter:
        found += [(kind, blob_id(kind, WC if "combined" in kind else CACHED),
                   action)
                  for kind in ("test pages", "test pfn", "test mixed",
                               "test pfn write-combined")
                  for action in (REVOKE, PURGE)]
    return found


def take_away(device, fd, action, size):
    if action == TRUNCATE:
        os.ftruncate(fd, 0)
    elif action == HALVE:
        # the tag at its start goes with the rest, as all becomes a hole
        os.ftruncate(fd, size // 2)
    else:
        device.act(fd, ACTIONS[action])


def check_told(args, tally, wanted):
    with open(os.path.join(args.run_dir, args.name + ".err"),
              errors="replace") as f:
        text = f.read()
    lines = re.findall(r"blob resource \d+ .*offset 0x[0-9a-f]+, backing "
                       r"(\w+), exporter \"([^\"]*)\"\): its backing memory "
                       r"was revoked",
                       text)
    tally.equal(sorted(line[0] for line in lines),
                sorted("shm" if what[0] == "memfd" else "dmabuf"
                       for what in wanted),
                args.name + ": a line in the log for each")
    tally.equal({line[1] for line in lines if line[0] == "dmabuf"},
                {"dma_buf_test"} if args.exporter else set(),
                args.name + ": which names the exporter")
    tally.equal("kvm run failed" in text, False,
                args.name + ": no vCPU was stopped")


def run(args, tally):
    name, wanted = args.name, losses(args)
    guest = Guest(args, "lose-blobs", [args.size] + [w[1] for w in wanted])
    device = test_exporter.Device() if args.exporter else None
    try:
        guest.step("ready")
        guest.go_on()
        tally.equal(guest.step("mapped")["mapped"], len(wanted),
                    name + ": blobs mapped")
        files = {}
        for view, _ in guest.blob_files(files).values():
            view.close()
        tally.equal(sorted(files), list(range(len(wanted))),
                    name + ": the host finds each blob's memory")
        guest.go_on()
        tally.equal(guest.step("looking")["looking"], 4,
                    name + ": four threads use them")
        for i, (kind, _, action) in enumerate(wanted):
            take_away(device, files[i], action, args.size)
            print("%s: %s is %s" % (name, kind, action))
        guest.go_on()
        got = guest.step("lost")
        tally.equal(got["lost"], len(wanted),
                    name + ": the guest finds other pages in each")
        tally.equal(got["alive"], 4, name + ": its threads go on")
        guest.go_on()
        tally.equal(guest.step("again")["wrong"], 0,
                    name + ": they are unmapped, and others come")
        guest.go_on()
        guest.step("end")
        guest.process.stdin.close()
        tally.equal(guest.process.wait(60), 0, name + ": QEMU ends well")
        check_told(args, tally, wanted)
    except Failure as e:
        tally.check(False, name + ": all steps", str(e))
        guest.show_end()
    finally:
        guest.stop()


def main():
    parser = options(__doc__, "lost", 65536, 180, True)
    parser.add_argument("--accel", choices=("kvm", "tcg"), default="kvm")
    parser.add_argument("--stock", action="store_true",
                        help="QEMU knows no traces of ours")
    parser.add_argument("--exporter", action="store_true",
                        help="this kernel has the test exporter")
    args = parser.parse_args()
    args.qemu += ["-smp", "2"]
    sys.stdout.reconfigure(line_buffering=True)
    tally = Tally()
    run(args, tally)
    return tally.end()


sys.exit(main())
