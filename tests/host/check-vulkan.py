#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Vulkan programs in a guest under KVM, on Mesa's Venus.

The guest runs vulkan-job.sh, which is in its initramfs with all that it needs.
What our QEMU decided meanwhile, vulkan-trace.sh looks at.
"""

import os
import re
import subprocess
import sys

from guest import Failure, Guest, options
from support import Tally

HERE = os.path.dirname(os.path.abspath(__file__))


def tell(tally, lines):
    """Prints what is said there, and counts it."""
    last = "0 passed, 1 failed"
    for line in lines:
        if re.match(r"\d+ passed, \d+ failed", line):
            last = line
        else:
            print(line)
    words = last.split()
    tally.passed += int(words[0])
    tally.failed += int(words[2])


def run(args, tally):
    words = ["/bin/vulkan-guest.sh", args.policy]
    if "refused" in args.want:
        words.append("refused")
    guest = Guest(args, "bash", words)
    try:
        guest.step("end")
        guest.process.stdin.close()
        tally.equal(guest.process.wait(60), 0, "QEMU ends well")
        tell(tally, [line for line in guest.console
                     if not line.startswith(("STEP", "["))])
    except Failure as e:
        tally.check(False, "it comes to its end", str(e))
        guest.show_end()
    finally:
        guest.stop()
    verdict = subprocess.run(
        [os.path.join(HERE, "vulkan-trace.sh"), args.name, guest.trace,
         args.want], stdout=subprocess.PIPE, check=False, text=True)
    tell(tally, verdict.stdout.splitlines())


def main():
    parser = options(__doc__, "vulkan", 4096, 300, False)
    parser.add_argument("--want", required=True,
                        help="a pattern that a decision of QEMU's has, on "
                        "memory that the renderer's device allocated")
    parser.set_defaults(accel="kvm", stock=False)
    args = parser.parse_args()
    tally = Tally(args.name)
    run(args, tally)
    return tally.end()


sys.exit(main())
