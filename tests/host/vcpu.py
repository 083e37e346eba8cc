# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that does what it is told: the other side of vcpu.S."""

import struct
import time

import vgpu

MAILBOX = 0x40200000
ORDERED, DONE = 0x00, 0x04
READ, WRITE, TOGGLE = 1, 2, 3
# All that an order has, from BOX_WHAT on; the results are zero
ORDER = "<IIQQQQQQQQQIIQ"
RESULTS = "<QQQ"
ESR = 0x30
MICROS = 0x60


class Fault(Exception):
    """The guest's access was not served as one to memory is."""


class Stopped(Fault):
    """KVM could not serve it, and QEMU stopped the machine."""


class Virt:
    """Where things are on an arm64 virt board (PC, in vgpu.py)."""

    bar_mmio = 0x10000000
    bar_window = 0x8000000000
    ram = 0x40000000
    ecam = 0x4010000000

    @classmethod
    def config_addr(cls, devfn, reg):
        return cls.ecam + (devfn << 12 | (reg & 0xFFC))

    @classmethod
    def config(cls, machine, devfn, reg, value):
        return machine.mem("l", cls.config_addr(devfn, reg), value)


class VCPU:
    def __init__(self, machine):
        self.m = machine
        self.ordered = 0

    def _order(self, what, addr, count, stride, value, toggle):
        m = self.m
        m.write(MAILBOX + 8,
                struct.pack(ORDER, what, 0, addr, count, stride, value, 0, 0,
                            0, *toggle, 0))
        self.ordered += 1
        m.mem("l", MAILBOX + ORDERED, self.ordered)

    def _wait(self, timeout):
        deadline = time.monotonic() + timeout
        while self.m.mem("l", MAILBOX + DONE) != self.ordered:
            if time.monotonic() > deadline:
                said = self.m.log_text()
                at = said.find("error: kvm run failed")
                if at >= 0:
                    raise Stopped(said[at:at + 600])
                raise Fault("the guest does not answer: " + said[-600:])
            self.m.wait()

    def _do(self, what, addr, count, stride, value, toggle=(0, 0, 0, 0),
            timeout=20):
        """Returns how many words were wrong."""
        self._order(what, addr, count, stride, value, toggle)
        self._wait(timeout)
        faults = self.m.mem("l", MAILBOX + 0xC)
        esr, far, wrong = struct.unpack(
            RESULTS, self.m.read(MAILBOX + ESR, struct.calcsize(RESULTS)))
        if faults:
            raise Fault("%d faults, the last one at %#x, ESR %#x" %
                        (faults, far, esr))
        return wrong

    def read(self, addr, count, stride, value):
        """Reads words; counts those that are not value, value + 1, ..."""
        return self._do(READ, addr, count, stride, value)

    def write(self, addr, count, stride, value, timeout=20):
        self._do(WRITE, addr, count, stride, value, timeout=timeout)

    def toggle(self, reg, off, on, times, addr, count, stride, value):
        """Writes off and on to a register and reads as read() does, so many
        times; returns what was wrong and the microseconds it took."""
        wrong = self._do(TOGGLE, addr, count, stride, value,
                         (reg, times, off, on), 60 + 2 * times)
        micros, = struct.unpack("<Q", self.m.read(MAILBOX + MICROS, 8))
        return wrong, micros
