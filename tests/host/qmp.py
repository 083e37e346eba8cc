# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's monitor, as far as the checks ask it."""

import json
import socket
import time


class Monitor:
    """A connection to QEMU's QMP socket; it appears while QEMU starts."""

    def __init__(self, path, timeout):
        deadline = time.monotonic() + timeout
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        while True:
            try:
                self.socket.connect(path)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        self.lines = self.socket.makefile("rb")
        self.lines.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        """The command's answer; events that come first are left out."""
        text = json.dumps({"execute": command, "arguments": arguments})
        self.socket.sendall(text.encode() + b"\n")
        while True:
            answer = json.loads(self.lines.readline())
            if "event" not in answer:
                return answer["return"]

    def await_status(self, wanted, timeout):
        """The VM's state: when it is that one, or the time is over."""
        deadline = time.monotonic() + timeout
        while True:
            status = self.ask("query-status")["status"]
            if status == wanted or time.monotonic() > deadline:
                return status
            time.sleep(0.2)
