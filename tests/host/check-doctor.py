#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the blob doctor says of a real host, and of what is left of it when
devices, permissions and limits are taken away.

To be run as root in a host of its own, whose /dev it changes.
"""

import argparse
import contextlib
import json
import os
import re
import resource
import stat
import subprocess
import time

from support import Tally

NODE = "/dev/dri/renderD128"
SYS_DRIVER = "/sys/class/drm/renderD128/device/driver"
MAX_MAP_COUNT = "/proc/sys/vm/max_map_count"
NOBODY = 65534

# Drivers and libraries are slow on an emulated host.
PATIENCE = "--timeout=120"

# What the checks look for, with the kernel's answer or without
EXPORTERS = {
    True: ("ok", "the kernel has DMA_BUF_IOCTL_INFO", None),
    False: ("limited", "the kernel has no DMA_BUF_IOCTL_INFO",
            "known names, or the renderer's word, decide; use a host kernel "
            "that has it for map-policy=strict"),
}
UDMABUF = {
    True: ("ok", 'udmabuf: exporter "udmabuf" says coherent-cached: cached, '
           'by exporter', None),
    False: ("ok", 'udmabuf: exporter "udmabuf" cannot be asked: cached, by '
            'exporter-name', None),
}
HEAP = {
    True: ("limited", 'dma-heap system: exporter "system" says incoherent: '
           'refused (exporter-incoherent)',
           "the exporter reports that it needs explicit cache maintenance; use "
           "map-policy=renderer to map it anyway (risk of stale data)"),
    False: ("ok", 'dma-heap system: exporter "system" cannot be asked: '
            'cached, by exporter-name', None),
}
VGEM = {
    True: ("ok", 'renderD128 (vgem): exporter "drm" says coherent-wc: wc, by '
           'exporter', None),
    False: ("limited", 'renderD128 (vgem): exporter "drm" cannot be asked: '
            "the renderer's word decides",
            "map-policy=strict refuses it; a host kernel with "
            "DMA_BUF_IOCTL_INFO would know"),
}
MARKS = {"ok": "✓", "limited": "!", "bad": "✗"}
CODES = {"ok": 0, "limited": 1, "bad": 2}


class Doctor:
    """Runs the doctor and looks at what it says."""

    def __init__(self, command, tally):
        self.command = command
        self.tally = tally

    def run(self, *options, prefix=(), **more):
        return subprocess.run(
            [*prefix, *self.command, *options], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
            **more)

    def report(self, what, *options, prefix=(), **more):
        """Its JSON; that is well formed, and the exit code fits to it."""
        done = self.run("--json", PATIENCE, *options, prefix=prefix, **more)
        try:
            report = json.loads(done.stdout.decode("utf-8"))
        except ValueError as err:
            self.tally.check(False, what + ": JSON", "%s\n%s\n%s" % (
                err, done.stdout, done.stderr))
            return {"level": "", "lines": []}
        self.tally.equal(done.returncode, CODES[report["level"]],
                         what + ": the exit code")
        self.tally.equal(done.stderr, b"", what + ": nothing on stderr")
        return report

    def has(self, report, what, topic, wanted):
        """There is such a line: (level, text, remedy), texts are patterns if
        they begin with ^."""
        lines = [(line["level"], line["text"], line.get("remedy"))
                 for line in report["lines"] if line["topic"] == topic]
        self.tally.check(any(matches(line, wanted) for line in lines),
                         "%s: %s: %s" % (what, topic, wanted[1]), lines)

    def has_not(self, report, what, topic, pattern):
        lines = [line["text"] for line in report["lines"]
                 if line["topic"] == topic]
        self.tally.check(not any(re.search(pattern, text) for text in lines),
                         "%s: %s: not %s" % (what, topic, pattern), lines)


def matches(line, wanted):
    """A line against what it should be."""
    for got, want in zip(line, wanted):
        if want and want.startswith("^"):
            if not got or not re.search(want, got):
                return False
        elif got != want:
            return False
    return True


def unopened():
    """What a node is called whose driver could not be asked: vgem's device has
    none in /sys, or one of another name."""
    try:
        driver = os.path.basename(os.readlink(SYS_DRIVER))
    except OSError:
        driver = "unknown driver"
    return "renderD128 (%s)" % driver


#
# Taking things away
#

@contextlib.contextmanager
def moved(path):
    """Without a file of /dev."""
    os.rename(path, path + ".away")
    try:
        yield
    finally:
        os.rename(path + ".away", path)


@contextlib.contextmanager
def replaced(path, make):
    """With something else in its place."""
    with moved(path):
        make(path)
        try:
            yield
        finally:
            os.remove(path)


def make_file(path):
    with open(path, "w", encoding="ascii"):
        pass


def make_null(path):
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))


@contextlib.contextmanager
def mounted_over(path):
    """With an empty folder in its place."""
    subprocess.run(["mount", "-t", "tmpfs", "empty", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


@contextlib.contextmanager
def map_count(value):
    """With another vm.max_map_count."""
    with open(MAX_MAP_COUNT, encoding="ascii") as file:
        old = file.read()
    with open(MAX_MAP_COUNT, "w", encoding="ascii") as file:
        file.write(str(value))
    try:
        yield
    finally:
        with open(MAX_MAP_COUNT, "w", encoding="ascii") as file:
            file.write(old)


def limited(which, value):
    """A child's limit."""
    return lambda: resource.setrlimit(which, (value, value))


#
# Checks
#

def check_whole(doctor, answers):
    report = doctor.report("all there")
    has = lambda *args: doctor.has(report, "all there", *args)
    release = os.uname()
    has("kernel", ("ok", "Linux %s on %s" % (release.release, release.machine),
                   None))
    has("exporters", EXPORTERS[answers])
    has("dma-bufs", UDMABUF[answers])
    has("dma-bufs", HEAP[answers])
    has("gpu", VGEM[answers])
    has("kvm", ("ok", "guests can use all cache types (honoured): guest cache "
                "types are honoured", None))
    has("renderer", ("ok", "^libvirglrenderer.so.1.* exports blobs and names "
                     "their types", None))
    has("renderer", ("ok", "Venus's memory, backing shm, renderer cached: "
                     "cached, by memfd", None))
    has("page", ("ok", "pages of 4 KiB", None))
    has("window", ("ok", "hostmem=4G can be had", None))
    has("mappings", ("ok", "^vm.max_map_count leaves room for [0-9]{5} blobs",
                     None))
    has("files", ("ok", "16384 open files: under KVM each dma-buf that is "
                  "mapped takes one", None))
    has("qemu", ("ok", r"^QEMU emulator version .* \(.*/qemu-system-x86_64\) "
                 "has map-policy$", None))
    doctor.tally.equal(report["options"],
                       "-accel kvm -display egl-headless,rendernode=" + NODE +
                       " -device virtio-vga-gl,blob=on,hostmem=4096M,venus=on,"
                       "map-policy=safe", "the options that fit")
    doctor.tally.check(report["libvirt"].startswith("<domain type='kvm' "),
                       "the XML that fits", report["libvirt"])
    return report


def check_text(doctor, report):
    """Not a terminal, and no locale: the same lines, in UTF-8."""
    done = doctor.run(PATIENCE, env=dict(os.environ, LC_ALL="C"))
    text = done.stdout.decode("utf-8")
    for line in report["lines"]:
        want = "%s %s: %s\n" % (MARKS[line["level"]], line["topic"],
                                line["text"])
        if "remedy" in line:
            want += "    %s\n" % line["remedy"]
        doctor.tally.check(want in text, "text: " + want.rstrip(), text)
    doctor.tally.check("\n%s\n" % report["options"] in text,
                       "text: the options", text)
    doctor.tally.equal(done.returncode, CODES[report["level"]],
                       "text: the exit code")


def check_no_permission(doctor):
    what = "another user"
    prefix = ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY,
              "--clear-groups"]
    report = doctor.report(what, prefix=prefix)
    doctor.has(report, what, "gpu", (
        "bad", unopened() + ": it cannot be opened: Permission denied",
        "let QEMU's user into the group of " + NODE + ", usually render"))
    doctor.has(report, what, "kvm", (
        "limited", "no virtual machine can be made: Permission denied",
        "let QEMU's user into the group of /dev/kvm, usually kvm"))
    doctor.has(report, what, "exporters", (
        "limited", "there is no dma-buf to ask about",
        "modprobe udmabuf, and run this as a user who may open /dev/udmabuf "
        "or a render node"))
    doctor.tally.check(report.get("options", "").startswith(
        "-accel tcg -display sdl,gl=on -device "), what + ": the options",
        report)


def check_udev(doctor):
    with moved(NODE):
        report = doctor.report("no node")
    doctor.has(report, "no node", "gpu", (
        "bad", unopened() + ": the kernel has it, and /dev/dri has not",
        "udev makes the node: is systemd-udevd running?  A container must be "
        "given /dev/dri"))
    for name, make in (("a file", make_file), ("another's node", make_null),
                       ("a pipe", os.mkfifo)):
        with replaced(NODE, make):
            report = doctor.report(name)
        doctor.has(report, name, "gpu", (
            "bad", "%s: %s is not its node" % (unopened(), NODE),
            "remove that file, and udevadm trigger --subsystem-match=drm"))


def check_no_gpu(doctor):
    with mounted_over("/sys/class/drm"):
        report = doctor.report("no GPU")
    doctor.has(report, "no GPU", "gpu", (
        "limited", "there is no render node: the processor draws",
        "load the GPU's kernel driver, if there is a GPU"))
    doctor.has_not(report, "no GPU", "gpu", "renderD")
    doctor.has(report, "no GPU", "renderer", (
        "limited", "a virgl buffer, backing none, renderer none: refused "
        "(nobody-vouches)", "^its cache type is unknown; "))
    doctor.has(report, "no GPU", "renderer", (
        "limited", "a virgl buffer takes a region of its own, of which there "
        "can be 256", "use a renderer that exports its buffers; it has no such "
        "limit"))
    doctor.tally.check(" -display sdl,gl=on " in report.get("options", ""),
                       "no GPU: the options", report)


def check_no_kvm(doctor, answers):
    with moved("/dev/kvm"):
        report = doctor.report("no KVM")
    doctor.has(report, "no KVM", "kvm", (
        "limited", "no virtual machine can be made: No such file or directory",
        "switch virtualization on in the firmware, and modprobe kvm_intel or "
        "kvm_amd; until then -accel tcg is slow"))
    # TCG leaves the choice to the guest
    doctor.has(report, "no KVM", "gpu", VGEM[answers])
    doctor.tally.check(report.get("options", "").startswith("-accel tcg "),
                       "no KVM: the options", report)


def check_limits(doctor):
    report = doctor.report("1024 files",
                           preexec_fn=limited(resource.RLIMIT_NOFILE, 1024))
    doctor.has(report, "1024 files", "files", (
        "limited", "1024 open files: under KVM each dma-buf that is mapped "
        "takes one", "raise the limit on open files (ulimit -n; max_files in "
        "libvirt's qemu.conf)"))
    report = doctor.report("2 GiB", "--hostmem=4G",
                           preexec_fn=limited(resource.RLIMIT_AS, 2 << 30))
    doctor.has(report, "2 GiB", "window", (
        "limited", "^hostmem: cannot reserve a window of 4096 MiB in QEMU's "
        "address space: Cannot allocate memory$", "hostmem=1G fits"))
    doctor.tally.check("hostmem=1024M" in report.get("options", ""),
                       "2 GiB: the options", report)
    with map_count(9000):
        report = doctor.report("9000 mappings", "--hostmem=256G")
    doctor.has(report, "9000 mappings", "window", (
        "limited", "hostmem: a window of 256 GiB needs 16392 mappings, and the "
        "host allows 4904", "hostmem=64G fits"))
    doctor.has(report, "9000 mappings", "mappings", (
        "limited", "vm.max_map_count leaves room for 400 blobs at a time",
        "raise vm.max_map_count"))
    report = doctor.report("too large", "--hostmem=32P")
    doctor.has(report, "too large", "window", (
        "limited", "^hostmem: ", "^hostmem=[0-9]+G fits$"))


def check_emulators(doctor, stock):
    report = doctor.report("no QEMU", "--qemu=/nonexistent")
    doctor.has(report, "no QEMU", "qemu", (
        "bad", "there is no /nonexistent",
        "install QEMU, or name it by --qemu"))
    report = doctor.report("no emulator", "--qemu=/bin/true")
    doctor.has(report, "no emulator", "qemu", (
        "bad", "/bin/true has no virtio-gpu-gl-pci: it says nothing", "^install its OpenGL "))
    report = doctor.report("stock", env=dict(os.environ,
                                             QEMU_MODULE_DIR=stock))
    doctor.has(report, "stock", "qemu", (
        "bad", r"^QEMU emulator .* asks nobody: its virtio-gpu-gl has no "
        "map-policy$",
        "install modules for it that have one, or use another QEMU"))


def check_hang(doctor, library):
    """A driver that hangs: nobody waits for it longer than he said."""
    start = time.monotonic()
    done = doctor.run("--json", env=dict(os.environ, LD_PRELOAD=library))
    elapsed = time.monotonic() - start
    report = json.loads(done.stdout)
    doctor.tally.check(elapsed < 10, "hang: less than 10 s", elapsed)
    doctor.tally.equal(done.returncode, 2, "hang: the exit code")
    doctor.has(report, "hang", "gpu", (
        "bad", unopened() + ": it does not answer when being opened",
        "see what its driver says in the kernel's log (dmesg)"))
    time.sleep(0.5)
    # the kernel keeps 15 characters of a name
    left = subprocess.run(["pgrep", "-x", "virtio-gpu-blob"], check=False,
                          stdout=subprocess.PIPE).stdout
    doctor.tally.equal(left, b"", "hang: no process is left")


#
# arm64: what KVM does with a guest's type depends on the processor
#

FWB = ("the processor forces write-back on guest RAM (FEAT_S2FWB) and ignores "
       "guest cache types")
FWB_REMEDY = ("use map-policy=renderer to map them anyway (risk of stale "
              "data)")
INCOHERENT = ("the exporter reports that it needs explicit cache maintenance; "
              "use map-policy=renderer to map it anyway (risk of stale data)")
ASK = ("map-policy=strict refuses it; a host kernel with DMA_BUF_IOCTL_INFO "
       "would know")


def arm64_buffer(name, exporter, answers):
    """udmabuf or a heap: no device of such a machine need be coherent, and the
    names that are known elsewhere vouch for nothing."""
    if answers:
        return ("limited", '%s: exporter "%s" says incoherent: refused '
                "(exporter-incoherent)" % (name, exporter), INCOHERENT)
    return ("limited", '%s: exporter "%s" cannot be asked: the renderer\'s '
            "word decides" % (name, exporter), ASK)


def arm64_vgem(answers, fwb):
    if answers and fwb:
        return ("limited", 'renderD128 (vgem): exporter "drm" says '
                "coherent-wc: refused (guest-type-ignored)",
                "it is not cached, and %s; %s" % (FWB, FWB_REMEDY))
    return VGEM[answers]


def arm64_lines(answers, fwb):
    """All of the report, in its order: topics, and what is said of them"""
    if fwb:
        kvm = ("limited", "guests get cached buffers only "
               "(forced-write-back): " + FWB, FWB_REMEDY)
    else:
        kvm = ("ok", "guests can use all cache types (honoured): guest cache "
               "types are honoured", None)
    return [
        ("kernel", ("ok", "Linux %s on aarch64" % os.uname().release, None)),
        ("exporters", EXPORTERS[answers]),
        ("dma-bufs", arm64_buffer("udmabuf", "udmabuf", answers)),
        ("dma-bufs", arm64_buffer("dma-heap system", "system", answers)),
        ("gpu", arm64_vgem(answers, fwb)),
        ("renderer", ("ok", "^libvirglrenderer.so.1.* exports blobs and names "
                      "their types$", None)),
        ("renderer", ("limited", "a virgl buffer, backing none, renderer none: "
                      "refused (nobody-vouches)",
                      "its cache type is unknown; use a host kernel with "
                      "DMA_BUF_IOCTL_INFO, or a less strict map-policy")),
        ("renderer", ("limited", "a virgl buffer takes a region of its own, of "
                      "which there can be 256", "use a renderer that exports "
                      "its buffers; it has no such limit")),
        ("renderer", ("ok", "Venus's memory, backing shm, renderer cached: "
                      "cached, by memfd", None)),
        ("kvm", kvm),
        ("page", ("ok", "pages of 4 KiB", None)),
        ("window", ("ok", "hostmem=4G can be had", None)),
        ("mappings", ("ok", "^vm.max_map_count leaves room for [0-9]{5} blobs "
                      "at a time$", None)),
        ("files", ("ok", "16384 open files: under KVM each dma-buf that is "
                   "mapped takes one", None)),
        ("qemu", ("ok", r"^QEMU emulator version .* "
                  r"\(.*/qemu-system-aarch64\) has map-policy$", None)),
    ]


def check_arm64(doctor, answers, fwb):
    report = doctor.report("arm64")
    wanted = arm64_lines(answers, fwb)
    for topic, line in wanted:
        doctor.has(report, "arm64", topic, line)
    doctor.tally.equal([line["topic"] for line in report["lines"]],
                       [topic for topic, _ in wanted],
                       "arm64: no other line, and their order")
    doctor.tally.equal(report.get("options"),
                       "-accel kvm -display egl-headless,rendernode=" + NODE +
                       " -device virtio-gpu-gl-pci,blob=on,hostmem=4096M,"
                       "venus=on,map-policy=safe", "arm64: the options")
    doctor.tally.check(report.get("libvirt", "").startswith(
        "<domain type='kvm' "), "arm64: the XML", report)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="doctor")
    parser.add_argument("--answers", choices=("yes", "no"), default="yes",
                        help="does the kernel have DMA_BUF_IOCTL_INFO?")
    parser.add_argument("--stock",
                        help="folder of the modules without our change")
    parser.add_argument("--hang",
                        help="what makes opening a render node hang")
    parser.add_argument("--arm64", choices=("fwb", "plain"),
                        help="only the report of an arm64 host, with FEAT_S2FWB "
                        "or without")
    parser.add_argument("command", nargs="+", help="the doctor")
    args = parser.parse_args()

    tally = Tally(args.name)
    doctor = Doctor(args.command, tally)
    answers = args.answers == "yes"
    if args.arm64:
        check_arm64(doctor, answers, args.arm64 == "fwb")
        return tally.end()
    check_text(doctor, check_whole(doctor, answers))
    check_no_permission(doctor)
    check_udev(doctor)
    check_no_gpu(doctor)
    check_no_kvm(doctor, answers)
    check_limits(doctor)
    check_emulators(doctor, args.stock)
    check_hang(doctor, args.hang)
    return tally.end()


if __name__ == "__main__":
    raise SystemExit(main())
