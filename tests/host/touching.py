# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest whose vCPUs read and write pages of the window: the other side of
gap-vcpu.S."""

import os

from support import fetch_fd
import vgpu

PAGE = 4096
# As in gap-vcpu.S
MAILBOX = 0x70000
ADDR, COUNT, VCPUS, PASSES, WRONG = 0x00, 0x04, 0x08, 0x10, 0x20
CACHED = 1


class Board(vgpu.PC):
    """The window lies where vCPUs without paging reach it."""

    bar_window = 0xC0000000


class Guest:
    """Two vCPUs that wait, a device, and threads of QEMU that map memory."""

    def __init__(self, args, accel="kvm", threads=0, options=()):
        log = os.path.join(args.run_dir, "vcpus.log")
        env = dict(os.environ, LD_PRELOAD=args.renderer,
                   REAL_BUFFERS_THREADS=str(threads),
                   SDL_VIDEODRIVER="offscreen", XDG_RUNTIME_DIR=args.run_dir)
        self.machine = vgpu.Machine(args.qemu + [
            "-M", "pc", "-m", "64M", "-smp", "2", "-bios", args.vcpu,
            "-nodefaults", "-no-user-config", "-display", "sdl,gl=on",
            "-device", "virtio-gpu-gl-pci,addr=2,blob=on,hostmem=256M",
            *options,
        ], env, args.run_dir, log, 120, accel)
        self.gpu = vgpu.Gpu(self.machine, board=Board)
        self.gpu.create_context(1)

    def word(self, at):
        return self.machine.mem("l", MAILBOX + at)

    def passes(self):
        return [self.word(PASSES + 4 * i) for i in (0, 1)]

    def wrong(self):
        return [self.word(WRONG + 4 * i) for i in (0, 1)]

    def wait_until(self, condition):
        for _ in range(20000):
            if condition():
                return True
            self.machine.wait()
        return False

    def start_vcpus(self, pages):
        """They access so many pages at the start of the window, forever."""
        self.wait_until(lambda: self.word(VCPUS) == 2)
        self.machine.mem("l", MAILBOX + COUNT, pages)
        self.machine.mem("l", MAILBOX + ADDR, self.gpu.window)

    def blob(self, res, blob_id, size):
        """Creates it; returns its file, as the renderer has it."""
        self.gpu.create_blob(res, blob_id | CACHED << 8, size)
        text = self.machine.log_text()
        line = "real-buffers: resource %d kind " % res
        number = text[text.index(line):].split()[6]
        return fetch_fd(self.machine.process.pid, int(number))
