# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux guest that goes on step by step, as its caller says."""

import argparse
import mmap
import os
import queue
import re
import struct
import subprocess
import threading
import time

from support import board, fetch_fd

GUEST_TAG = 0x47554553542D0000


class Failure(Exception):
    """The run cannot go on."""


def family(pid):
    """The process and all below it."""
    found = [pid]
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            path = "/proc/%d/task/%s/children" % (pid, task)
            with open(path) as f:
                for child in f.read().split():
                    found += family(int(child))
    except OSError:
        # CONFIG_PROC_CHILDREN may be off: go through all processes
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open("/proc/%s/stat" % entry) as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += family(int(entry))
    return found


def options(doc, name, size, timeout, need_renderer):
    """What each check of a guest is told; with these defaults."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--name", default=name)
    parser.add_argument("--renderer", required=need_renderer,
                        help="libreal-buffers.so: the kernel's dma-bufs")
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initramfs", required=True)
    parser.add_argument("--size", type=int, default=size)
    parser.add_argument("--hostmem", default="256M")
    parser.add_argument("--memory", default="512M")
    parser.add_argument("--policy", default="",
                        help="of map-policy; its default otherwise")
    parser.add_argument("--timeout", type=int, default=timeout,
                        help="seconds for each step")
    parser.add_argument("--run-dir", required=True)
    parser.add_argument("qemu", nargs="+", help="QEMU and its first options")
    return parser


class Guest:
    """Runs a program that is in its initramfs, with these words."""

    def __init__(self, args, program, words):
        self.args = args
        self.trace = os.path.join(args.run_dir, "%s-trace.log" % args.name)
        self.console = []
        self.lines = queue.Queue()
        env = dict(os.environ, SDL_VIDEODRIVER="offscreen",
                   XDG_RUNTIME_DIR=args.run_dir)
        if args.renderer:
            env["LD_PRELOAD"] = args.renderer
        argv = args.qemu + [
            *board.options(args.accel), "-m", args.memory,
            "-nodefaults", "-no-user-config", "-no-reboot",
            "-kernel", args.kernel, "-initrd", args.initramfs,
            "-append", "console=" + board.CONSOLE + " quiet loglevel=3 "
            "iomem=relaxed run=" + ",".join(str(w) for w in [program] + words),
            "-serial", "stdio", "-monitor", "none",
            "-display", "sdl,gl=on",
            "-device", "virtio-gpu-gl-pci,blob=on,hostmem=%s,venus=on" %
            args.hostmem + (",map-policy=" + args.policy if args.policy
                            else ""),
            "-trace", "kvm_set_user_memory", "-D", self.trace,
        ]
        if not args.stock:
            argv += ["-trace", "virtio_gpu_blob_*"]
        self.process = subprocess.Popen(
            argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=open(os.path.join(args.run_dir, args.name + ".err"), "wb"))
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self):
        for line in self.process.stdout:
            self.lines.put(line.decode(errors="replace").strip())
        self.lines.put(None)

    def go_on(self):
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def step(self, name, timeout=None):
        """Waits for the step's line; returns its words as numbers by name."""
        timeout = timeout or self.args.timeout
        deadline = time.monotonic() + timeout
        while True:
            try:
                line = self.lines.get(
                    timeout=max(0.1, deadline - time.monotonic()))
            except queue.Empty:
                raise Failure("step %s: not reached within %d s" %
                              (name, timeout)) from None
            if line is None:
                code = self.process.wait(20)
                raise Failure("step %s: QEMU ended with %s" % (name, code))
            self.console.append(line)
            found = re.search(r"(FAIL|STEP) (.*)", line)
            if not found:
                continue
            if found.group(1) == "FAIL":
                raise Failure("step %s: the guest says: %s" %
                              (name, found.group(2)))
            words = found.group(2).split()
            if words[0] != name:
                raise Failure("step %s: the guest is at %s" % (name, line))
            values = {words[0]: 0}
            if len(words) % 2:
                words.insert(1, "-1")
            for key, value in zip(words[::2], words[1::2]):
                values[key] = int(value)
            return values

    def slots(self):
        """KVM's live memory slots, and how often any was set."""
        live, calls = set(), 0
        with open(self.trace) as f:
            for line in f:
                found = re.search(r"kvm_set_user_memory AddrSpace#(\d+) "
                                  r"Slot#(\d+) .*size=0x([0-9a-f]+)", line)
                if found:
                    calls += 1
                    slot = found.group(1), found.group(2)
                    if int(found.group(3), 16):
                        live.add(slot)
                    else:
                        live.discard(slot)
        return len(live), calls

    def blob_files(self, keep=None):
        """The blobs' memory as the renderer holds it, by the guest's tags.

        keep: a dictionary for the files themselves, by the same tags.
        """
        files, seen = {}, set()
        size = self.args.size
        for pid in family(self.process.pid):
            base = "/proc/%d/fd" % pid
            for name in os.listdir(base):
                path = os.path.join(base, name)
                try:
                    link = os.readlink(path)
                    if "memfd:" not in link and "dmabuf" not in link:
                        continue
                    stat = os.stat(path)
                    inode = stat.st_dev, stat.st_ino
                    if inode in seen:
                        continue
                    fd = fetch_fd(pid, int(name))
                    view = mmap.mmap(fd, size)
                except (OSError, ValueError):
                    continue
                seen.add(inode)
                tag, = struct.unpack_from("<Q", view)
                end, = struct.unpack_from("<Q", view, size - 8)
                if not GUEST_TAG <= tag < GUEST_TAG + 65536:
                    view.close()
                    os.close(fd)
                    continue
                files[tag - GUEST_TAG] = (view, end == ~tag % 2 ** 64)
                if keep is None:
                    os.close(fd)
                else:
                    keep[tag - GUEST_TAG] = fd
        return files

    def show_end(self):
        """What the guest and QEMU said last."""
        print("the end of the guest's console:")
        for line in self.console[-15:]:
            print("  | " + line)
        with open(os.path.join(self.args.run_dir, self.args.name + ".err"),
                  errors="replace") as f:
            for line in f.readlines()[-12:]:
                print("  ! " + line.rstrip())

    def stop(self):
        """Ends QEMU, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def rss(self):
        with open("/proc/%d/status" % self.process.pid) as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
