#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks the blob doctor's report on a real host, and where devices, libraries,
permissions or limits are missing.  Each command line that it prints is started.

With --here nothing is changed: that is a part of make check.  Otherwise the
check is run as root in a host of its own, whose /dev and modules it changes.
"""

import argparse
import contextlib
import json
import os
import re
import resource
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET

from support import Tally

NODE = "/dev/dri/renderD128"
MAX_MAP_COUNT = "/proc/sys/vm/max_map_count"
NOBODY = 65534
# A user without processes
LONELY = 1900000000 + os.getpid()
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

# Drivers and libraries are slow on an emulated host.
PATIENCE = "--timeout=120"
MARKS = {"ok": "✓", "limited": "!", "bad": "✗"}
CODES = {"ok": 0, "limited": 1, "bad": 2}

# Instead of running a guest
NOT_RUN = ["-S", "-qmp", "stdio", "-serial", "none", "-parallel", "none",
           "-monitor", "none"]
# By TCG where KVM may be any, and on a host of our own by its KVM
NO_KVM = {"kvm": "tcg", "host": "max"}
OFFSCREEN = ["SDL_VIDEODRIVER=offscreen"]
QUIT = b'{"execute":"qmp_capabilities"}\n{"execute":"quit"}\n'


class Doctor:
    """Runs the doctor and checks its report."""

    def __init__(self, command, tally, accels):
        self.command = command
        self.tally = tally
        self.accels = accels

    def run(self, *options, prefix=(), **more):
        return subprocess.run(
            [*prefix, *self.command, *options], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
            **more)

    def report(self, what, level, *options, prefix=(), patience=PATIENCE,
               **more):
        """Its JSON, with this verdict: well formed, in agreement with itself,
        and what it prints starts."""
        done = self.run("--json", patience, *options, prefix=prefix, **more)
        try:
            report = json.loads(done.stdout.decode("utf-8"))
        except ValueError as err:
            self.tally.check(False, what + ": JSON", "%s\n%s\n%s" % (
                err, done.stdout, done.stderr))
            return {"level": "", "lines": []}
        worst = max((line["level"] for line in report["lines"]), key=CODES.get)
        self.tally.equal(
            (report["level"], report["exit-code"], done.returncode, worst,
             "argv" in report, "libvirt" in report, done.stderr),
            (level, CODES[level], CODES[level], level, level != "bad",
             level != "bad", b""), what + ": the verdict")
        if level != report["level"]:
            print(json.dumps(report["lines"], indent=1))
        if "argv" in report:
            self.check_options(what, report, prefix, more.get("env"))
        return report

    def has(self, report, what, wanted, level, **fields):
        """There is such a line; fields are patterns."""
        lines = [line for line in report["lines"] if line["id"] == wanted]
        self.tally.check(any(
            line["level"] == level and
            all(re.search(pattern, line.get(name, ""))
                for name, pattern in fields.items()) for line in lines),
            "%s: %s" % (what, wanted), lines or
            [line["id"] for line in report["lines"]])

    def has_not(self, report, what, unwanted):
        lines = [line for line in report["lines"] if line["id"] == unwanted]
        self.tally.equal(lines, [], "%s: not %s" % (what, unwanted))

    def check_options(self, what, report, prefix, env):
        """They start, and the XML says the same."""
        argv, domain = report["argv"], ET.fromstring(report["libvirt"])
        told = [argv[0]] + re.findall("rendernode=([^ ,]*)", " ".join(argv))
        xml = [domain.findtext("devices/emulator")] + [
            gl.get("rendernode") for gl in domain.iter("gl")]
        self.tally.equal((xml, validate(report["libvirt"])), (told, ""),
                         what + ": the XML")
        argv = [self.accels.get(arg, arg) for arg in argv]
        code, cards, said = start(argv, report["environment"], prefix, env)
        self.tally.equal((code, cards if not report["facts"]["gpus"] else []),
                         (0, []), "%s: the options start: %s" % (what, said))


def validate(xml):
    """libvirt's message about a wrong domain, if libvirt is installed."""
    if not shutil.which("virt-xml-validate"):
        return ""
    done = subprocess.run(["virt-xml-validate", "-", "domain"], check=False,
                          input=xml.encode("utf-8"), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    return "" if not done.returncode else done.stdout.decode("utf-8")


def start(argv, settings, prefix, env):
    """Starts a command line, without running a guest.  Returns the exit code,
    the cards that are open, and QEMU's messages."""
    env = dict(os.environ if env is None else env)
    env.update(setting.split("=", 1) for setting in settings)
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen([*prefix, *argv, *NOT_RUN], env=env,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=said) as qemu:
            qemu.stdout.readline()
            cards = open_cards(qemu.pid)
            with contextlib.suppress(BrokenPipeError):
                qemu.communicate(QUIT, timeout=120)
        said.seek(0)
        text = said.read().decode("utf-8", "replace").strip()
    return qemu.returncode, cards, text.replace("\n", "; ")


def open_cards(pid):
    folder = "/proc/%d/fd" % pid
    paths = []
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                paths.append(os.readlink(os.path.join(folder, name)))
    return [path for path in paths if path.startswith("/dev/dri/card")]


def argument(report, option):
    """An option's value on the command line that is printed."""
    argv = report.get("argv", [])
    return argv[argv.index(option) + 1] if option in argv else ""


#
# Hosts on which something is missing
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


@contextlib.contextmanager
def permitted(path):
    """With a device node that any user may open."""
    mode = os.stat(path).st_mode
    os.chmod(path, 0o666)
    try:
        yield
    finally:
        os.chmod(path, stat.S_IMODE(mode))


def limited(which, value):
    """A child's limit."""
    return lambda: resource.setrlimit(which, (value, value))


def changed(**settings):
    """The environment with more in it."""
    return dict(os.environ, **settings)


def another_user():
    return ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY,
            "--clear-groups"]


# arm64's hosts have no ROM for a network device.
WITH_FIRMWARE = """case $0 in
*aarch64) set -- -nic none "$@" ;;
esac
exec %s -L /usr/share/qemu -L /usr/share/seabios "$@"
"""


@contextlib.contextmanager
def script(text, name="program"):
    """A program, for all users."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = os.path.join(folder, name)
        with open(path, "w", encoding="ascii") as file:
            # arm64's tree is not configured: it has no /bin/sh
            file.write("#!/bin/bash\n" + text)
        os.chmod(path, 0o755)
        yield path


#
# On any host
#

def check_text(doctor, report):
    """Not a terminal, and no locale: the same lines, in UTF-8."""
    done = doctor.run(PATIENCE, "--verbose", env=changed(LC_ALL="C"))
    text = done.stdout.decode("utf-8")
    for line in report["lines"]:
        want = "%s %s: %s\n" % (MARKS[line["level"]], line["topic"],
                                line["text"])
        for name, mark in (("remedy", ""), ("command", "$ ")):
            if name in line:
                want += "    %s%s\n" % (mark, line[name])
        doctor.tally.check(want in text, "text: " + line["id"],
                           want + "not in\n" + text)
    command = " ".join([*report["environment"], *report["argv"]])
    doctor.tally.check(command in text.replace(" \\\n    ", " "),
                       "text: the options", text)
    doctor.tally.check("Drivers and libraries said:" in text, "text: verbose")
    doctor.tally.equal(done.returncode, report["exit-code"],
                       "text: the exit code")
    version = doctor.run("--version").stdout.decode("utf-8")
    doctor.tally.check(re.match(r"virtio-gpu-blob-doctor \d+\.\d+", version),
                       "the version", version)


def check_vulkan(doctor):
    report = doctor.report("no Vulkan", "limited",
                           env=changed(VK_DRIVER_FILES="/nonexistent"))
    doctor.has(report, "no Vulkan", "vulkan.no-device", "limited",
               text="VkResult -9")
    doctor.tally.check("venus" not in argument(report, "-device"),
                       "no Vulkan: no venus", report)
    report = doctor.report("no render server", "limited",
                           env=changed(RENDER_SERVER_EXEC_PATH="/bin/false"))
    doctor.has(report, "no render server", "vulkan.no-server", "limited",
               command="virgl-server")
    doctor.tally.check("venus" not in argument(report, "-device"),
                       "no render server: no venus", report)


def check_path(doctor, stock):
    """A QEMU without our change is the first in PATH."""
    what = "stock first"
    ours = doctor.command[-1][len("--qemu="):]
    setting = "QEMU_MODULE_DIR=" if os.path.isdir(stock) else ""
    run = setting + shlex.quote(stock) + (
        " " + shlex.quote(ours) if setting else "")
    with script('exec env %s "$@"\n' % run, os.path.basename(ours)) as first:
        env = changed(PATH=os.path.dirname(first) + ":" + os.environ["PATH"])
        found = Doctor(doctor.command[:-1], doctor.tally, doctor.accels)
        report = found.report(what, "bad", env=env)
        doctor.has(report, what, "qemu.unmodified", "bad",
                   text=re.escape("(%s)" % first), remedy="--qemu=FILE")
        report = doctor.report(what + ", --qemu", "limited", env=env)
    doctor.tally.equal(report["argv"][:1], [ours], what + ": the line")


def check_emulators(doctor, stock):
    report = doctor.report("no QEMU", "bad", "--qemu=/nonexistent")
    doctor.has(report, "no QEMU", "qemu.missing", "bad", text="^/nonexistent ")
    report = doctor.report("no emulator", "bad", "--qemu=/bin/true")
    doctor.has(report, "no emulator", "qemu.no-device", "bad",
               text="gives no reason")
    if stock:
        if os.path.isdir(stock):
            report = doctor.report("stock", "bad",
                                   env=changed(QEMU_MODULE_DIR=stock))
        else:
            report = doctor.report("stock", "bad", "--qemu=" + stock)
        doctor.has(report, "stock", "qemu.unmodified", "bad",
                   remedy="--qemu=FILE")
        check_path(doctor, stock)
    with script("sleep 30\n") as path:
        report = doctor.report("QEMU hangs", "bad", "--qemu=" + path,
                               patience="--timeout=1")
    doctor.has(report, "QEMU hangs", "qemu.probe", "bad",
               text="no answer in time")


def check_resources(doctor):
    report = doctor.report("1024 files", "limited",
                           preexec_fn=limited(resource.RLIMIT_NOFILE, 1024))
    doctor.has(report, "1024 files", "files.few", "limited", text="is 1024 ",
               command="prlimit --pid .* --nofile=65536")
    report = doctor.report("2 GiB", "bad",
                           preexec_fn=limited(resource.RLIMIT_AS, 2 << 30))
    doctor.has(report, "2 GiB", "window.limited", "limited",
               text="cannot reserve a window", remedy="^hostmem=1G fits")
    doctor.has(report, "2 GiB", "start.failed", "bad", text="memory")
    report = doctor.report("a large window", "limited", "--hostmem=32P")
    doctor.has(report, "a large window", "window.limited", "limited")
    report = doctor.report("a small window", "limited", "--hostmem=512M")
    doctor.has(report, "a small window", "window.small", "limited")
    if argument(report, "-accel") == "tcg":
        report = doctor.report("40 address bits", "limited", "--hostmem=256G")
        doctor.has(report, "40 address bits", "window.address-bits", "limited",
                   remedy="hostmem=128G")
        doctor.tally.check("hostmem=128G" in argument(report, "-device"),
                           "40 address bits: the options", report)


def check_processes(doctor):
    """No process may be created: a user of two, which are the doctor's own."""
    if os.getuid():
        doctor.tally.skip("no processes", "this takes another user")
        return
    report = doctor.report(
        "no processes", "bad", prefix=["setpriv", "--reuid=%d" % LONELY],
        preexec_fn=limited(resource.RLIMIT_NPROC, 2))
    doctor.has(report, "no processes", "probes.fork", "bad",
               text="temporarily unavailable", remedy="pids.max")
    doctor.tally.check(not any(
        line["level"] == "bad" and line["id"] != "probes.fork"
        for line in report["lines"]), "no processes: nothing else is blamed",
        report["lines"])


def check_choices(doctor, gpus):
    report = doctor.report("no such node", "bad",
                           "--rendernode=/dev/dri/renderD200")
    doctor.has(report, "no such node", "gpu.wanted", "bad", text="renderD200")
    env = changed(DISPLAY=":77")
    env.pop("WAYLAND_DISPLAY", None)
    report = doctor.report("no such desktop", "limited", env=env)
    doctor.has(report, "no such desktop", "start.failed", "limited",
               text="an SDL window")
    doctor.has(report, "no such desktop", "start.works", "ok", text=
               "egl-headless" if gpus else "offscreen")


def find_in(path, pattern, flags=0):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return re.findall(pattern, file.read(), flags)


def check_floors(tally):
    """The manual has the code's table."""
    code = find_in("contrib/virtio-gpu-blob-doctor/floors.h",
                   r'{ "([a-z0-9-]+)", \w+, "([0-9.]+)", [^{]*?'
                   r'"(read|tried|reported)"')
    manual = find_in("docs/tools/virtio-gpu-blob-doctor.rst",
                     r"\* - ``([a-z0-9-]+)``\n +- \S+ ([0-9.]+)"
                     r"[^*]*\n +- (read|tried|reported)")
    tally.check(code, "there are floors")
    tally.equal(manual, code, "the manual's floors")


def check_rules(tally):
    """The manual has the code's rules for AppArmor, which check-libvirt
    tries."""
    code = find_in("contrib/virtio-gpu-blob-doctor/recipe.c",
                   r"apparmor_rules\[\] =\n(.*?);", re.S)
    manual = find_in("docs/system/devices/virtio-gpu-blob.rst",
                     r"libvirt-qemu\.d/virtio-gpu``:\n\n +\.\. code-block:: "
                     r"none\n\n(.*?)\n\n", re.S)
    tally.check(code and manual, "there are rules for AppArmor")
    tally.equal([line.strip() for line in "".join(manual).split("\n")],
                re.findall(r'"  (.*?)(?:\\n)?"',
                           "".join(code).replace('" "', "")),
                "the manual's rules for AppArmor")


def commands_of(unit):
    """QEMU's command lines in the unit test's reports on hosts that it invents,
    each with the first host that has it."""
    said = subprocess.run([unit, "--tap", "--verbose"], check=False,
                          stdout=subprocess.PIPE).stdout.decode("utf-8")
    found = {}
    for host, command in re.findall(r"^# command of (\S+): (.*)$", said, re.M):
        found.setdefault(command, host)
    return found


def replaced_here(argv, settings, here):
    """An invented host's command line, with what this host has in place of what
    it lacks: QEMU's path, a render node or a desktop, and KVM.  Returns it, its
    environment, and what was replaced."""
    argv, changes = here["argv"][:1] + argv[1:], []
    display = argv.index("-display") + 1
    node = here["facts"].get("gpu")
    if argv[display].startswith("egl-headless") and node:
        argv[display] = "egl-headless,rendernode=/dev/dri/" + node
    elif settings != OFFSCREEN:
        changes.append("SDL's offscreen driver for " + argv[display])
        argv[display] = "sdl,gl=on"
        settings = OFFSCREEN
        if "-vnc" in argv:
            vnc = argv.index("-vnc")
            del argv[vnc:vnc + 2]
    return argv, settings, changes


def check_invented(doctor, unit, here):
    """What is printed for hosts that only the unit test has starts too."""
    commands = commands_of(unit)
    doctor.tally.check(commands, "the unit test shows command lines")
    accels = doctor.accels or (
        NO_KVM if argument(here, "-accel") == "tcg" else {})
    for command, host in commands.items():
        words = shlex.split(command)
        settings = [word for word in words if re.match("[A-Z_]+=", word)]
        argv = words[len(settings):]
        what = "the command line of " + host
        machine = argv[argv.index("-machine") + 1]
        if machine != argument(here, "-machine"):
            doctor.tally.skip(what, "its machine is %s, which is not for this "
                              "host's QEMU" % machine.split(",")[0])
            continue
        argv, settings, changes = replaced_here(argv, settings, here)
        if set(argv) & set(accels):
            changes.append("TCG for KVM")
            argv = [accels.get(arg, arg) for arg in argv]
        code, _cards, said = start(argv, settings, (), None)
        doctor.tally.equal(code, 0, "%s starts%s: %s" % (
            what, " (with %s)" % ", ".join(changes) if changes else "", said))


#
# On a host of its own
#

def check_whole(doctor, answers):
    what = "all there"
    report = doctor.report(what, "limited")
    has = lambda *args, **more: doctor.has(report, what, *args, **more)
    release = os.uname()
    has("kernel.release", "ok", text="^Linux %s on %s$" % (
        re.escape(release.release), release.machine))
    has("query.supported" if answers else "query.unsupported",
        "ok" if answers else "limited")
    has("dma-buf.mapped", "ok", text="^udmabuf: buffers are mapped cached "
        r"\(%s\)$" % ("reported by the kernel" if answers
                      else "known exporter"))
    if answers:
        has("dma-buf.refused", "limited", text=r"^dma-heap system: buffers are "
            r"refused \(exporter-incoherent\)$")
        has("gpu.mapped", "ok", subject="renderD128", text="mapped wc ")
    else:
        has("dma-buf.mapped", "ok", subject="^dma-heap system$")
        has("gpu.renderer", "limited", subject="renderD128")
    has("gpu.software", "limited", subject="renderD128", text="vgem.*llvmpipe")
    has("gpu.used", "ok", subject="renderD128", text="the first one")
    has("opengl.mapped", "ok", text="cached")
    has("vulkan.devices", "limited", text="llvmpipe")
    has("vulkan.mapped", "ok", text="shared memory")
    has("kvm.honoured", "ok")
    has("page.small", "ok", text="^4 KiB$")
    has("window.fits", "ok", text="hostmem=4G")
    has("mappings.enough", "ok", text=r"up to \d{5} blobs .* is \d+\)$")
    has("qemu.map-policy", "ok", text=r"^QEMU emulator version .* has "
        "map-policy$")
    has("start.works", "ok", text="KVM, egl-headless and VNC")
    has("versions.found", "ok", text=r"virglrenderer \d+\.\d+.*, Mesa \d+\.")
    doctor.tally.equal(argument(report, "-display"),
                       "egl-headless,rendernode=" + NODE, "the display")
    doctor.tally.equal(argument(report, "-device"), "virtio-vga-gl,id=gpu0,"
                       "blob=on,hostmem=4G,venus=on,map-policy=safe",
                       "the device")
    return report


def check_broken_gl(doctor):
    """A GPU that the display cannot use is none."""
    what = "no GBM"
    report = doctor.report(what, "limited",
                           env=changed(GBM_BACKENDS_PATH="/nonexistent"))
    doctor.has(report, what, "gpu.no-opengl", "limited", subject="renderD128",
               text="gbm_create_device failed.*/nonexistent")
    doctor.has(report, what, "gpu.none", "limited")
    doctor.tally.equal(argument(report, "-display"), "sdl,gl=on",
                       what + ": the display")


def check_no_permission(doctor):
    """A node that cannot be opened is a limit, as the options work."""
    what = "another user"
    report = doctor.report(what, "limited", prefix=another_user())
    for wanted, path in (("gpu.closed", NODE), ("kvm.unusable", "/dev/kvm"),
                         ("dma-buf.closed", "/dev/udmabuf")):
        doctor.has(report, what, wanted, "limited", text="Permission denied",
                   command="setfacl -m u:nobody:rw %s$" % path)
    doctor.has(report, what, "query.not-tested", "limited")
    doctor.has_not(report, what, "dma-buf.no-udmabuf")
    doctor.tally.equal([argument(report, "-accel"),
                        argument(report, "-display"), report["environment"]],
                       ["tcg", "sdl,gl=on", ["SDL_VIDEODRIVER=offscreen"]],
                       what + ": the options")


def check_two_nodes(doctor):
    """The one that works is taken."""
    what = "two nodes"
    nodes = sorted(name for name in os.listdir("/dev/dri")
                   if name.startswith("renderD"))
    if len(nodes) < 2:
        doctor.tally.skip(what, "there is one only")
        return
    with permitted("/dev/dri/" + nodes[1]):
        report = doctor.report(what, "limited", prefix=another_user())
    doctor.has(report, what, "gpu.closed", "limited", subject=nodes[0])
    doctor.has(report, what, "gpu.used", "ok", subject=nodes[1])
    doctor.tally.equal(argument(report, "-display"),
                       "egl-headless,rendernode=/dev/dri/" + nodes[1],
                       what + ": the display")
    report = doctor.report("--rendernode", "limited",
                           "--rendernode=/dev/dri/" + nodes[1])
    doctor.has(report, "--rendernode", "gpu.used", "ok", subject=nodes[1],
               text="as --rendernode says")


def check_udev(doctor):
    """A node that is not the GPU's; where there are two, the other is used."""
    nodes = sorted(name for name in os.listdir("/dev/dri")
                   if name.startswith("renderD"))
    with moved(NODE):
        report = doctor.report("no node", "limited")
    doctor.has(report, "no node", "gpu.missing", "limited",
               subject="renderD128", command="udevadm trigger")
    for name, make in (("a file", make_file), ("another's node", make_null),
                       ("a pipe", os.mkfifo)):
        with replaced(NODE, make):
            report = doctor.report(name, "limited")
        doctor.has(report, name, "gpu.other", "limited", subject="renderD128")
        if len(nodes) > 1:
            doctor.has(report, name, "gpu.used", "ok", subject=nodes[1])


def check_no_gpu(doctor):
    with mounted_over("/sys/class/drm"), mounted_over("/dev/dri"):
        report = doctor.report("no GPU", "limited")
    doctor.has(report, "no GPU", "gpu.none", "limited", text="llvmpipe")
    doctor.has(report, "no GPU", "opengl.mapped", "ok", text="cached")
    doctor.has(report, "no GPU", "opengl.regions", "limited")
    doctor.has(report, "no GPU", "start.not-shown", "limited",
               command="modprobe vgem")


def check_card_only(doctor):
    """A card without a render node, as of a server's console: not touched."""
    what = "a card only"
    subprocess.run(["modprobe", "-r", "vgem", "virtio_gpu"], check=False)
    cards = os.listdir("/dev/dri") if os.path.isdir("/dev/dri") else []
    if not cards or any(name.startswith("renderD") for name in cards):
        doctor.tally.skip(what, "this host has other ones")
        return
    report = doctor.report(what, "limited")
    doctor.has(report, what, "gpu.none", "limited",
               remedy="The driver of the card here cannot render")
    doctor.tally.equal(report["environment"], ["SDL_VIDEODRIVER=offscreen"],
                       what + ": the environment")


def check_no_kvm(doctor):
    with moved("/dev/kvm"):
        report = doctor.report("no KVM", "limited")
    doctor.has(report, "no KVM", "kvm.unusable", "limited",
               command="modprobe kvm_intel")
    doctor.tally.equal(argument(report, "-accel"), "tcg",
                       "no KVM: the options")


def check_no_udmabuf(doctor):
    with moved("/dev/udmabuf"):
        report = doctor.report("no udmabuf", "limited")
    doctor.has(report, "no udmabuf", "dma-buf.no-udmabuf", "limited",
               command="modprobe udmabuf")


def check_mappings(doctor):
    with map_count(9000):
        report = doctor.report("9000 mappings", "limited", "--hostmem=64G")
    doctor.has(report, "9000 mappings", "mappings.few", "limited",
               text=r"up to 400 blobs .* is 9000\)",
               command="sysctl vm.max_map_count=")


def check_hang(doctor, library):
    """A driver that hangs, and QEMU with it: neither is waited for longer than
    the rounds take."""
    # libdrm looks for devices on the buses that it knows. Where the driver is
    # on the faux bus, as vgem is in newer kernels, QEMU starts without it.
    bus = os.path.realpath("/sys/class/drm/renderD128/device/subsystem")
    starts = os.path.basename(bus) == "faux"
    level = "limited" if starts else "bad"
    begin = time.monotonic()
    report = doctor.report("hang", level, patience="--timeout=8",
                           env=changed(LD_PRELOAD=library))
    elapsed = time.monotonic() - begin
    doctor.tally.check(elapsed < 40, "hang: the rounds end", elapsed)
    doctor.has(report, "hang", "gpu.probe", level,
               text=r"no answer in time \(while opening it\)")
    if starts:
        doctor.has(report, "hang", "start.works", "ok")
    else:
        doctor.has(report, "hang", "start.failed", "bad",
                   text="no answer in time")
    time.sleep(0.5)
    # the kernel keeps 15 characters of a name
    left = subprocess.run(["pgrep", "-x", "virtio-gpu-blob"], check=False,
                          stdout=subprocess.PIPE).stdout
    doctor.tally.equal(left, b"", "hang: no process is left")


#
# arm64: what KVM does with a guest's type depends on the processor
#

def check_arm64(doctor, answers, fwb):
    what = "arm64"
    report = doctor.report(what, "limited")
    has = lambda *args, **more: doctor.has(report, what, *args, **more)
    has("kernel.release", "ok", text=" on aarch64$")
    # No device of such a machine need be coherent.
    for subject in ("udmabuf", "dma-heap system"):
        if answers:
            has("dma-buf.refused", "limited", subject=subject,
                text="exporter-incoherent")
        else:
            has("dma-buf.renderer", "limited", subject=subject)
    if answers and fwb:
        has("gpu.refused", "limited", text="guest-type-ignored")
    elif answers:
        has("gpu.mapped", "ok", text="mapped wc")
    if fwb:
        has("kvm.cached-only", "limited", text="forced-write-back")
    else:
        has("kvm.honoured", "ok")
    has("vulkan.mapped", "ok", text="shared memory")
    has("qemu.map-policy", "ok", text="qemu-system-aarch64")
    doctor.tally.check(argument(report, "-device").startswith(
        "virtio-gpu-gl-pci,"), "arm64: the device", report)


def check_here(doctor, stock, unit):
    report = doctor.report("here", "limited")
    check_text(doctor, report)
    if unit:
        check_invented(doctor, unit, report)
    check_vulkan(doctor)
    check_emulators(doctor, stock)
    check_resources(doctor)
    check_processes(doctor)
    check_choices(doctor, report["facts"].get("gpu"))


def check_own_host(doctor, answers, hang):
    for module in ("virtio_gpu", "bochs"):
        subprocess.run(["modprobe", "-q", module], check=False)
    check_whole(doctor, answers)
    check_broken_gl(doctor)
    check_no_permission(doctor)
    check_two_nodes(doctor)
    check_udev(doctor)
    check_no_gpu(doctor)
    check_no_kvm(doctor)
    check_no_udmabuf(doctor)
    check_mappings(doctor)
    if hang:
        check_hang(doctor, hang)
    check_card_only(doctor)


def check(doctor, args):
    answers = args.answers == "yes"
    if args.arm64:
        check_arm64(doctor, answers, args.arm64 == "fwb")
        return
    check_here(doctor, args.stock, args.unit)
    if args.here:
        check_floors(doctor.tally)
        check_rules(doctor.tally)
    else:
        check_own_host(doctor, answers, args.hang)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="doctor")
    parser.add_argument("--here", action="store_true",
                        help="only what changes nothing")
    parser.add_argument("--answers", choices=("yes", "no"), default="yes",
                        help="does the kernel have DMA_BUF_IOCTL_INFO?")
    parser.add_argument("--qemu",
                        help="an emulator that is not installed: it is told "
                        "where the firmware is")
    parser.add_argument("--stock",
                        help="QEMU without our change, or the folder of its "
                        "modules")
    parser.add_argument("--unit",
                        help="the doctor's unit test: start what it shows")
    parser.add_argument("--hang",
                        help="what makes opening a render node hang")
    parser.add_argument("--arm64", choices=("fwb", "plain"),
                        help="only the report of an arm64 host, with FEAT_S2FWB "
                        "or without")
    parser.add_argument("command", nargs="+", help="the doctor")
    args = parser.parse_args()

    tally = Tally(args.name)
    doctor = Doctor(args.command, tally, NO_KVM if args.here else {})
    with contextlib.ExitStack() as stack:
        if args.qemu:
            doctor.command.append("--qemu=" + stack.enter_context(
                script(WITH_FIRMWARE % shlex.quote(args.qemu),
                       os.path.basename(args.qemu))))
        check(doctor, args)
    return tally.end()


if __name__ == "__main__":
    raise SystemExit(main())
