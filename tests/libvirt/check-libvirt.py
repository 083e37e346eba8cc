#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Takes a domain with blob mappings through its life with virsh.

To be run beside a libvirt daemon (see private-daemon.sh). Prints one line
for each test, "ok - ..." or "not ok - ...", and "done" at the end.
"""

import argparse
import copy
import glob
import json
import os
import re
import socket
import subprocess
import sys
import time
import uuid
import xml.etree.ElementTree as ET

QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"
ALIAS = "ua-gpu0"
GPU = "/machine/peripheral/" + ALIAS
NAME = "blob"
CONSOLE = "/run/virtio-gpu-blob/console"
BLOBS, BLOB_SIZE = 16, 65536
HOSTMEM = 4 << 30
# How much longer everything may take
patience = 1


class Failure(Exception):
    """The check cannot go on."""


def check(good, what, detail=""):
    print("%s - %s%s" % ("ok" if good else "not ok", what,
                         "" if good else ": %s" % detail), flush=True)
    return good


def equal(got, want, what):
    return check(got == want, what, "%r, expected %r" % (got, want))


def need(good, what, detail=""):
    if not check(good, what, detail):
        raise Failure(what)


def run(*command, timeout=30):
    """The exit code and all output of a command that must end in time."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True,
                              stdin=subprocess.DEVNULL,
                              timeout=timeout * patience)
    except subprocess.TimeoutExpired:
        return 124, "not ended after %d s" % timeout
    return done.returncode, done.stdout.strip()


def virsh(*args, timeout=30):
    return run("virsh", "-q", *args, timeout=timeout)


def qmp(command, **arguments):
    message = {"execute": command}
    if arguments:
        message["arguments"] = arguments
    code, out = virsh("qemu-monitor-command", NAME, json.dumps(message))
    if code:
        raise Failure("%s: %s" % (command, out))
    reply = json.loads(out)
    if "return" not in reply:
        raise Failure("%s: %s" % (command, reply))
    return reply["return"]


def qom_get(name):
    return qmp("qom-get", path=GPU, property=name)


def domain_state():
    return virsh("domstate", NAME)[1]


def wait_off(seconds):
    end = time.monotonic() + seconds * patience
    while time.monotonic() < end:
        if domain_state() == "shut off":
            return True
        time.sleep(0.2)
    return False


class Console:
    """The guest's serial line: many-blobs tells its steps and waits."""

    def __init__(self):
        self.text = ""
        self.read = 0
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(CONSOLE)

    def step(self, name, seconds=60):
        """Wait for a step; the words behind its name."""
        end = time.monotonic() + seconds * patience
        while True:
            found = re.search(r"^(STEP %s\b|.*FAIL |.*Kernel panic)(.*)\n" % name,
                              self.text[self.read:], re.M)
            if found:
                break
            left = end - time.monotonic()
            if left <= 0:
                raise Failure("the guest did not get to %r" % name)
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(4096)
            except socket.timeout:
                continue
            if not data:
                raise Failure("the console ended before %r" % name)
            self.text += data.decode(errors="replace").replace("\r", "")
        self.read += found.end()
        if not found.group(1).startswith("STEP"):
            raise Failure("the guest said %s" % found.group(0).strip())
        return found.group(2).split()

    def go_on(self):
        self.sock.sendall(b"\n")


def load(file):
    ET.register_namespace("qemu", QEMU[1:-1])
    return ET.parse(file).getroot()


def set_property(domain, name, value):
    """Set or, without a value, remove an overridden property."""
    front = domain.find("%soverride//%sfrontend" % (QEMU, QEMU))
    for prop in front.findall(QEMU + "property"):
        if prop.get("name") == name:
            if value is None:
                front.remove(prop)
            else:
                prop.set("value", value)


def write(domain, file):
    ET.ElementTree(domain).write(file, encoding="unicode")
    return file


def validate(file, what):
    code, out = run("virt-xml-validate", file, "domain")
    equal((code, "validates" in out), (0, True), what)
    if code:
        print(out)


def spell(element):
    """An element without the white space around what is in it."""
    if element is None:
        return None
    return (element.tag, sorted(element.attrib.items()),
            (element.text or "").strip(), [spell(e) for e in element])


def documented(manual):
    """The manual's example as an element."""
    with open(manual, encoding="utf-8") as f:
        text = f.read()
    found = re.search(r"^libvirt\n-+\n.*?^\.\. code-block:: xml\n\n(.*?)(?=^\S|\Z)",
                      text, re.M | re.S)
    if not found:
        raise Failure("the manual has no example for libvirt")
    return ET.fromstring(found.group(1).replace("...", ""))


def check_manual(manual, domain):
    """What the manual shows is what is tested here."""
    shown = documented(manual)
    for path in ("memoryBacking", "devices/graphics", "devices/video",
                 QEMU + "override"):
        equal([spell(e) for e in shown.findall(path)],
              [spell(e) for e in domain.findall(path)],
              "the manual shows the tested %s" % path.split("}")[-1])


def check_wrong_policy(domain, tmp):
    """libvirt's user reads what is wrong and what would be right."""
    wrong = copy.deepcopy(domain)
    set_property(wrong, "map-policy", "fast")
    validate(write(wrong, tmp), "a wrong map-policy is beyond libvirt's schema")
    code, out = virsh("define", tmp)
    need(code == 0, "a domain with a wrong map-policy is defined", out)
    code, out = virsh("start", NAME, timeout=60)
    print("   | " + out.replace("\n", "\n   | "))
    need(code not in (0, 124), "it does not start", "it does")
    for word in ("map-policy", "fast"):
        check(word in out, "virsh's error names %s" % word, out)
    equal(domain_state(), "shut off", "libvirt keeps the domain, shut off")


def start(domain, tmp):
    code, out = virsh("define", write(domain, tmp))
    need(code == 0, "define", out)
    began = time.monotonic()
    code, out = virsh("start", NAME, timeout=60)
    need(code == 0, "start", out)
    print("   | started in %.1f s" % (time.monotonic() - began))
    equal(domain_state(), "running", "the domain runs")


def without_gpu(domain):
    """The domain with the display that every host has."""
    plain = copy.deepcopy(domain)
    devices = plain.find("devices")
    for graphics in devices.findall("graphics"):
        devices.remove(graphics)
    return plain


def with_gpu(domain):
    """The domain with the display that the manual shows."""
    shown = copy.deepcopy(domain)
    line = shown.find(QEMU + "commandline")
    for arg in line.findall(QEMU + "arg"):
        line.remove(arg)
    return shown


def check_graphics(domain, policy, tmp):
    """Without a GPU libvirt says at least what it would start."""
    validate(write(domain, tmp), "the manual's display is valid")
    code, out = virsh("domxml-to-native", "qemu-argv", tmp)
    check(code == 0 and re.search(r"-display '?[^ ]*egl-headless", out),
          "it becomes QEMU's egl-headless", out)
    what = "the domain starts with the manual's display"
    if not glob.glob("/dev/dri/renderD*"):
        print("skip - %s: this host has no render node" % what, flush=True)
        return
    start(domain, tmp)
    check_properties(policy)
    code, out = virsh("destroy", NAME)
    need(code == 0 and wait_off(10), what, out)


def check_properties(policy):
    equal(qom_get("map-policy"), policy, "map-policy is %s" % policy)
    equal((qom_get("hostmem"), qom_get("venus"), qom_get("blob")),
          (HOSTMEM, True, True), "hostmem, venus and blob are the domain's")
    stats = qom_get("blob-map-stats")
    equal({k: stats[k] for k in ("maps", "unmaps", "live", "high-water")},
          {"maps": 0, "unmaps": 0, "live": 0, "high-water": 0},
          "blob-map-stats begins at 0")
    check(stats["refused"] and not any(stats["refused"].values()),
          "each reason for a refusal is there, at 0", stats["refused"])
    equal(qom_get("blob-maps"), [], "blob-maps begins empty")


def check_maps(maps):
    equal(len(maps), BLOBS, "blob-maps lists all blobs")
    equal({m["size"] for m in maps}, {BLOB_SIZE}, "each has its size")
    places = sorted(m["offset"] for m in maps)
    check(all(b - a >= BLOB_SIZE for a, b in zip(places, places[1:])) and
          places and places[-1] + BLOB_SIZE <= HOSTMEM,
          "each has a place of its own in the window", places)
    equal({(m["backing"], m["map-type"], m["voucher"], m["path"])
           for m in maps}, {("shm", "cached", "memfd", "window")},
          "each is shared memory, mapped cached, vouched for by the memfd")
    equal(len({m["resource"] for m in maps}), BLOBS,
          "each has a resource of its own")


def check_stats(maps, unmaps, what):
    stats = qom_get("blob-map-stats")
    equal((stats["maps"], stats["unmaps"], stats["live"], stats["high-water"]),
          (maps, unmaps, maps - unmaps, BLOBS), "blob-map-stats %s" % what)
    return stats


def check_guest():
    """The guest maps and unmaps, and this side follows in the properties."""
    console = Console()
    try:
        console.step("ready")
        console.go_on()
        said = console.step("mapped")
        equal(said[:3], [str(BLOBS), "wrong", "0"],
              "the guest maps %d blobs and finds what it wrote" % BLOBS)
        check_maps(qom_get("blob-maps"))
        stats = check_stats(BLOBS, 0, "counts the maps")
        age = time.time() * 1000 - stats["last-map-ms"]
        check(0 <= age < 60000 * patience, "last-map-ms is the time of the last", age)
        code, out = virsh("qemu-monitor-command", NAME, "--hmp",
                          "qom-get %s blob-maps" % GPU)
        equal((code, out.count('"resource"')), (0, BLOBS),
              "the human monitor shows blob-maps as well")
        console.go_on()
        # The tags of the host's side are not written, and not looked at, here
        console.step("checked")
        console.go_on()
        touched = console.step("touched")
        check(int(touched[0]) > 200, "the guest touches the window's holes",
              touched)
        console.go_on()
        said = console.step("unmapped")
        equal(said[:3], [str(BLOBS), "wrong", "0"], "the guest unmaps them")
        check_stats(BLOBS, BLOBS, "counts the unmaps")
        equal(qom_get("blob-maps"), [], "blob-maps is empty again")
        console.go_on()
        equal(console.step("again"), ["wrong", "0"],
              "memory in a place used before is fresh")
        stats = check_stats(BLOBS + 1, BLOBS + 1, "counts that too")
        equal(sum(stats["refused"].values()), 0, "nothing was refused")
        console.go_on()
        equal(console.step("end"), ["0"], "the guest's program ends well")
    except Failure:
        print("--- the guest's console\n" + console.text[-2000:])
        raise


def doctors(doctor, domain):
    """The domain that the doctor prints for this host, with a guest in it."""
    code, out = run(doctor, timeout=120)
    found = re.search(r"^<domain .*?^</domain>$", out, re.M | re.S)
    need(code < 3 and found, "the doctor prints a domain", out)
    shown = ET.fromstring(found.group(0).replace("...", ""))
    # this host's KVM is not asked
    shown.set("type", "qemu")
    shown.find("cpu").set("mode", "maximum")
    shown.find("name").text = NAME
    for element in domain:
        if element.tag == "devices":
            devices = shown.find("devices")
            for tag in ("serial", "controller", "memballoon"):
                if devices.find(tag) is None:
                    devices.append(copy.deepcopy(element.find(tag)))
        elif shown.find(element.tag) is None and not element.tag.startswith(QEMU):
            shown.append(copy.deepcopy(element))
    line = shown.find(QEMU + "commandline")
    if line is not None:
        for env in domain.findall("%scommandline/%senv" % (QEMU, QEMU)):
            if env.get("name") not in [e.get("name") for e in line]:
                line.append(copy.deepcopy(env))
    return shown


def check_doctor(doctor, domain, tmp):
    shown = doctors(doctor, domain)
    validate(write(shown, tmp), "the doctor's domain is valid")
    start(shown, tmp)
    check_properties("safe")
    code, out = virsh("destroy", NAME)
    need(code == 0 and wait_off(10), "destroy", out)


def processes(word):
    """Those whose command line has this word."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                line = f.read().split(b"\0")[0].decode(errors="replace")
        except OSError:
            continue
        if os.path.basename(line) == word:
            found.append(line)
    return found


def life(args, whole, tmp):
    validate(write(whole, tmp), "domain.xml is valid")
    check_manual(args.manual, whole)
    domain = without_gpu(whole)
    check_wrong_policy(domain, tmp)

    start(domain, tmp)
    tested = domain.find("%soverride//%sproperty[@name='map-policy']"
                         % (QEMU, QEMU)).get("value")
    check_properties(tested)
    check_guest()
    need(wait_off(30), "the guest shuts down", domain_state())
    equal(processes("qemu-system-x86_64") + processes("virgl_render_server"),
          [], "no process is left of it")

    if args.brief:
        end()
        return
    for policy in ("strict", "renderer", None):
        other = copy.deepcopy(domain)
        set_property(other, "map-policy", policy)
        print("   | map-policy %s" % policy)
        start(other, tmp)
        check_properties(policy or "safe")
        code, out = virsh("destroy", NAME)
        need(code == 0 and wait_off(10), "destroy", out)
    check_graphics(with_gpu(whole), tested, tmp)
    check_doctor(args.doctor, domain, tmp)
    end()


def end():
    code, out = virsh("undefine", NAME)
    equal(code, 0, "undefine")
    equal(virsh("list", "--all", "--name")[1], "", "libvirt knows no domain")


def show_logs(state):
    logs = (glob.glob(os.path.join(state, "log", "**/*.log"), recursive=True) +
            glob.glob(os.path.join(state, "home/.cache/libvirt", "**/*.log"),
                      recursive=True))
    for name in logs:
        with open(name, errors="replace") as f:
            lines = f.readlines()[-25:]
        print("--- the end of %s\n%s" % (os.path.relpath(name, state),
                                         "".join(lines)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--emulator", required=True)
    parser.add_argument("--domain", required=True)
    parser.add_argument("--manual", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--doctor")
    parser.add_argument("--brief", action="store_true",
                        help="one domain and its guest only")
    parser.add_argument("--slow", action="store_true",
                        help="on an emulated host")
    args = parser.parse_args()
    if args.slow:
        global patience
        patience = 8

    domain = load(args.domain)
    domain.find("devices/emulator").text = args.emulator
    ET.SubElement(domain, "uuid").text = str(uuid.uuid4())
    try:
        life(args, domain, os.path.join(args.state, "domain.xml"))
    except (Failure, OSError, KeyError, ValueError) as e:
        check(False, "the check gets to its end", repr(e))
        show_logs(args.state)
    finally:
        if virsh("list", "--name")[1]:
            virsh("destroy", NAME)
        if virsh("list", "--all", "--name")[1]:
            virsh("undefine", NAME)
    print("done", flush=True)


if __name__ == "__main__":
    sys.exit(main())
