# SPDX-License-Identifier: GPL-2.0-or-later
"""What the checks share: keeping count, another process's open files, and the
demo's word on boards."""

import ctypes
import os
import sys

# pylint: disable=wrong-import-position
sys.path.append(os.path.join(os.path.dirname(__file__), "..", "guest"))
import board  # noqa: E402,F401

SYS_PIDFD_GETFD = 438


class Tally:
    """Prints and counts what passed and failed."""

    def __init__(self, name=""):
        self.passed = self.failed = self.skipped = 0
        self.prefix = name + ": " if name else ""

    def check(self, ok, what, detail=""):
        if ok:
            self.passed += 1
            print("ok - " + self.prefix + what)
        else:
            self.failed += 1
            print("FAILED - %s%s: %s" % (self.prefix, what, detail))
        sys.stdout.flush()

    def equal(self, got, want, what):
        self.check(got == want, what, "%r, expected %r" % (got, want))

    def skip(self, what, why):
        self.skipped += 1
        print("skipped - %s%s: %s" % (self.prefix, what, why))
        sys.stdout.flush()

    def end(self):
        """Prints the last line; returns the exit code."""
        line = "%d passed, %d failed" % (self.passed, self.failed)
        if self.skipped:
            line += ", %d skipped" % self.skipped
        print(line)
        return 1 if self.failed else 0


def fetch_fd(pid, number):
    """The open file that another process has under this number."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    try:
        fd = libc.syscall(*[ctypes.c_long(arg) for arg in
                            (SYS_PIDFD_GETFD, pidfd, number, 0)])
        if fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return fd
    finally:
        os.close(pidfd)
