# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's edu device, for what it does by itself: reading and writing memory.

docs/specs/edu.rst has its registers.  It is driven over the qtest protocol,
as a device that was given to the guest.
"""

import time

import vgpu

BAR = 0xF0000000
SRC, DST, COUNT, COMMAND = 0x80, 0x88, 0x90, 0x98
START, TO_MEMORY = 1, 2
BUFFER = 0x40000
PAGE = 4096


class Edu:
    """The device: one transfer at a time, of at most a page.

    What the test has, and what the device shall have, goes through two pages
    of guest memory, which the device finds at base.
    """

    BASE = 0x10000

    def __init__(self, machine, devfn):
        self.m = machine
        self.devfn = devfn
        self.base = vgpu.RAM_FREE
        if self._config(0) != 0x11E81234:
            raise vgpu.Failure("no edu in slot %#x" % devfn)
        self._config(0x10, BAR)
        self._config(4, 0x6)

    def _config(self, reg, value=None):
        return vgpu.config(self.m, self.devfn, reg, value)

    def _transfer(self, src, dst, size, direction=0):
        m = self.m
        for reg, value in ((SRC, src), (DST, dst), (COUNT, size),
                           (COMMAND, START | direction)):
            m.mem("q", BAR + reg, value)
        for _ in range(1000):
            if not m.mem("q", BAR + COMMAND) & START:
                return
            time.sleep(0.02)
        raise vgpu.Failure("edu does not end a transfer")

    def read(self, addr, size):
        """What the device finds at an address of its own."""
        # What it read before must not look like what it reads now.
        self._transfer(self.base, BUFFER, size)
        self._transfer(addr, BUFFER, size)
        self._transfer(BUFFER, self.base + PAGE, size, TO_MEMORY)
        return self.m.read(vgpu.RAM_FREE + PAGE, size)

    def write(self, addr, data):
        """The device writes to an address of its own."""
        self.m.write(vgpu.RAM_FREE + PAGE, data)
        self._transfer(self.base + PAGE, BUFFER, len(data))
        self._transfer(BUFFER, addr, len(data), TO_MEMORY)
