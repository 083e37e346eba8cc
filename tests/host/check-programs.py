#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What programs in a guest feel of mapped memory.

The guest runs programs-guest.sh.  What it says goes into a file as it comes,
behind the two words of --name: lines of five columns.  Where a program is
stuck, or QEMU ends, that is what was measured.
"""

import queue
import sys
import time

from guest import Guest, options
from support import Tally


def said(guest):
    """The guest's lines until its end; that too, if it is not a good one"""
    deadline = time.monotonic() + guest.args.timeout
    while True:
        try:
            line = guest.lines.get(timeout=max(0, deadline - time.monotonic()))
        except queue.Empty:
            yield "ended\tthe guest\tnot done in %d s" % guest.args.timeout
            return
        if line is None:
            yield "ended\tQEMU\twith %d" % guest.process.wait(20)
            return
        guest.console.append(line)
        if line.startswith("STEP end"):
            return
        yield line


def measured(guest, out):
    """What is measured, as it comes"""
    for line in said(guest):
        words = line.split("\t")
        if len(words) == 3:
            print(*guest.args.name.split("-")[:2], *words, sep="\t", file=out,
                  flush=True)
            yield words[0]


def run(args, tally):
    words = ["/bin/programs-guest.sh", args.part, args.patience]
    if args.part == "memory":
        words += [args.turns] + args.held.split(",")
    guest = Guest(args, "bash", words)
    try:
        with open(args.out, "w", encoding="utf-8") as out:
            seen = set(measured(guest, out))
    finally:
        guest.stop()
    wanted = set(args.want.split(",")) - {""}
    wrong = ["no " + what for what in sorted(wanted - seen)]
    # where nothing is wanted, that is what there is to be seen
    if wanted and seen & {"ended", "unfinished"}:
        wrong.append("it did not get done")
    tally.check(seen and not wrong, "it is measured", ", ".join(wrong))
    if wrong:
        guest.show_end()


def main():
    parser = options(__doc__, "kvm-ours", 4096, 300, False)
    parser.add_argument("--accel", required=True)
    parser.add_argument("--part", choices=["memory", "frames"], required=True)
    parser.add_argument("--patience", type=int, default=150,
                        help="seconds for each program")
    parser.add_argument("--turns", type=int, default=1000)
    parser.add_argument("--held", default="0,500,2000")
    parser.add_argument("--out", required=True)
    parser.add_argument("--want", default="",
                        help="what must be measured, with commas")
    # what is traced would be measured, too
    parser.set_defaults(stock=True)
    args = parser.parse_args()
    tally = Tally(args.name)
    run(args, tally)
    return tally.end()


sys.exit(main())
