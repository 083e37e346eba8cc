# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-gpu over the qtest protocol: as much of a driver as the tests need.

Speaks qtest's own text protocol to a QEMU, finds the device on PCI bus 0 of a
board, and sends commands through its control queue.  Depends on nothing but
Python.
"""

import os
import socket
import struct
import subprocess
import time

CREATE_BLOB = 0x010C
UNREF = 0x0102
MAP_BLOB = 0x0208
UNMAP_BLOB = 0x0209
CTX_CREATE = 0x0200

OK_NODATA = 0x1100
OK_MAP_INFO = 0x1106
ERR_UNSPEC = 0x1200
ERR_OUT_OF_MEMORY = 0x1201
ERR_INVALID_RESOURCE_ID = 0x1203
ERR_INVALID_PARAMETER = 0x1205

HOST3D = 2
USE_MAPPABLE = 1

# Where the test puts its own memory, from the start of the board's
RAM_DESC = 0x100000
RAM_AVAIL = 0x101000
RAM_USED = 0x102000
RAM_BUF = 0x110000
# From here on it is the test's, up to the end of 64 MiB
RAM_FREE = 0x300000
QUEUE_SIZE = 64


class Failure(Exception):
    """The device or QEMU did something that no test expects."""


def config(machine, devfn, reg, value=None):
    """A word of a device's configuration space, on bus 0: read or written."""
    machine.ask("outl", "0xcf8",
                hex(0x80000000 | devfn << 8 | (reg & 0xFC)))
    if value is None:
        return int(machine.ask("inl", "0xcfc")[0], 0)
    machine.ask("outl", "0xcfc", hex(value))
    return None


class PC:
    """Where things are on a pc, and how its PCI configuration is reached."""

    bar_mmio = 0xE0000000
    bar_window = 0x100000000 * 8
    ram = 0
    config = staticmethod(config)


class Machine:
    """A QEMU with a virtio-gpu-gl device, driven over qtest, until close()."""

    def __init__(self, argv, env, run_dir, log, timeout=60, accel="qtest"):
        self.accel = accel
        self.path = os.path.join(run_dir, "qtest.%d" % os.getpid())
        if os.path.exists(self.path):
            os.unlink(self.path)
        server = socket.socket(socket.AF_UNIX)
        server.bind(self.path)
        server.listen(1)
        server.settimeout(timeout)
        self.log = open(log, "wb")
        self.log_path = log
        self.process = subprocess.Popen(
            argv + ["-accel", accel, "-qtest", "unix:" + self.path,
                    "-qtest-log", "/dev/null"],
            env=env, stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log)
        self.avail = 0
        try:
            self.sock = self._accept(server, timeout)
        except BaseException:
            self.process.kill()
            raise
        self.sock.settimeout(timeout)
        self.stream = self.sock.makefile("rwb")

    def _accept(self, server, timeout):
        server.settimeout(0.2)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failure("QEMU ended: " + self.log_tail())
            try:
                return server.accept()[0]
            except socket.timeout:
                pass
        raise Failure("QEMU does not connect: " + self.log_tail())

    def log_text(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def log_tail(self):
        return self.log_text()[-2000:]

    def ask(self, *words):
        self.stream.write((" ".join(words) + "\n").encode())
        self.stream.flush()
        while True:
            line = self.stream.readline().decode().split()
            if not line:
                self.process.wait(10)
                raise Failure("QEMU is gone (%s): %s" %
                              (self.process.returncode, self.log_tail()))
            if line[0] == "OK":
                return line[1:]
            if line[0] != "IRQ":
                raise Failure("qtest: %s -> %s" % (words, line))

    def read(self, addr, size):
        data = self.ask("read", hex(addr), hex(size))[0]
        return bytes.fromhex(data[2:])

    def write(self, addr, data):
        self.ask("write", hex(addr), hex(len(data)), "0x" + data.hex())

    def mem(self, width, addr, value=None):
        if value is None:
            return int(self.ask("read" + width, hex(addr))[0], 0)
        self.ask("write" + width, hex(addr), hex(value))
        return None

    def wait(self):
        """Lets QEMU work for a moment."""
        if self.accel == "qtest":
            self.ask("clock_step", "1000000")
        else:
            time.sleep(0.001)

    def close(self):
        """Ends QEMU; returns its exit code."""
        self.process.terminate()
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.sock.close()
        self.log.close()
        os.unlink(self.path)
        return code


class Virtio:
    """A virtio device on PCI: its registers and its first queue."""

    # VERSION_1
    FEATURES = 1 << 32

    def __init__(self, machine, ident, devfn, board, features=0, at=0):
        """features: what is taken beside FEATURES where it is offered; at:
        how far its memory and its registers are behind those of others"""
        self.m = machine
        self.wanted = self.FEATURES | features
        self.devfn = devfn
        self.board = board
        self.ram = board.ram + at
        self.mmio = board.bar_mmio + at
        self.window = board.bar_window
        self.window_size = 0
        if self.config(0) != ident << 16 | 0x1AF4:
            raise Failure("no virtio device %#x in slot %#x: %#x" %
                          (ident, devfn, self.config(0)))
        self.caps = {}
        self._place_bars()
        self._read_caps()
        self._start()

    def config(self, reg, value=None):
        return self.board.config(self.m, self.devfn, reg, value)

    def config_byte(self, reg):
        return self.config(reg) >> (reg & 3) * 8 & 0xFF

    def _place_bars(self):
        """A 64-bit BAR gets the window's place, the others share the rest."""
        self.bars = {}
        low, bar = self.mmio, 0
        while bar < 6:
            reg = 0x10 + bar * 4
            self.config(reg, 0xFFFFFFFF)
            mask = self.config(reg)
            wide = mask & 7 == 4 or mask & 6 == 4
            if mask and not mask & 1:
                size_low = mask & ~0xF
                if wide:
                    self.config(reg + 4, 0xFFFFFFFF)
                    full = self.config(reg + 4) << 32 | size_low
                    size = (~full + 1) & (2 ** 64 - 1)
                else:
                    size = (~size_low + 1) & 0xFFFFFFFF
                if wide and size > 1 << 20:
                    addr = self.board.bar_window
                else:
                    low = (low + size - 1) & ~(size - 1)
                    addr, low = low, low + size
                self.config(reg, addr & 0xFFFFFFFF)
                if wide:
                    self.config(reg + 4, addr >> 32)
                self.bars[bar] = addr
            bar += 2 if wide else 1
        self.config(4, 0x6)

    def move_window(self, addr):
        """Puts the window elsewhere, as a guest does: decoding is off
        meanwhile."""
        bar, = [n for n, at in self.bars.items() if at == self.window]
        self.config(4, 0x4)
        self.config(0x10 + bar * 4, addr & 0xFFFFFFFF)
        self.config(0x14 + bar * 4, addr >> 32)
        self.config(4, 0x6)
        self.bars[bar] = self.window = addr

    def _read_caps(self):
        cap = self.config_byte(0x34)
        while cap:
            if self.config_byte(cap) == 9:
                kind = self.config_byte(cap + 3)
                bar = self.config_byte(cap + 4)
                offset = self.config(cap + 8)
                length = self.config(cap + 12)
                if kind == 8:
                    offset |= self.config(cap + 16) << 32
                    length |= self.config(cap + 20) << 32
                    self.window = self.bars[bar] + offset
                    self.window_size = length
                elif kind <= 4:
                    self.caps[kind] = self.bars[bar] + offset
                    if kind == 2:
                        self.notify_factor = self.config(cap + 16)
            cap = self.config_byte(cap + 1)

    def _start(self):
        common, m = self.caps[1], self.m
        m.mem("b", common + 20, 0)
        m.mem("b", common + 20, 3)
        self.offered = 0
        for half in (0, 1):
            m.mem("l", common, half)
            offered = m.mem("l", common + 4)
            self.offered |= offered << 32 * half
            m.mem("l", common + 8, half)
            m.mem("l", common + 12, offered & self.wanted >> 32 * half)
        m.mem("b", common + 20, 11)
        m.mem("w", common + 22, 0)
        m.mem("w", common + 24, QUEUE_SIZE)
        for reg, addr in ((32, RAM_DESC), (40, RAM_AVAIL), (48, RAM_USED)):
            m.mem("l", common + reg, self.ram + addr)
            m.mem("l", common + reg + 4, 0)
        self.doorbell = (self.caps[2] +
                         m.mem("w", common + 30) * self.notify_factor)
        m.mem("w", common + 28, 1)
        m.mem("b", common + 20, 15)
        self.head = 0


class Gpu(Virtio):
    """virtio-gpu-gl: commands."""

    # 3D, blobs, VERSION_1
    FEATURES = 1 << 0 | 1 << 3 | 1 << 32

    def __init__(self, machine, devfn=0x10, board=PC, features=0):
        super().__init__(machine, 0x1050, devfn, board, features)

    def command(self, data, room=64):
        """Sends one command, returns its reply."""
        m, slot = self.m, self.head % (QUEUE_SIZE // 2)
        ram = self.ram
        out = ram + RAM_BUF + slot * 4096
        back = out + 2048
        m.write(out, data)
        m.write(back, bytes(room))
        m.write(ram + RAM_DESC + slot * 32,
                struct.pack("<QIHHQIHH", out, len(data), 1, slot * 2 + 1,
                            back, room, 2, 0))
        m.mem("w", ram + RAM_AVAIL + 4 + 2 * (self.head % QUEUE_SIZE),
              slot * 2)
        self.head = (self.head + 1) & 0xFFFF
        m.mem("w", ram + RAM_AVAIL + 2, self.head)
        m.mem("w", self.doorbell, 0)
        for _ in range(5000):
            if m.mem("w", ram + RAM_USED + 2) == self.head:
                return m.read(back, room)
            m.wait()
        raise Failure("no answer to command %#x" %
                      struct.unpack_from("<I", data)[0])

    @staticmethod
    def header(kind, ctx=0):
        return struct.pack("<IIQIB3x", kind, 0, 0, ctx, 0)

    def simple(self, kind, body, ctx=0):
        return struct.unpack_from(
            "<I", self.command(self.header(kind, ctx) + body))[0]

    def create_context(self, ctx):
        return self.simple(CTX_CREATE, struct.pack("<II64s", 4, 0, b"test"),
                           ctx)

    def create_blob(self, res, blob_id, size, ctx=1, flags=USE_MAPPABLE):
        return self.simple(
            CREATE_BLOB,
            struct.pack("<IIIIQQ", res, HOST3D, flags, 0, blob_id, size), ctx)

    def map_blob(self, res, offset):
        """Returns the reply's type, map info and padding."""
        reply = self.command(self.header(MAP_BLOB) +
                             struct.pack("<IIQ", res, 0, offset))
        kind, = struct.unpack_from("<I", reply)
        info, padding = struct.unpack_from("<II", reply, 24)
        return kind, info, padding

    def unmap_blob(self, res):
        return self.simple(UNMAP_BLOB, struct.pack("<II", res, 0))

    def unref(self, res):
        return self.simple(UNREF, struct.pack("<II", res, 0))
