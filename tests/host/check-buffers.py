#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Maps real buffers of this kernel through our QEMU and checks the answers.

Runs as root on a host that has udmabuf, vgem, the system dma-heap and the test
exporter.  The renderer is real-buffers.c; everything else is what it is in
production.
"""

import argparse
import errno
import fcntl
import mmap
import os
import re
import struct
import sys

from support import Tally, fetch_fd
import test_exporter
import vgpu

PAGE = 4096
SIZE = 16 * PAGE

DMA_BUF_IOCTL_INFO = 0xC0106202
DMA_BUF_IOCTL_EXPORT_SYNC_FILE = 0xC0086202

KINDS = {
    "udmabuf": 1, "vgem": 2, "heap": 3, "memfd": 4,
    "vgem read-only": 5, "heap read-only": 6, "memfd read-only": 7,
    "udmabuf short": 8, "memfd short": 9, "vgem short": 10,
}
WORDS = {"none": 0, "cached": 1, "uncached": 2, "wc": 3, "fails": 0xFF}
TYPES = {"cached": 1, "uncached": 2, "wc": 3}

# What fdinfo says about each kind's fd: exporter, pages, access mode
FDINFO = {
    "udmabuf": ("udmabuf", 16, os.O_RDWR),
    "vgem": ("drm", 16, os.O_RDWR),
    "heap": ("system", 16, os.O_RDWR),
    "memfd": (None, 16, os.O_RDWR),
    "vgem read-only": ("drm", 16, os.O_RDONLY),
    "heap read-only": ("system", 16, os.O_RDONLY),
    "memfd read-only": (None, 16, os.O_RDONLY),
    "udmabuf short": ("udmabuf", 8, os.O_RDWR),
    "memfd short": (None, 8, os.O_RDWR),
    "vgem short": ("drm", 8, os.O_RDWR),
}

# What the exporter answers where the kernel has the question
STATEMENT = {"udmabuf": 2, "vgem": 1, "heap": 0}
ANSWER_NAMES = ["incoherent", "coherent-wc", "coherent-cached"]

# Kernels may be built without these
DEVICES = {"udmabuf": "/dev/udmabuf", "heap": "/dev/dma_heap/system",
           "test": test_exporter.DEVICE}

RW, SHORT = "buffer-not-read-write", "buffer-too-short"

# Buffer, the renderer's word, policy: what a kernel with the question leads
# to, and what one without.  A type that is granted comes with its voucher, a
# refusal is named by its reason.
CASES = [
    ("udmabuf", "none", "safe", "cached exporter", "cached exporter-name"),
    ("udmabuf", "wc", "safe", "cached exporter", "cached exporter-name"),
    ("vgem", "none", "safe", "wc exporter", "nobody-vouches"),
    ("vgem", "fails", "safe", "wc exporter", "nobody-vouches"),
    ("vgem", "cached", "safe", "wc exporter", "cached renderer"),
    ("vgem", "wc", "safe", "wc exporter", "wc renderer"),
    ("vgem", "uncached", "safe", "wc exporter", "uncached renderer"),
    ("heap", "none", "safe", "exporter-incoherent", "cached exporter-name"),
    # its name cannot change the answer then, and is not asked for
    ("heap", "cached", "safe", "exporter-incoherent", "cached renderer"),
    ("memfd", "none", "safe", "cached memfd", "cached memfd"),
    ("memfd", "wc", "safe", "cached memfd", "cached memfd"),
    ("vgem read-only", "wc", "safe", RW, RW),
    ("heap read-only", "cached", "safe", RW, RW),
    ("memfd read-only", "cached", "safe", RW, RW),
    ("udmabuf short", "cached", "safe", SHORT, SHORT),
    ("memfd short", "cached", "safe", SHORT, SHORT),
    ("vgem short", "wc", "safe", SHORT, SHORT),

    ("udmabuf", "none", "strict", "cached exporter", "cached exporter-name"),
    ("udmabuf", "wc", "strict", "renderer-disagrees", "cached exporter-name"),
    ("vgem", "none", "strict", "wc exporter", "nobody-vouches"),
    ("vgem", "wc", "strict", "wc exporter", "nobody-vouches"),
    ("vgem", "cached", "strict", "renderer-disagrees", "nobody-vouches"),
    ("heap", "cached", "strict", "exporter-incoherent",
     "cached exporter-name"),
    ("memfd", "none", "strict", "cached memfd", "cached memfd"),

    ("udmabuf", "uncached", "renderer", "uncached renderer",
     "uncached renderer"),
    ("udmabuf", "none", "renderer", "cached exporter",
     "cached exporter-name"),
    ("vgem", "cached", "renderer", "cached renderer", "cached renderer"),
    ("vgem", "none", "renderer", "wc exporter", "cached nobody"),
    ("heap", "cached", "renderer", "cached renderer", "cached renderer"),
    ("heap", "none", "renderer", "exporter-incoherent",
     "cached exporter-name"),
    ("memfd", "wc", "renderer", "cached memfd", "cached memfd"),
    ("memfd short", "cached", "renderer", SHORT, SHORT),
    ("vgem read-only", "wc", "renderer", RW, RW),
]


def ask_exporter(fd, param=1, pad=0):
    """Returns the answer, or the name of the error."""
    arg = bytearray(struct.pack("<IIQ", param, pad, 0xDEADBEEF))
    try:
        fcntl.ioctl(fd, DMA_BUF_IOCTL_INFO, arg)
    except OSError as e:
        return errno.errorcode[e.errno]
    return struct.unpack("<IIQ", arg)[2]


class Run:
    """One QEMU with one policy."""

    def __init__(self, args, policy, tally):
        self.args, self.policy, self.tally = args, policy, tally
        self.log = os.path.join(args.run_dir, "qemu-%s.log" % policy)
        env = dict(os.environ, LD_PRELOAD=args.renderer,
                   SDL_VIDEODRIVER="offscreen", XDG_RUNTIME_DIR=args.run_dir)
        argv = args.qemu + [
            "-M", "pc", "-m", "64M", "-nodefaults", "-no-user-config",
            "-display", "sdl,gl=on",
            "-device", "virtio-gpu-gl-pci,addr=2,blob=on,hostmem=64M,"
            "map-policy=" + policy,
            "-trace", "virtio_gpu_blob_*",
        ]
        self.machine = vgpu.Machine(argv, env, args.run_dir, self.log, 120)
        self.gpu = vgpu.Gpu(self.machine)
        tally.equal(self.gpu.create_context(1), vgpu.OK_NODATA,
                    "%s: a context" % policy)
        self.next_id = 10

    def renderer_fd(self, res):
        found = re.search(r"real-buffers: resource %d kind \d+ fd (\d+)" % res,
                          self.machine.log_text())
        if not found:
            raise vgpu.Failure("the renderer made no buffer: " +
                               self.machine.log_tail())
        return int(found.group(1))

    def fdinfo(self, kind):
        return FDINFO.get(kind, ("dma_buf_test", SIZE // PAGE, os.O_RDWR))

    def check_facts(self, name, kind, number, fd):
        """What our code reads from the fd is what it should find there."""
        exporter, pages, mode = self.fdinfo(kind)
        path = "/proc/%d/fdinfo/%d" % (self.machine.process.pid, number)
        with open(path) as f:
            text = f.read()
        info = {}
        for line in text.splitlines():
            key, _, value = line.partition(":")
            info.setdefault(key, value.strip())
        self.tally.equal(int(info["flags"], 8) & os.O_ACCMODE, mode,
                         name + ": access mode in fdinfo")
        self.tally.equal(os.lseek(fd, 0, os.SEEK_END), pages * PAGE,
                         name + ": length of the file")
        self.tally.equal(info.get("exp_name"), exporter,
                         name + ": exporter's name in fdinfo")
        if exporter:
            self.tally.equal(int(info["size"]), pages * PAGE,
                             name + ": size in fdinfo")

    def answer_of(self, kind, statement):
        """The exporter's answer, by the name that QEMU has for it."""
        base = kind.split()[0]
        if base == "memfd":
            return "not-asked"
        if base == "test":
            return test_exporter.ANSWERS[statement]
        if self.args.ioctl:
            return ANSWER_NAMES[STATEMENT[base]]
        return "unsupported"

    def check_seen(self, name, res, kind, expected, statement=None):
        """What QEMU says it saw and why it decided so."""
        line = re.search(r"virtio_gpu_blob_decision resource %d .*" % res,
                         self.machine.log_text())
        if not line:
            self.tally.check(False, name + ": QEMU tells its decision",
                             self.machine.log_tail())
            return
        line = line.group(0)
        exporter = self.fdinfo(kind)[0] or "-"
        answer = self.answer_of(kind, statement)
        self.tally.check('exporter "%s"' % exporter in line or
                         exporter == "-", name + ": exporter seen", line)
        self.tally.check("answer " + answer in line,
                         name + ": answer %s seen" % answer, line)
        end = expected.replace(" ", ", ")
        self.tally.check(line.endswith(end), name + ": " + expected, line)

    def check_shared(self, name, view, offset):
        """Guest and host see the same; returns what is at the start now."""
        m, window = self.machine, self.gpu.window + offset
        a = os.urandom(64)
        b = os.urandom(64)
        for at in (0, SIZE - 64, 5 * PAGE - 32):
            view[at:at + 64] = a
            self.tally.equal(m.read(window + at, 64), a,
                             name + ": guest reads what the host wrote")
            m.write(window + at, b)
            self.tally.equal(view[at:at + 64], b,
                             name + ": host reads what the guest wrote")
        return b

    def check_contents(self, name, fd, offset, res):
        view = mmap.mmap(fd, SIZE)
        last = self.check_shared(name, view, offset)
        self.tally.equal(self.gpu.unmap_blob(res), vgpu.OK_NODATA,
                         name + ": unmapped")
        self.machine.write(self.gpu.window + offset, os.urandom(64))
        self.tally.equal(view[0:64], last,
                         name + ": out of the guest's reach after unmap")
        view.close()

    def create(self, name, kind, word, more=0):
        """A new blob: its resource, its place and its fd; None if none."""
        res = self.next_id
        self.next_id += 1
        number = KINDS.get(kind, test_exporter.KINDS.get(kind))
        made = self.gpu.create_blob(res, number | WORDS[word] << 8 | more,
                                    SIZE)
        if made != vgpu.OK_NODATA:
            self.tally.check(False, name + ": created",
                             self.machine.log_tail())
            return None
        number = self.renderer_fd(res)
        fd = fetch_fd(self.machine.process.pid, number)
        self.check_facts(name, kind, number, fd)
        return res, res % 4 * SIZE, fd

    def case(self, kind, word, expected, statement=None):
        name = "%s, renderer says %s, policy %s" % (kind, word, self.policy)
        more = 0
        if statement:
            name = "%s, states %s" % (name, statement)
            more = test_exporter.STATEMENTS[statement] << 16
        gpu, tally = self.gpu, self.tally
        if kind.split()[0] in self.args.without:
            tally.skip(name, "this kernel has no such buffers")
            return
        blob = self.create(name, kind, word, more)
        if not blob:
            return
        res, offset, fd = blob
        answer, info, padding = gpu.map_blob(res, offset)
        granted = TYPES.get(expected.split()[0])
        if granted:
            tally.equal((answer, info, padding),
                        (vgpu.OK_MAP_INFO, granted, 0), name + ": granted")
        else:
            tally.equal(answer, vgpu.ERR_UNSPEC, name + ": refused")
        self.check_seen(name, res, kind, expected, statement)
        if answer == vgpu.OK_MAP_INFO and granted:
            self.check_contents(name, fd, offset, res)
        elif not granted:
            tally.equal(gpu.unmap_blob(res), vgpu.OK_NODATA,
                        name + ": the refused one's unmap")
        os.close(fd)
        tally.equal(gpu.unref(res), vgpu.OK_NODATA, name + ": unref")

    def check_kernel(self):
        """The question itself, as the kernel answers it."""
        for kind, statement in STATEMENT.items():
            if kind in self.args.without:
                self.tally.skip("kernel: " + kind, "it has no such buffers")
                continue
            res = self.next_id
            self.next_id += 1
            self.gpu.create_blob(res, KINDS[kind], SIZE)
            fd = fetch_fd(self.machine.process.pid, self.renderer_fd(res))
            if self.args.ioctl:
                want, bad = statement, "EINVAL"
            else:
                want = bad = "ENOTTY"
            tally = self.tally
            tally.equal(ask_exporter(fd), want, "kernel: map info of " + kind)
            tally.equal(ask_exporter(fd, param=0), bad,
                        "kernel: question 0 of " + kind)
            tally.equal(ask_exporter(fd, param=2), bad,
                        "kernel: question 2 of " + kind)
            tally.equal(ask_exporter(fd, pad=1), bad,
                        "kernel: padding of " + kind)
            arg = bytearray(struct.pack("<Ii", 3, -1))
            fcntl.ioctl(fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, arg)
            sync = struct.unpack("<Ii", arg)[1]
            tally.check(sync >= 0, "kernel: its namesake still works on " +
                        kind, str(sync))
            os.close(sync)
            os.close(fd)
            self.gpu.unref(res)
        memfd = os.memfd_create("plain")
        self.tally.equal(ask_exporter(memfd), "ENOTTY",
                         "kernel: a memfd is not asked")
        os.close(memfd)

    def close(self):
        self.tally.equal(self.machine.close(), 0,
                         "policy %s: QEMU ends well" % self.policy)


def check_messages(tally):
    """No exporter may have been caught saying one thing and doing another."""
    with open("/dev/kmsg") as f:
        os.set_blocking(f.fileno(), False)
        text = []
        while True:
            try:
                text.append(os.read(f.fileno(), 8192).decode(errors="replace"))
            except BlockingIOError:
                break
    bad = [t for t in text if "maps otherwise" in t or "BUG:" in t or
           "Oops" in t]
    tally.equal(bad, [], "kernel: no exporter contradicts itself")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ioctl", action="store_true",
                        help="this kernel has DMA_BUF_IOCTL_INFO")
    parser.add_argument("--without", action="append", default=[],
                        choices=DEVICES, help="this kernel has none")
    parser.add_argument("--renderer", required=True,
                        help="libreal-buffers.so")
    parser.add_argument("--run-dir", required=True, help="for logs, sockets")
    parser.add_argument("qemu", nargs="+", help="QEMU and its first options")
    args = parser.parse_args()
    tally = Tally()
    for kind, device in DEVICES.items():
        tally.equal(os.path.exists(device), kind not in args.without,
                    "kernel: it has " + device)
    for policy in ("safe", "strict", "renderer"):
        try:
            run = Run(args, policy, tally)
            try:
                if policy == "safe":
                    run.check_kernel()
                for kind, word, where, new, old in CASES:
                    if where == policy:
                        run.case(kind, word, new if args.ioctl else old)
                test_exporter.check(run)
            finally:
                run.close()
        except (vgpu.Failure, OSError) as e:
            tally.check(False, "policy %s: all cases" % policy, str(e))
    check_messages(tally)
    return tally.end()


sys.exit(main())
