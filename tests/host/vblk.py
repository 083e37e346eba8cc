# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-blk over the qtest protocol: the same requests again and again."""

import struct

import vgpu

READ, WRITE = 0, 1
OK, IO_ERROR = 0, 1
UNANSWERED = 0xFF
SECTOR = 512
# Descriptors of a request: its header, the page, its status
CHAIN = 3
# Behind the headers
STATUS = 0x1000


class Disk(vgpu.Virtio):
    """A disk; all its requests are sent again when they are answered."""

    # The ring has a multiple of them, so what is in it stays
    REQUESTS = 16

    def __init__(self, machine, devfn, board, at):
        super().__init__(machine, 0x1042, devfn, board, at=at)
        self.status = self.ram + vgpu.RAM_BUF + STATUS
        self.answers = {OK: 0, IO_ERROR: 0}

    def prepare(self, pages, size, kinds):
        """Requests of one page each, of these kinds in turn."""
        for i in range(self.REQUESTS):
            kind = kinds[i % len(kinds)]
            header = self.ram + vgpu.RAM_BUF + i * 16
            self.m.write(header, struct.pack(
                "<IIQ", kind, 0, i * size // SECTOR))
            self.m.write(self.ram + vgpu.RAM_DESC + i * CHAIN * 16, b"".join(
                struct.pack("<QIHH", *words) for words in (
                    (header, 16, 1, i * CHAIN + 1),
                    (pages[i % len(pages)], size,
                     1 | (2 if kind == READ else 0), i * CHAIN + 2),
                    (self.status + i, 1, 2, 0))))
        self.m.write(self.ram + vgpu.RAM_AVAIL + 4, b"".join(
            struct.pack("<H", i % self.REQUESTS * CHAIN)
            for i in range(vgpu.QUEUE_SIZE)))

    def go_on(self):
        """Sends them, unless one is not yet answered."""
        if self.m.mem("w", self.ram + vgpu.RAM_USED + 2) != self.head:
            return
        if self.head:
            for answer in self.m.read(self.status, self.REQUESTS):
                self.answers[answer] = self.answers.get(answer, 0) + 1
        self.m.write(self.status, bytes([UNANSWERED]) * self.REQUESTS)
        self.head = (self.head + self.REQUESTS) & 0xFFFF
        self.m.mem("w", self.ram + vgpu.RAM_AVAIL + 2, self.head)
        self.m.mem("w", self.doorbell, 0)
