# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks notice what is wrong: they fail when a guest is told another type
than the host's, and when the device takes the host for another one."""

from arm64 import PAGE, PAGES, Run
from support import Tally
import vgpu


class Failures(Tally):
    """Keeps to itself what fails."""

    def __init__(self):
        super().__init__()
        self.names = []

    def check(self, ok, what, detail=""):
        if not ok:
            self.names.append(what)


def failures(run, word):
    """What the oracle says of a write-combined buffer that is granted,
    whatever the guest was told of it; None if it is refused."""
    res, _ = run.new("vgem", word)
    answer = run.gpu.map_blob(res, 0)
    if answer[0] != vgpu.OK_MAP_INFO:
        return None
    run.vcpu.read(run.gpu.window, PAGES, PAGE, 0)
    said = Failures()
    run.tally, tally = said, run.tally
    run.compare("vgem", "vgem", run.gpu.window, answer[1])
    run.tally = tally
    run.remove("wrong: vgem", res)
    return said.names


NOTICED = ["vgem: the guest's type is the host's"]


def check(run):
    run.tally.equal(failures(run, "cached"), NOTICED,
                    "wrong: told cached, which the oracle notices")


def check_host(args, host, tally):
    """With S2FWB it is granted, and without refused; the contrary of what
    the cases have."""
    with Run(args, host, "safe", tally, preload=[args.liar]) as run:
        tally.equal(failures(run, "wc"), NOTICED if host.fwb else None,
                    "wrong: taken for a host %s S2FWB, which is noticed" %
                    ("without" if host.fwb else "with"))
