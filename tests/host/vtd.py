# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's IOMMU: as much of Intel's VT-d as it takes to map some pages.

Registers and tables are those of the VT-d specification, chapters 9 and 11:
legacy mode, three levels, 4 KiB pages, one domain for one device on bus 0.
"""

import struct

import vgpu

REGISTERS = 0xFED90000
GCMD, GSTS, RTADDR, CCMD, IVA = 0x18, 0x1C, 0x20, 0x28, 0xF0
IOTLB = IVA + 8
SET_ROOT, ENABLE = 1 << 30, 1 << 31
ICC_GLOBAL = 1 << 63 | 1 << 61
IVT_GLOBAL = 1 << 63 | 1 << 60
READ_WRITE = 3
# Where its tables are in guest memory: root, context, then one of each level
TABLES = 0x200000
ROOT, CONTEXT, LEVEL3, LEVEL2, LEVEL1 = range(TABLES, TABLES + 0x5000, 0x1000)


class Vtd:
    """Translation for one device, from enable() on."""

    def __init__(self, machine, devfn):
        self.m = machine
        self.m.write(TABLES, bytes(0x5000))
        self._entry(ROOT, 0, CONTEXT | 1, 0)
        # 39 bits of address, domain 1
        self._entry(CONTEXT, devfn, LEVEL3 | 1, 1 | 1 << 8)
        self._put(LEVEL3, 0, LEVEL2 | READ_WRITE)
        self._put(LEVEL2, 0, LEVEL1 | READ_WRITE)

    def _entry(self, table, index, low, high):
        self.m.write(table + 16 * index, struct.pack("<QQ", low, high))

    def _put(self, table, index, value):
        self.m.write(table + 8 * index, struct.pack("<Q", value))

    def _command(self, bit):
        self.m.mem("l", REGISTERS + GCMD, bit)
        if not self.m.mem("l", REGISTERS + GSTS) & bit:
            raise vgpu.Failure("the IOMMU does not do %#x" % bit)

    def _flush(self):
        self.m.mem("q", REGISTERS + CCMD, ICC_GLOBAL)
        self.m.mem("q", REGISTERS + IOTLB, IVT_GLOBAL)

    def enable(self):
        self.m.mem("q", REGISTERS + RTADDR, ROOT)
        self._command(SET_ROOT)
        self._flush()
        self._command(ENABLE)

    def map(self, iova, addr):
        """A page below 2 MiB of the device's addresses."""
        self._put(LEVEL1, iova >> 12, addr | READ_WRITE)
        self._flush()

    def unmap(self, iova):
        self._put(LEVEL1, iova >> 12, 0)
        self._flush()
