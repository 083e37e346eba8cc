# SPDX-License-Identifier: GPL-2.0-or-later
"""What the checks on arm64 hosts share: what such a host is known to do, and
one QEMU with a guest whose accesses and stage-2 tables are looked at."""

import mmap
import os
import re
import struct

from support import fetch_fd
import stage2
import test_exporter
import vcpu
import vgpu

PAGE = mmap.PAGESIZE
# The test exporter's uncounted pages come by fours.
SIZE = max(64 * 1024, 4 * PAGE)
PAGES = SIZE // PAGE

POLICIES = ("safe", "strict", "renderer")
TYPES = {"none": 0, "cached": 1, "uncached": 2, "wc": 3}
NAMES = {number: name for name, number in TYPES.items()}

# The renderer's number of a buffer, and how this host maps it
KINDS = {"memfd": (4, "WB"), "udmabuf": (1, "WB"), "heap": (3, "WB"),
         "vgem": (2, "NC"), "vkms": (13, "WB")}
for kind, number in test_exporter.KINDS.items():
    KINDS[kind] = (number, "NC" if "write-combined" in kind else "WB")

# The word that fits, for each type that the host maps with
TRUE_WORD = {"WB": "cached", "NC": "wc"}

# Drivers whose buffers are GEM shmem's
GEM_SHMEM = ("vgem", "vkms")


def true_word(kind):
    return TRUE_WORD[KINDS[kind][1]]


class Host:
    """What this host's processors and kernel are known to do."""

    def __init__(self, args):
        self.fwb = args.fwb
        # From 6.17 on KVM maps a cached BAR as such with both, else not at all
        self.bar = "cached" if args.fwb and args.dic else "never"
        # Up to 6.12 KVM wants a count on each page, and has none in the pages
        # of a larger one but in its first
        self.uncounted = ()
        if not args.cacheable_pfnmap:
            self.bar = "device"
            self.uncounted = ("heap", "test uncounted")
        # From 7.1 on GEM shmem wants to know of the first write to a page,
        # and KVM has no way to ask for it
        self.notified = GEM_SHMEM if args.write_notify else ()

    @staticmethod
    def place(kind):
        return "BAR" if "BAR" in kind else "RAM"

    def entry(self, kind):
        """MemAttr of its pages' entries; None where KVM makes none."""
        host_type = KINDS[kind][1]
        if kind in self.uncounted:
            return None
        if self.place(kind) == "RAM":
            return 6 if self.fwb else 0xF
        if host_type == "NC" or self.bar == "device":
            return 1
        return {"cached": 6, "never": None}[self.bar]

    def may_be_written(self, kind):
        """Where KVM may not write, QEMU does; but only to what is cached
        (touch() in virtio-gpu-blob-mapping.c)."""
        return kind not in self.notified or KINDS[kind][1] == "WB"

    def lasting(self):
        """Buffers that the guest may touch."""
        return [kind for kind in KINDS
                if self.entry(kind) and self.may_be_written(kind)]


class Log:
    """What QEMU and the renderer have said; read once."""

    def __init__(self, path):
        self.file = open(path, errors="replace")
        self.text = ""

    def find(self, words):
        """The line with these; what came last if there is none."""
        self.text += self.file.read()
        at = self.text.find(words)
        if at < 0:
            return self.text[-2000:]
        return self.text[at:].split("\n", 1)[0]

    def close(self):
        self.file.close()


class Run:
    """One QEMU with one policy."""

    def __init__(self, args, host, policy, tally, preload=(), features=0):
        self.args, self.host, self.policy = args, host, policy
        self.tally = tally
        path = os.path.join(args.run_dir, "qemu-%s.log" % policy)
        env = dict(os.environ, SDL_VIDEODRIVER="offscreen",
                   LD_PRELOAD=":".join([args.renderer, *preload]),
                   XDG_RUNTIME_DIR=args.run_dir)
        argv = args.qemu + [
            "-M", "virt,gic-version=3", "-cpu", "host", "-m", "64M",
            "-nodefaults", "-no-user-config", "-display", "sdl,gl=on",
            "-device", "virtio-gpu-gl-pci,addr=2,blob=on,hostmem=64M,"
            "map-policy=" + policy,
            "-device", "loader,file=%s,cpu-num=0" % args.vcpu,
            "-trace", "virtio_gpu_blob_*",
        ]
        self.machine = vgpu.Machine(argv, env, args.run_dir, path, 120,
                                    accel="kvm")
        self.log = Log(path)
        self.gpu = vgpu.Gpu(self.machine, board=vcpu.Virt, features=features)
        self.vcpu = vcpu.VCPU(self.machine)
        self.tables = stage2.Tables(self.machine.process.pid, PAGE)
        self.gpu.create_context(1)
        self.next_id = 10
        self.stamp = 0x1000000

    def renderer_fd(self, res):
        line = self.log.find("real-buffers: resource %d kind " % res)
        found = re.search(r" fd (\d+)$", line)
        if not found:
            raise vgpu.Failure("the renderer made no buffer: " + line)
        return fetch_fd(self.machine.process.pid, int(found[1]))

    def view(self, res, size=SIZE):
        """The same buffer, as the host has it."""
        fd = self.renderer_fd(res)
        view = mmap.mmap(fd, size)
        os.close(fd)
        return view

    def new(self, kind, word, statement="nothing", size=SIZE):
        """Creates a blob; returns the resource and the answer."""
        res = self.next_id
        self.next_id += 1
        blob_id = KINDS[kind][0] | TYPES[word] << 8
        if kind.startswith("test "):
            blob_id |= test_exporter.STATEMENTS[statement] << 16
        return res, self.gpu.create_blob(res, blob_id, size)

    def mapped(self, name, kind, word, offset, size=SIZE):
        """A new blob, mapped; the resource, or None if it is refused."""
        res, made = self.new(kind, word, size=size)
        answer = self.gpu.map_blob(res, offset)[0]
        self.tally.equal((made, answer), (vgpu.OK_NODATA, vgpu.OK_MAP_INFO),
                         name + ": mapped")
        return res if answer == vgpu.OK_MAP_INFO else None

    def remove(self, name, res):
        self.tally.equal((self.gpu.unmap_blob(res), self.gpu.unref(res)),
                         (vgpu.OK_NODATA, vgpu.OK_NODATA),
                         name + ": unmapped")

    def next_stamp(self):
        self.stamp += 0x10000
        return self.stamp

    def check_reads(self, name, view, at, size=SIZE):
        """Each page is the buffer's: the guest finds there what the host put
        there."""
        first, n = self.next_stamp(), size // PAGE
        for i in range(n):
            struct.pack_into("<Q", view, i * PAGE, first + i)
        self.tally.equal(self.vcpu.read(at, n, PAGE, first), 0,
                         name + ": the guest reads what the host wrote")

    def check_writes(self, name, view, at):
        first = self.next_stamp()
        self.vcpu.write(at + PAGE - 8, PAGES, PAGE, first)
        self.tally.equal(
            [struct.unpack_from("<Q", view, i * PAGE + PAGE - 8)[0]
             for i in range(PAGES)], [first + i for i in range(PAGES)],
            name + ": the host reads what the guest wrote")

    def compare(self, name, kind, at, told):
        """The oracle: each page, as the guest reaches it and as we do."""
        pages = self.tables.pages(at, SIZE)
        entry = self.host.entry(kind)
        host_type = KINDS[kind][1]
        self.tally.equal([p and p.memattr for p in pages], [entry] * PAGES,
                         name + ": stage 2 of each page")
        self.tally.check(not any(p and p.block for p in pages),
                         name + ": no page is one of a block",
                         self.tables.text)
        made = {p and stage2.combine(self.host.fwb, stage2.STAGE1[told],
                                     p.memattr) for p in pages}
        if self.host.place(kind) == "RAM" and not (
                self.policy == "renderer" and self.host.fwb and told != 1):
            self.tally.equal(made, {host_type},
                             name + ": the guest's type is the host's")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.log.close()
        self.tally.equal(self.machine.close(), 0,
                         "policy %s: QEMU ends well" % self.policy)
