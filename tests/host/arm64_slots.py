# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest makes KVM's slot over the window anew, with blobs in it."""

import struct

from arm64 import PAGE, true_word
import vgpu


class Slots:
    def __init__(self, run, n):
        self.run, self.n = run, n
        self.gpu, self.vcpu, self.tally = run.gpu, run.vcpu, run.tally
        self.kinds = run.host.lasting()
        self.size = 4 * PAGE
        self.name = "slots: %d blobs, %d kinds" % (n, len(self.kinds))
        self.first = 0

    def fill(self):
        """Maps the blobs, one kind after the other, from the window's start."""
        refused = []
        for i in range(self.n):
            kind = self.kinds[i % len(self.kinds)]
            res, made = self.run.new(kind, true_word(kind), size=self.size)
            answer = self.gpu.map_blob(res, i * self.size)[0]
            if (made, answer) != (vgpu.OK_NODATA, vgpu.OK_MAP_INFO):
                refused.append((kind, i, hex(made), hex(answer)))
        self.tally.equal(refused, [], self.name + ": are mapped")

    def write(self):
        """The first word of each blob."""
        self.first = self.run.next_stamp()
        self.vcpu.write(self.gpu.window, self.n, self.size, self.first)

    def toggle(self, times):
        """Memory decoding off and on, by the guest's processor, with a look
        at the first word of each blob after each."""
        name = "%s, decoding off and on %d times" % (self.name, times)
        self.write()
        wrong, micros = self.vcpu.toggle(
            self.gpu.board.config_addr(self.gpu.devfn, 4), 4, 6, times,
            self.gpu.window, self.n, self.size, self.first)
        self.tally.equal(wrong, 0, name + ": contents after each")
        print("%s: %.3f ms each" % (name, micros / times / 1e3))

    def move_bar(self):
        """The window gets another address, and has the same blobs there."""
        self.write()
        self.gpu.move_window(self.gpu.window + (1 << 32))
        self.tally.equal(
            self.vcpu.read(self.gpu.window, self.n, self.size, self.first), 0,
            self.name + ", the BAR moves: contents at the new address")

    def look(self):
        """At each blob, from the host's side."""
        self.write()
        wrong = 0
        for i in range(self.n):
            view = self.run.view(self.run.next_id - self.n + i, self.size)
            wrong += struct.unpack_from("<Q", view)[0] != self.first + i
            view.close()
        self.tally.equal(wrong, 0,
                         self.name + ": the host reads what was written")


def check(run):
    slots = Slots(run, run.args.blobs)
    slots.fill()
    slots.toggle(run.args.times)
    slots.move_bar()
    slots.look()
