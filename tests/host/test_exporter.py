# SPDX-License-Identifier: GPL-2.0-or-later
"""Buffers of the test exporter (exporter/) through our QEMU.

Each kind with each statement under each policy; buffers that fail to map;
buffers that move while they are mapped; and buffers that go away.
"""

import errno
import fcntl
import mmap
import os
import struct

import vgpu

DEVICE = "/dev/dma-buf-test"
PAGE = 4096
PAGES = 16
SIZE = PAGES * PAGE

MAKE = 0x402054D0
ACT = 0xC02054D1
ACT_LAYOUT = "<iIIIQQ"
MOVE, REVOKE, PURGE, FAIL, FAIL_LATE, LOOK = 1, 2, 3, 4, 5, 6
RAM, BAR = 0, 1
PFN = 1

# The renderer's numbers, in the order of its table
KINDS = {"test " + kind: 0x20 | number for number, kind in enumerate([
    "pages", "pages write-combined", "pfn", "pfn write-combined", "mixed",
    "uncounted", "BAR write-combined", "BAR cached",
    "BAR mixed write-combined", "movable", "movable mixed"])}
NEED_BAR = ("BAR", "movable")

STATEMENTS = {"nothing": 0, "INCOHERENT": 1, "WC": 2, "CACHED": 3}
ANSWERS = {"nothing": "unsupported", "INCOHERENT": "incoherent",
           "WC": "coherent-wc", "CACHED": "coherent-cached"}

# Policy, the renderer's word, and what they lead to, as in CASES of
# check-buffers.py
CASES = {
    "nothing": [
        ("safe", "none", "nobody-vouches"),
        ("safe", "fails", "nobody-vouches"),
        ("safe", "cached", "cached renderer"),
        ("safe", "uncached", "uncached renderer"),
        ("safe", "wc", "wc renderer"),
        ("strict", "none", "nobody-vouches"),
        ("strict", "cached", "nobody-vouches"),
        ("strict", "wc", "nobody-vouches"),
        ("renderer", "none", "cached nobody"),
        ("renderer", "cached", "cached renderer"),
        ("renderer", "wc", "wc renderer"),
    ],
    "INCOHERENT": [
        ("safe", "none", "exporter-incoherent"),
        ("safe", "cached", "exporter-incoherent"),
        ("strict", "none", "exporter-incoherent"),
        ("strict", "cached", "exporter-incoherent"),
        ("renderer", "none", "exporter-incoherent"),
        ("renderer", "cached", "cached renderer"),
        ("renderer", "wc", "wc renderer"),
    ],
    "WC": [
        ("safe", "none", "wc exporter"),
        ("safe", "cached", "wc exporter"),
        ("strict", "none", "wc exporter"),
        ("strict", "wc", "wc exporter"),
        ("strict", "cached", "renderer-disagrees"),
        ("renderer", "none", "wc exporter"),
        ("renderer", "cached", "cached renderer"),
    ],
    "CACHED": [
        ("safe", "none", "cached exporter"),
        ("safe", "wc", "cached exporter"),
        ("strict", "none", "cached exporter"),
        ("strict", "cached", "cached exporter"),
        ("strict", "wc", "renderer-disagrees"),
        ("renderer", "none", "cached exporter"),
        ("renderer", "uncached", "uncached renderer"),
    ],
}

UNVOUCHED = (vgpu.ERR_UNSPEC, "nobody-vouches")
MAP_FAILED = (vgpu.ERR_UNSPEC, "map-failed")
NO_MEMORY = (vgpu.ERR_OUT_OF_MEMORY, "map-failed")
# When mmap() fails, how, and what the guest and the operator are told
FAILURES = [
    ("at once", errno.ENXIO, MAP_FAILED),
    ("at once", errno.ENOMEM, NO_MEMORY),
    # QEMU's own word for a window that cannot be used: a region is tried
    ("at once", errno.EBUSY, MAP_FAILED),
    ("late", errno.EIO, MAP_FAILED),
    ("late", errno.ENOMEM, NO_MEMORY),
    ("from the start", errno.ENOSPC, NO_MEMORY),
]
FAILING = ["test pages", "test pfn", "test mixed", "test BAR write-combined"]
ACTIONS = {"at once": FAIL, "late": FAIL_LATE}

ENDS = {"revoked": REVOKE, "purged": PURGE}

# Where the blob is that is mapped while others fail: no other comes there
NEIGHBOUR = 8 * SIZE


class Device:
    """/dev/dma-buf-test, until close()."""

    def __init__(self):
        self.fd = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)

    def has_bar(self):
        # with one that may be written, ioctl() returns what the kernel does
        make = bytearray(struct.pack("<QIIIIII", PAGE, PFN, BAR, 0, 0, 0, 0))
        try:
            os.close(fcntl.ioctl(self.fd, MAKE, make))
        except OSError as e:
            if e.errno != errno.ENODEV:
                raise
            return False
        return True

    def act(self, fd, action, arg=0):
        """Returns where it is, its faults and its mmaps."""
        act = bytearray(struct.pack(ACT_LAYOUT, fd, action, arg, 0, 0, 0))
        fcntl.ioctl(self.fd, ACT, act)
        return struct.unpack(ACT_LAYOUT, act)[3:]

    def faults(self, fd):
        return self.act(fd, LOOK)[1]

    def mmaps(self, fd):
        return self.act(fd, LOOK)[2]

    def close(self):
        os.close(self.fd)


def statements(run, kind):
    """What the exporter can say of it: never what it does not do."""
    if not run.args.ioctl:
        return ["nothing"]
    return ["nothing", "INCOHERENT",
            "WC" if "write-combined" in kind else "CACHED"]


def best(run, kind):
    """A statement and the renderer's word with which this policy grants it,
    and the decision: a refusal where strict has no source."""
    word = "wc" if "write-combined" in kind else "cached"
    if run.policy != "strict":
        return "nothing", word, word + " renderer"
    if run.args.ioctl:
        return word.upper(), word, word + " exporter"
    return "nothing", word, "nobody-vouches"


class Checks:
    def __init__(self, run, device):
        self.run, self.device, self.tally = run, device, run.tally
        self.gpu, self.machine = run.gpu, run.machine
        self.bar = device.has_bar()
        self.view = None

    def has(self, kind):
        if self.bar or kind.split()[1] not in NEED_BAR:
            return True
        self.tally.skip("%s, policy %s" % (kind, self.run.policy),
                        "no bochs-display whose BAR could be used")
        return False

    def kinds(self):
        for kind in filter(self.has, KINDS):
            for statement in statements(self.run, kind):
                for policy, word, expected in CASES[statement]:
                    if policy == self.run.policy:
                        self.run.case(kind, word, expected, statement)

    #
    # Buffers that fail to map
    #

    def neighbour(self):
        name = "a neighbour, policy %s" % self.run.policy
        blob = self.run.create(name, "memfd", "none")
        if not blob:
            raise vgpu.Failure("no neighbour")
        res, _, fd = blob
        self.tally.equal(self.gpu.map_blob(res, NEIGHBOUR),
                         (vgpu.OK_MAP_INFO, 1, 0), name + ": granted")
        view = mmap.mmap(fd, SIZE)
        os.close(fd)
        return res, view

    def check_hole(self, name, offset):
        """Every page of it is there: a gap would end QEMU."""
        at = self.gpu.window + offset
        stamp = os.urandom(64)
        for page in range(PAGES):
            self.machine.read(at + page * PAGE, PAGE)
        self.machine.write(at + SIZE - PAGE, stamp)
        self.tally.equal(self.machine.read(at + SIZE - PAGE, 64), stamp,
                         name + ": the hole is there")

    def check_refused(self, name, res, offset, wanted):
        error, reason = wanted
        answer = self.gpu.map_blob(res, offset)[0]
        self.tally.equal(answer, error, name + ": refused")
        line = "virtio_gpu_blob_refused resource %d context 1 reason %s\n" % (
            res, reason)
        self.tally.check(line in self.machine.log_text(),
                         "%s: for %s" % (name, reason),
                         self.machine.log_tail())
        self.tally.equal(self.gpu.unmap_blob(res), vgpu.OK_NODATA,
                         name + ": is not mapped")

    def check_well_again(self, name, blob, granted):
        """What failed left nothing behind, in the buffer or in QEMU."""
        res, offset, fd = blob
        self.device.act(fd, FAIL, 0)
        view = mmap.mmap(fd, SIZE)
        self.tally.equal(view[:], bytes(SIZE),
                         name + ": out of the guest's reach")
        view.close()
        if granted:
            self.tally.equal(self.gpu.map_blob(res, offset)[0],
                             vgpu.OK_MAP_INFO,
                             name + ": granted when it maps again")
            self.run.check_contents(name + ", then not", fd, offset, res)

    def check_failure(self, name, blob, wanted, granted):
        """Its driver is asked to map it if it is granted, and not else."""
        res, offset, fd = blob
        before = self.device.mmaps(fd)
        self.check_refused(name, res, offset, wanted)
        self.tally.equal(self.device.mmaps(fd) > before, granted,
                         name + ": its driver is asked as it should be")
        self.check_hole(name, offset)
        self.run.check_shared(name + ": neighbour", self.view, NEIGHBOUR)
        self.check_well_again(name, blob, granted)

    def failure(self, kind, when, error, wanted):
        name = "%s, mmap fails %s (%s), policy %s" % (
            kind, when, errno.errorcode[error], self.run.policy)
        statement, word, decision = best(self.run, kind)
        granted = decision != "nobody-vouches"
        more = STATEMENTS[statement] << 16
        if when not in ACTIONS:
            more |= error << 32
        blob = self.run.create(name, kind, word, more)
        if not blob:
            return
        if when in ACTIONS:
            self.device.act(blob[2], ACTIONS[when], error)
        self.check_failure(name, blob, wanted if granted else UNVOUCHED,
                           granted)
        self.finish(name, kind, blob, decision, statement)

    def finish(self, name, kind, blob, decision, statement):
        res, _, fd = blob
        self.run.check_seen(name, res, kind, decision, statement)
        os.close(fd)
        self.tally.equal(self.gpu.unref(res), vgpu.OK_NODATA, name + ": unref")

    def failures(self):
        res, self.view = self.neighbour()
        for kind in filter(self.has, FAILING):
            for when, error, wanted in FAILURES:
                self.failure(kind, when, error, wanted)
        self.view.close()
        self.tally.equal(self.gpu.unref(res), vgpu.OK_NODATA,
                         "the neighbour goes, policy " + self.run.policy)

    #
    # Buffers that move
    #

    def guest_reads(self, offset):
        return [self.machine.read(self.gpu.window + offset + i * PAGE + i, 64)
                for i in range(PAGES)]

    def guest_writes(self, offset):
        """Returns what it wrote, different on each page."""
        data = [os.urandom(64) for _ in range(PAGES)]
        for i in range(PAGES):
            self.machine.write(self.gpu.window + offset + i * PAGE + i,
                               data[i])
        return data

    def check_move(self, name, fd, offset, place):
        data = self.guest_writes(offset)
        self.tally.equal(self.device.act(fd, MOVE, place)[0], place,
                         name + ": moved")
        before = self.device.faults(fd)
        self.tally.equal(self.guest_reads(offset), data,
                         name + ": guest reads what it wrote before")
        self.tally.equal(self.device.faults(fd) - before, PAGES,
                         name + ": QEMU entered each page anew")
        view = mmap.mmap(fd, SIZE)
        self.tally.equal([view[i * PAGE + i:i * PAGE + i + 64]
                          for i in range(PAGES)], data,
                         name + ": so does the host")
        self.run.check_shared(name, view, offset)
        view.close()

    def check_moves(self, name, blob):
        res, offset, fd = blob
        self.tally.equal(self.gpu.map_blob(res, offset)[0], vgpu.OK_MAP_INFO,
                         name + ": granted")
        for turn, place in enumerate((BAR, RAM, BAR, RAM)):
            self.check_move("%s, move %d" % (name, turn + 1), fd, offset,
                            place)
        self.run.check_contents(name + ", moved", fd, offset, res)

    def check_moves_unmapped(self, name, blob):
        res, offset, fd = blob
        self.check_refused(name, res, offset, UNVOUCHED)
        self.tally.equal(self.device.act(fd, MOVE, BAR)[0], BAR,
                         name + ": moved")
        self.check_hole(name, offset)

    def moves(self, kind):
        name = "%s, moved, policy %s" % (kind, self.run.policy)
        statement, word, decision = best(self.run, kind)
        blob = self.run.create(name, kind, word, STATEMENTS[statement] << 16)
        if not blob:
            return
        if decision == "nobody-vouches":
            self.check_moves_unmapped(name, blob)
        else:
            self.check_moves(name, blob)
        self.finish(name, kind, blob, decision, statement)


    #
    # Buffers that go away
    #

    def check_lost(self, name, fd, offset, end):
        self.guest_writes(offset)
        self.device.act(fd, ENDS[end])
        # each page is read and written; the first that is gone takes all
        self.guest_reads(offset)
        self.tally.equal(self.guest_writes(offset), self.guest_reads(offset),
                         name + ": the guest finds other pages")
        self.run.check_shared(name + ": neighbour", self.view, NEIGHBOUR)

    def check_told(self, name, res):
        self.tally.check("virtio_gpu_blob_lost resource %d " % res in
                         self.machine.log_text(),
                         name + ": the operator is told",
                         self.machine.log_tail())

    def loss(self, kind, end):
        name = "%s, %s, policy %s" % (kind, end, self.run.policy)
        statement, word, decision = best(self.run, kind)
        blob = self.run.create(name, kind, word, STATEMENTS[statement] << 16)
        if not blob:
            return
        res, offset, fd = blob
        if decision == "nobody-vouches":
            self.check_refused(name, res, offset, UNVOUCHED)
        else:
            self.tally.equal(self.gpu.map_blob(res, offset)[0],
                             vgpu.OK_MAP_INFO, name + ": granted")
            self.check_lost(name, fd, offset, end)
            self.check_told(name, res)
            self.tally.equal(self.gpu.unmap_blob(res), vgpu.OK_NODATA,
                             name + ": unmapped")
        self.finish(name, kind, blob, decision, statement)

    def losses(self):
        res, self.view = self.neighbour()
        for kind in filter(self.has, FAILING):
            for end in ENDS:
                self.loss(kind, end)
        self.view.close()
        self.tally.equal(self.gpu.unref(res), vgpu.OK_NODATA,
                         "the neighbour goes, policy " + self.run.policy)


def check(run):
    """All of it, under the policy of this QEMU."""
    if "test" in run.args.without:
        run.tally.skip("the test exporter's buffers, policy " + run.policy,
                       "there is no %s here" % DEVICE)
        return
    device = Device()
    try:
        checks = Checks(run, device)
        checks.kinds()
        checks.failures()
        for kind in ("test movable", "test movable mixed"):
            if checks.has(kind):
                checks.moves(kind)
        checks.losses()
    finally:
        device.close()
