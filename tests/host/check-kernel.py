#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Does the kernel notice an exporter that contradicts itself?

Uses /dev/dma-buf-liar of the test kernel: buffers whose stated and real
mappings are what we ask for.  Both ways to an exporter's mmap are tried: the
buffer's own file, and another driver's that passes it on.
"""

import errno
import fcntl
import mmap
import os
import struct
import sys

from support import Tally

DMA_BUF_IOCTL_INFO = 0xC0106202
LIAR_EXPORT = 0x4C00
LIAR_WC, LIAR_NO_MMAP = 0x100, 0x200
PAGE = 4096
SAYS = ["incoherent", "coherent-wc", "coherent-cached"]

tally = Tally("kernel")
equal = tally.equal


class Messages:
    """The kernel's log from now on."""

    def __init__(self):
        self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self.fd, 0, os.SEEK_END)

    def warnings(self):
        found = 0
        while True:
            try:
                text = os.read(self.fd, 8192).decode(errors="replace")
            except BlockingIOError:
                return found
            found += "maps otherwise" in text


def error_of(call):
    try:
        call()
    except OSError as e:
        return errno.errorcode[e.errno]
    return None


def ask(fd, param=1, pad=0):
    arg = bytearray(struct.pack("<IIQ", param, pad, 0xDEADBEEF))
    fcntl.ioctl(fd, DMA_BUF_IOCTL_INFO, arg)
    return struct.unpack("<IIQ", arg)


def warn_again():
    with open("/sys/kernel/debug/clear_warn_once", "w") as f:
        f.write("1")


def check_one(liar, log, says, wc):
    what = "says %s, is %s" % (SAYS[says], "write-combined" if wc else "cached")
    bad = (says == 1 and not wc) or (says == 2 and wc)
    fd = fcntl.ioctl(liar, LIAR_EXPORT, says | (LIAR_WC if wc else 0))
    equal(ask(fd), (1, 0, says), what + ": the answer")
    for way, file in (("its own mmap", fd), ("another driver's mmap", liar)):
        warn_again()
        log.warnings()
        mmap.mmap(file, PAGE).close()
        equal(log.warnings(), int(bad), "%s: warnings, %s" % (what, way))
        mmap.mmap(file, PAGE).close()
        equal(log.warnings(), 0, "%s: no second one, %s" % (what, way))
    equal(ask(fd), (1, 0, says), what + ": the same answer after mmap")
    os.close(fd)


def main():
    log = Messages()
    liar = os.open("/dev/dma-buf-liar", os.O_RDWR)
    for says in range(3):
        for wc in (False, True):
            check_one(liar, log, says, wc)

    fd = fcntl.ioctl(liar, LIAR_EXPORT, 2 | LIAR_NO_MMAP)
    equal(error_of(lambda: ask(fd)), "EINVAL", "a buffer without mmap")
    equal(error_of(lambda: mmap.mmap(fd, PAGE)), "EINVAL", "and its mmap")
    os.close(fd)

    fd = fcntl.ioctl(liar, LIAR_EXPORT, 2)
    equal(error_of(lambda: ask(fd, param=0)), "EINVAL", "question 0")
    equal(error_of(lambda: ask(fd, param=2)), "EINVAL", "question 2")
    equal(error_of(lambda: ask(fd, param=1 << 31)), "EINVAL",
          "question 2^31")
    equal(error_of(lambda: ask(fd, pad=1)), "EINVAL", "padding")
    equal(error_of(lambda: fcntl.ioctl(fd, DMA_BUF_IOCTL_INFO, 8)), "EFAULT",
          "a bad address")
    os.close(fd)

    equal(error_of(lambda: fcntl.ioctl(liar, LIAR_EXPORT, 3)), "EINVAL",
          "a statement that does not exist is not exported")
    os.close(liar)
    return tally.end()


sys.exit(main())
