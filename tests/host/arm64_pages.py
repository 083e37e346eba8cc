# SPDX-License-Identifier: GPL-2.0-or-later
"""Which pages a guest gets: of buffers that are larger than a block of the
page tables, on hosts whose pages are larger than the guest's, and of drivers
that want to know of writes."""

import re
import struct

from arm64 import PAGE, Run, true_word
import vcpu
import vgpu

# What an entry of the tables' last level but one stands for
BLOCK = PAGE // 8 * PAGE


LINE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-s ([0-9a-f]+) .*dmabuf")


def mismatch(run, size):
    """How far QEMU's address of its one dma-buf of that size is from where it
    would match the mapping's offset, block by block: KVM with the fault then
    takes it for contiguous memory."""
    with open("/proc/%d/maps" % run.machine.process.pid) as f:
        found = [LINE.match(line) for line in f]
    (start, offset), = {(int(m[1], 16), int(m[3], 16)) for m in found
                        if m and int(m[2], 16) - int(m[1], 16) == size}
    return (offset - start) % BLOCK


def check_block(run, name, res, offset, size):
    """The buffer is mapped there; returns its mismatch."""
    tally, at = run.tally, run.gpu.window + offset
    tally.equal(run.gpu.map_blob(res, offset)[0], vgpu.OK_MAP_INFO,
                name + ": mapped")
    found = mismatch(run, size)
    run.vcpu.read(at + BLOCK, 1, PAGE, 0)
    tally.equal(sum(1 for p in run.tables.pages(at, size) if p), 1,
                name + ": a page that is read is there, and no other")
    view = run.view(res, size)
    run.check_reads(name, view, at, size)
    view.close()
    tally.equal([p and p.level for p in run.tables.pages(at, size)
                 if not p or p.block], [], name + ": no block is there")
    tally.equal(run.gpu.unmap_blob(res), vgpu.OK_NODATA, name + ": unmapped")
    return found


def check_blocks(run):
    """On a kernel with the fault that --foreign-pages of build-kernel.sh
    describes, as on any other."""
    size = 3 * BLOCK
    for kind in ("udmabuf", "vgem", "vkms", "test pfn"):
        name = "blocks: " + kind
        res, _ = run.new(kind, true_word(kind), size=size)
        offset = check_block(run, name, res, 0, size)
        name += ", its address matches its offset"
        run.tally.equal(check_block(run, name, res, offset, size), 0, name)
        run.gpu.unref(res)


#
# Pages that are larger than the guest's
#

ALIGNMENT = 1 << 5
REMEDY = "supports VIRTIO_GPU_F_BLOB_ALIGNMENT"


def check_offer(run):
    """The guest is told of the host's page where that is not its own."""
    offered = bool(run.gpu.offered & ALIGNMENT)
    run.tally.equal(offered, PAGE > 4096,
                    "pages: VIRTIO_GPU_F_BLOB_ALIGNMENT is offered or not")
    if offered:
        run.tally.equal(run.machine.mem("l", run.gpu.caps[4] + 16), PAGE,
                        "pages: blob_alignment")


def check_offsets(run):
    """Multiples of the host's page, and none else."""
    for offset in range(0, 2 * PAGE, 4096):
        name = "pages: a blob at %#x" % offset
        res, _ = run.new("memfd", "cached")
        answer = run.gpu.map_blob(res, offset)[0]
        if offset % PAGE:
            run.tally.equal(answer, vgpu.ERR_INVALID_PARAMETER,
                            name + ": refused")
            line = run.log.find("blob resource %d " % res)
            run.tally.check("misaligned-offset" in line and REMEDY in
                            run.machine.log_text(),
                            name + ": and what would help", line)
        else:
            run.tally.equal(answer, vgpu.OK_MAP_INFO, name + ": mapped")
            run.gpu.unmap_blob(res)
        run.gpu.unref(res)


def check_tail(run):
    """A blob of a guest's page: the rest of the host's is the buffer's, which
    is empty, and the next page is a hole."""
    name = "pages: a blob of 4096 bytes"
    at = run.gpu.window
    beyond = at + PAGE
    run.vcpu.write(beyond, 1, 8, 7)
    res = run.mapped(name, "memfd", "cached", 0, 4096)
    view = run.view(res, 4096)
    struct.pack_into("<Q", view, 4088, 5)
    run.tally.equal(run.vcpu.read(at + 4088, 1, 8, 5), 0,
                    name + ": the guest reads it")
    if PAGE > 4096:
        run.tally.equal(run.vcpu.read(at + 4096, 1, 8, 0), 0,
                        name + ": its tail is there")
        tail = run.machine.read(at + 4096, PAGE - 4096)
        run.tally.equal(tail.strip(b"\0"), b"", name + ": and empty")
    run.tally.equal(run.vcpu.read(beyond, 1, 8, 7), 0,
                    name + ": the page after it is as it was")
    view.close()
    run.remove(name, res)


def check(run):
    check_offer(run)
    check_offsets(run)
    check_tail(run)


def check_aligning(args, host, tally):
    """A guest that takes the feature, and does as it says."""
    name = "pages: a guest that aligns"
    with Run(args, host, "renderer", tally, features=ALIGNMENT) as run:
        res = run.mapped(name, "memfd", "cached", PAGE)
        run.remove(name, res)


#
# The first write to a page of GEM shmem's
#

def check_writes(args, host, tally):
    """KVM cannot map it, and QEMU cannot help: QEMU says so, and the virtual
    machine stops."""
    with Run(args, host, "renderer", tally) as run:
        at = run.gpu.window
        run.mapped("writes: vgem", "vgem", "wc", 0)
        run.vcpu.read(at, 1, PAGE, 0)
        try:
            run.vcpu.write(at, 1, PAGE, 1, timeout=5)
            tally.skip("writes: vgem", "this kernel serves them")
        except vcpu.Stopped as e:
            tally.check("Bad address" in str(e),
                        "writes: vgem: the machine stops", str(e))
            tally.check("cannot map" in run.machine.log_text(),
                        "writes: vgem: what it may be is said", str(e))
