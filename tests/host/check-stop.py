#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Our modules in a QEMU without our change, under KVM: a buffer loses its pages.

KVM's code there stops the VM at once.  The log says whose buffer it was, and a
reset brings the machine back, as a hole is in the buffer's place.
"""

import os
import re
import sys

from guest import Failure, Guest, options
from qmp import Monitor
from support import Tally
import test_exporter

KIND, CACHED = "test pfn", 1
STOPPED = "internal-error"


def parse():
    args = options(__doc__, "stop", 65536, 120, True).parse_args()
    args.accel, args.stock = "kvm", False
    args.socket = os.path.join(args.run_dir, args.name + ".qmp")
    args.qemu += ["-smp", "2", "-qmp", "unix:%s,server=on,wait=off" %
                  args.socket]
    return args


def start(args):
    return Guest(args, "lose-blobs",
                 [args.size, test_exporter.KINDS[KIND] | CACHED << 8])


def use(guest):
    """The guest's four threads use the blob; the host's file of it."""
    files = {}
    guest.step("ready")
    guest.go_on()
    guest.step("mapped")
    for view, _ in guest.blob_files(files).values():
        view.close()
    guest.go_on()
    guest.step("looking")
    return files[0]


def said(args, pattern):
    with open(os.path.join(args.run_dir, args.name + ".err"),
              errors="replace") as f:
        return re.findall(pattern, f.read())


def run(args, tally):
    guest, name = start(args), args.name
    device = test_exporter.Device()
    try:
        buffer = use(guest)
        monitor = Monitor(args.socket, args.timeout)
        device.act(buffer, test_exporter.REVOKE)
        tally.equal(monitor.await_status(STOPPED, 60), STOPPED,
                    name + ": the VM stops, as it does without us")
        tally.equal(len(said(args, "kvm run failed")) > 0, True,
                    name + ": KVM's code says so")
        tally.equal(said(args, r'exporter "([^"]*)"\): its backing memory'),
                    ["dma_buf_test"], name + ": the log says whose buffer")
        monitor.ask("set-action", reboot="reset")
        monitor.ask("system_reset")
        monitor.ask("cont")
        use(guest)
        tally.check(True, name + ": a reset brings the machine back")
        tally.equal(monitor.await_status("running", 10), "running",
                    name + ": and it goes on")
        monitor.ask("quit")
        tally.equal(guest.process.wait(60), 0, name + ": QEMU ends well")
    except (Failure, OSError) as e:
        tally.check(False, name + ": all steps", str(e))
        guest.show_end()
    finally:
        guest.stop()


def main():
    args = parse()
    sys.stdout.reconfigure(line_buffering=True)
    tally = Tally()
    run(args, tally)
    return tally.end()


sys.exit(main())
