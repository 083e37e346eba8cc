#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest's kernel and processor make of each cache type.

Runs as root on a host with KVM.  The renderer's word counts (map-policy=
renderer), so that buffers of the kernel come with each type.  The guest says
how its kernel has mapped each and what unaligned accesses do; contents are
compared from both sides.
"""

import argparse
import mmap
import os
import re
import sys
import tempfile

from support import Tally, board, fetch_fd
import demo

SIZE = 65536
SEED = 0x707

# The renderer's number, and the type it tells of
BUFFERS = {"memfd": (4, 1), "udmabuf, cached": (1, 1),
           "udmabuf, uncached": (1, 2), "vgem, uncached": (2, 2),
           "vgem, write-combined": (2, 3)}


def view(guest, resource):
    """The buffer as the renderer has it."""
    found = re.search(r"real-buffers: resource %s kind \d+ fd (\d+)" %
                      resource, guest.all_errors())
    if not found:
        raise demo.Failed("the renderer made no buffer %s" % resource)
    fd = fetch_fd(guest.process.pid, int(found[1]))
    try:
        return mmap.mmap(fd, SIZE)
    finally:
        os.close(fd)


def look(guest, resource):
    """Whether the guest's words are there; they are inverted for an answer."""
    want = demo.pattern(SEED, SIZE // 4)
    with view(guest, resource) as memory:
        right = memory[:] == want
        memory[:] = demo.inverted(want)
    return right


def check(tally, name, told, blob, host):
    """One buffer that the guest is done with."""
    types = demo.KERNEL_TYPES[board.MACHINE]
    print("%s: the guest maps it %s; unaligned accesses: %s" %
          (name, blob["type"], blob["unaligned"]))
    tally.equal(host.get("type"), str(told), name + ": the guest is told")
    tally.equal(blob["type"], types[str(told)], name + ": the guest maps it")
    tally.equal(blob["right"], True, name + ": the host sees what it wrote")
    tally.equal(blob["guest-wrong"], "0",
                name + ": it sees what the host wrote")
    # Device memory may refuse them: a signal for the program, no more
    fine = ("right", "fault") if blob["type"] == "device" else ("right",)
    tally.check(blob["unaligned"] in fine, name + ": unaligned accesses",
                blob["unaligned"])


def run(args, folder, tally):
    guest = demo.Guest(args, folder)
    blobs, right, done = [], {}, False
    try:
        for line in guest.lines():
            words = demo.fields(line)
            if line.startswith("STEP "):
                right[words["resource"]] = look(guest, words["resource"])
                guest.answer()
            elif line.startswith("BLOB "):
                blobs.append(words)
            elif line.startswith(("FAIL", "REFUSED")):
                tally.check(False, "the guest goes on", line)
            done |= line == "DONE"
        tally.equal(guest.process.wait(60), 0, "QEMU ends well")
    finally:
        guest.stop()
    tally.check(done, "the guest comes to its end", guest.errors())
    decided = demo.read_trace(guest.trace)
    tally.equal(len(blobs), len(BUFFERS), "each buffer is mapped")
    for (name, (_, told)), blob in zip(BUFFERS.items(), blobs):
        blob["right"] = right.get(blob["resource"])
        check(tally, name, told, blob, decided.get(blob["resource"], {}))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="")
    parser.add_argument("--renderer", required=True,
                        help="libreal-buffers.so")
    demo.add_options(parser)
    parser.set_defaults(policy="renderer")
    args = parser.parse_args()
    args.mode = ",".join(["buffers"] + [
        str(number | told << 8) for number, told in BUFFERS.values()])
    os.environ["LD_PRELOAD"] = args.renderer
    tally = Tally(args.name)
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(args, folder, tally)
        except (demo.Failed, OSError) as e:
            tally.check(False, "all of it", str(e))
    return tally.end()


sys.exit(main())
