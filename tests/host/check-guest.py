#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a Linux guest with many blobs mapped, and looks on.

The guest runs many-blobs.c on the real virglrenderer.  This side finds the
blobs' memory in the renderer's files, checks what the guest wrote there,
writes an answer, and under KVM counts memory slots at every step.
"""

import argparse
import mmap
import os
import queue
import re
import struct
import subprocess
import sys
import threading
import time

from support import Tally, fetch_fd

GUEST_TAG = 0x47554553542D0000
HOST_TAG = 0x484F53542D2D0000

# What the guest asks of real-buffers.c in turns: udmabuf, vgem, memfd, with
# the renderer silent; the second is the one that is write-combined
BUFFERS = [1, 2, 4]


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


class Guest:
    def __init__(self, args):
        self.args = args
        self.trace = os.path.join(args.run_dir, "%s-trace.log" % args.name)
        self.console = []
        self.lines = queue.Queue()
        env = dict(os.environ, SDL_VIDEODRIVER="offscreen",
                   XDG_RUNTIME_DIR=args.run_dir)
        words = [args.blobs, args.size, args.toggles]
        if args.renderer:
            env["LD_PRELOAD"] = args.renderer
            words += BUFFERS
        argv = args.qemu + [
            "-M", "q35", "-accel", args.accel,
            "-cpu", "host" if args.accel == "kvm" else "max", "-m", "512M",
            "-nodefaults", "-no-user-config", "-no-reboot",
            "-kernel", args.kernel, "-initrd", args.initramfs,
            "-append", "console=ttyS0 quiet loglevel=3 iomem=relaxed "
            "blobs=" + ",".join(str(w) for w in words),
            "-serial", "stdio", "-monitor", "none",
            "-display", "sdl,gl=on",
            "-device", "virtio-gpu-gl-pci,blob=on,hostmem=%s,venus=on" %
            args.hostmem,
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

    def blob_files(self):
        """The blobs' memory as the renderer holds it, by the guest's tags."""
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
                os.close(fd)
                tag, = struct.unpack_from("<Q", view)
                end, = struct.unpack_from("<Q", view, size - 8)
                if GUEST_TAG <= tag < GUEST_TAG + 65536:
                    files[tag - GUEST_TAG] = (view, end == ~tag % 2 ** 64)
                else:
                    view.close()
        return files

    def rss(self):
        with open("/proc/%d/status" % self.process.pid) as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def toggled(guest, tally):
    """The guest makes the window's memory slot anew, again and again."""
    args = guest.args
    got = guest.step("toggled")
    tally.equal((got["toggled"], got["wrong"]), (args.toggles, 0),
                args.name + ": contents after the window went and came back")
    with open(guest.trace) as f:
        aside = [[int(n) for n in found] for found in re.findall(
            r"virtio_gpu_blob_aside .*buffers (\d+) lost (\d+) ns (\d+)",
            f.read())]
    if not args.renderer:
        tally.equal(aside, [], args.name + ": shared memory stays")
        return
    # of three kinds two are dma-bufs
    want = args.blobs // len(BUFFERS) * 2
    tally.equal([a[:2] for a in aside], [[want, 0]] * args.toggles,
                args.name + ": dma-bufs step aside each time, and come back")
    times = sorted(a[2] / want for a in aside)
    print("%s: %.1f us a dma-buf and toggle (median)" %
          (args.name, times[len(times) // 2] / 1000 if times else 0))


def run(args, tally):
    name = args.name
    kvm = args.accel == "kvm"
    guest = Guest(args)
    try:
        guest.step("ready")
        slots, calls = guest.slots()
        tally.equal(slots > 0, kvm, name + ": the guest runs under " +
                    args.accel)
        guest.go_on()

        got = guest.step("mapped")
        now, now_calls = guest.slots()
        print("%s: %d blobs mapped, %d us each in the guest" %
              (name, got["mapped"], got["us"]))
        if kvm:
            print("%s: memory slots %d -> %d, set %d times meanwhile" %
                  (name, slots, now, now_calls - calls))
        tally.equal((got["mapped"], got["wrong"]), (args.blobs, 0),
                    name + ": blobs mapped at once, read back right")
        if kvm and not args.stock:
            tally.equal((now, now_calls), (slots, calls),
                        name + ": memory slots do not change with blobs")
        files = guest.blob_files()
        tally.equal(len(files), got["mapped"],
                    name + ": the host finds each blob's memory")
        tally.equal([i for i, f in files.items() if not f[1]], [],
                    name + ": the host sees what the guest wrote")
        for i, (view, _) in files.items():
            struct.pack_into("<Q", view, 8, HOST_TAG + i)
            view.close()
        if args.renderer:
            tally.equal(got["wc"], args.blobs // len(BUFFERS),
                        name + ": the guest maps vgem's write-combined")
        else:
            tally.equal(got["wc"], 0, name + ": the guest maps cached")
        guest.go_on()

        got = guest.step("checked")
        tally.equal(got["wrong"], 0,
                    name + ": the guest sees what the host wrote")
        if args.toggles:
            guest.go_on()
            toggled(guest, tally)
        before = guest.rss()
        guest.go_on()

        if not args.stock:
            got = guest.step("touched")
            grown = guest.rss() - before
            tally.check(got["touched"] > 0 and grown < 65536,
                        name + ": %d holes touched, the VM lives, QEMU grows "
                        "by %d KiB" % (got["touched"], grown))
            guest.go_on()
        else:
            got = guest.step("touched")
            print("%s: %d holes touched" % (name, got["touched"]))
            guest.go_on()

        got = guest.step("unmapped")
        now, now_calls = guest.slots()
        print("%s: unmapped, %d us each in the guest" % (name, got["us"]))
        tally.equal(got["wrong"], 0, name + ": contents kept until unmap")
        if kvm and not args.stock:
            tally.equal(now, slots, name + ": as many slots as at the start")
        guest.go_on()

        got = guest.step("again")
        tally.equal(got["wrong"], 0, name + ": a new blob in an old place")
        guest.go_on()
        guest.step("end")
        guest.process.stdin.close()
        tally.equal(guest.process.wait(60), 0, name + ": QEMU ends well")
        if not args.stock:
            with open(guest.trace) as f:
                text = f.read()
            tally.check("guest's cache type honoured 1" in text,
                        name + ": the guest's cache type is honoured")
            tally.equal(len(re.findall(r"virtio_gpu_blob_map .*path window",
                                       text)), args.blobs + 1,
                        name + ": every blob is in the window")
    except Failure as e:
        tally.check(False, name + ": all steps", str(e))
        print("the end of the guest's console:")
        for line in guest.console[-15:]:
            print("  | " + line)
        with open(os.path.join(args.run_dir, name + ".err"),
                  errors="replace") as f:
            for line in f.readlines()[-8:]:
                print("  ! " + line.rstrip())
    finally:
        if guest.process.poll() is None:
            guest.process.kill()
            guest.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="ours")
    parser.add_argument("--accel", choices=("kvm", "tcg"), default="kvm")
    parser.add_argument("--stock", action="store_true",
                        help="no window and no traces are expected")
    parser.add_argument("--renderer",
                        help="libreal-buffers.so: the kernel's dma-bufs")
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initramfs", required=True)
    parser.add_argument("--blobs", type=int, default=2000)
    parser.add_argument("--size", type=int, default=16384)
    parser.add_argument("--toggles", type=int, default=0,
                        help="times that the window leaves the guest's memory")
    parser.add_argument("--hostmem", default="256M")
    parser.add_argument("--timeout", type=int, default=120,
                        help="seconds for each step")
    parser.add_argument("--run-dir", required=True)
    parser.add_argument("qemu", nargs="+", help="QEMU and its first options")
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    tally = Tally()
    run(args, tally)
    if args.stock and tally.failed:
        # It aborts or stops answering now and then, as regions come and go.
        print("%s: once more; of stock only the last try counts" % args.name)
        tally = Tally()
        run(args, tally)
    return tally.end()


sys.exit(main())
