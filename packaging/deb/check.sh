#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In a clean Debian 13: install /check/good.deb, use it, purge it.
set -uo pipefail

arch=$(dpkg --print-architecture)
case $arch in
arm64)
    modules=/usr/lib/aarch64-linux-gnu/qemu
    emulator=/usr/bin/qemu-system-aarch64
    # the host is emulated: -accel tcg would be slow
    patience=300
    machine=(-machine virt,memory-backend=m -accel kvm -cpu host)
    names=(virtio-gpu-gl-device virtio-gpu-gl-pci)
    ;;
*)
    modules=/usr/lib/x86_64-linux-gnu/qemu
    emulator=/usr/bin/qemu-system-x86_64
    patience=60
    machine=(-machine q35,memory-backend=m -accel tcg)
    names=(virtio-gpu-gl-device virtio-gpu-gl-pci virtio-vga-gl)
    ;;
esac
package=qemu-virtio-gpu-blob
work=$(mktemp -d)
passed=0 failed=0

# check NAME COMMAND...
check()
{
    local name=$1
    shift
    if "$@" >"$work/out" 2>&1; then
        echo "ok    $name"
        passed=$((passed + 1))
    else
        echo "FAIL  $name"
        tail -n 15 "$work/out" | sed 's/^/      /'
        failed=$((failed + 1))
    fi
}

not()
{
    ! "$@"
}

emulators()
{
    local binary
    for binary in /usr/bin/qemu-system-*; do
        [ -f "$binary" ] && [ ! -L "$binary" ] || continue
        ! grep -aqE -m 1 'qemu_stamp_[0-9a-f]{40}' "$binary" || echo "$binary"
    done
}

# All files but those that any installation changes
listing()
{
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /run -o -path /check \
        -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /root \) -prune -o \
        \( -type f -o -type l \) -printf '%p %s %m %u %g %l\n' | sort
    find $modules -type f -print0 | sort -z | xargs -0 sha256sum
    dpkg-divert --list | sort
    dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\n' | grep -v not-installed
}

# device EMULATOR NAME: its properties
device()
{
    timeout $patience "$1" -device "$2,help" </dev/null 2>&1
}

devices()
{
    timeout $patience "$1" -device help </dev/null 2>/dev/null | sort
}

has_policy()
{
    device "$1" "$2" | tee /dev/stderr | grep map-policy >/dev/null
}

# monitor POLICY COMMAND...: what the monitor of a headless machine says
monitor()
{
    local policy=$1
    shift
    { sleep 2; printf '%s\n' "$@" quit; } |
        SDL_VIDEODRIVER=offscreen XDG_RUNTIME_DIR=$work timeout $((2 * patience)) "$emulator" \
            "${machine[@]}" -m 256M -nodefaults -display sdl,gl=on \
            -object memory-backend-memfd,id=m,size=256M,share=on \
            -device "virtio-gpu-gl-pci,id=gpu0,blob=on,hostmem=256M,map-policy=$policy" \
            -monitor stdio 2>&1
}

says()
{
    local want=$1
    shift
    { "$@" 2>&1 || :; } | tee /dev/stderr | grep -E -- "$want" >/dev/null
}

# For a machine without a GPU: exit code 1
doctor()
{
    local status=0
    virtio-gpu-blob-doctor --timeout=$patience "$@" || status=$?
    [ "$status" = 1 ]
}

# The command line in it is started, without running a guest
json()
{
    doctor --json | XDG_RUNTIME_DIR=$work timeout $((3 * patience)) python3 -B -c '
import json, os, subprocess, sys
report = json.load(sys.stdin)
assert report["level"] == "limited", report
assert any(line["topic"] == "qemu" and line["level"] == "ok" for line in report["lines"]), report
env = dict(os.environ, **dict(text.split("=", 1) for text in report["environment"]))
end = "".join(json.dumps({"execute": name}) for name in ("qmp_capabilities", "quit"))
subprocess.run([*report["argv"], "-S", "-qmp", "stdio", "-serial", "none", "-parallel", "none",
                "-monitor", "none"], env=env, input=end.encode(), check=True)'
}

# The clean system installs no man pages
man_page()
{
    dpkg-deb --fsys-tarfile /check/good.deb | tar -xO ./usr/share/man/man1/virtio-gpu-blob-doctor.1.gz |
        gzip -d | grep -F 'virtio-gpu-blob-doctor'
}

quiet_install()
{
    dpkg -i "$1"
}

mkdir "$work/before" "$work/after"
mapfile -t list < <(emulators)
echo "$(dpkg-query -W -f '${Version}' qemu-system-common), $arch, ${#list[@]} emulators"
listing >"$work/listing.before"
for binary in "${list[@]}"; do
    devices "$binary" >"$work/before/${binary##*/}"
done
check "the stock device knows no map-policy" not has_policy "$emulator" virtio-gpu-gl-pci

# What the doctor's command line needs is in Debian 13, or installed already
recommends()
{
    local name
    dpkg-deb --field /check/good.deb Recommends | tr ',' '\n' | while read -r name; do
        apt-cache show "$name" >/dev/null 2>&1 || dpkg -s "$name" >/dev/null 2>&1 ||
            { echo "there is no package $name"; exit 1; }
    done
}

check "its maintainer is a name and an address" says '^[^<>]+ <[^<>@ ]+@[^<>@ ]+>$' \
    dpkg-deb --field /check/good.deb Maintainer
check "Debian has what it recommends" recommends
check "a package with another stamp is refused" not quiet_install /check/wrong.deb
check "its message names both stamps and what to do" says 'Reinstall that QEMU' quiet_install /check/wrong.deb
dpkg --purge $package >/dev/null 2>&1
listing >"$work/listing.refused"
check "it left nothing" diff "$work/listing.before" "$work/listing.refused"

check "the package installs" quiet_install /check/good.deb
check "six modules are diverted" test "$(dpkg-divert --list | grep -c " by $package\$")" = 6
check "dpkg finds nothing amiss" test -z "$(dpkg --audit)"
for name in "${names[@]}"; do
    check "$name lists map-policy" has_policy "$emulator" "$name"
done
check "the machine starts, its device has the policy" says '"?strict"?' \
    monitor strict 'qom-get /machine/peripheral/gpu0 map-policy'
check "the maps can be read" says '^\[' monitor safe 'qom-get /machine/peripheral/gpu0 blob-maps'
check "the trace events are there" says 'virtio_gpu_blob_map : state 1' \
    monitor safe 'trace-event virtio_gpu_blob* on' 'info trace-events virtio_gpu_blob*'
check "the doctor finds the modules" says '^✓ qemu: QEMU emulator version .* has map-policy$' doctor
check "it finds limits here, and says how to start QEMU" says '^    -device .*,map-policy=safe$' doctor
check "its JSON is JSON, and the command line there starts" json
check "a wrong option is named" says 'Unknown option --wrong' virtio-gpu-blob-doctor --wrong
check "it has a man page" man_page
check "a wrong policy is named" says "map-policy.*bogus|bogus.*map-policy" monitor bogus

for binary in "${list[@]}"; do
    name=${binary##*/}
    devices "$binary" >"$work/after/$name"
    check "$name lists the same devices" diff "$work/before/$name" "$work/after/$name"
    if grep -q '"virtio-gpu-gl-pci"' "$work/before/$name"; then
        # linked to resolve all symbols at once: so none is missing
        check "$name loads the device" has_policy "$binary" virtio-gpu-gl-pci
    elif grep -q '"virtio-gpu-gl-device"' "$work/before/$name"; then
        check "$name loads the device" has_policy "$binary" virtio-gpu-gl-device
    fi
done

# A kernel for a guest comes with the demo, where it is not slow
if [ -e /check/demo.py ]; then
    # policy renderer: so that the guest gets buffers none else knows
    timeout 400 python3 -B /check/demo.py --late-trace --qemu "$emulator" --kernel /check/vmlinuz \
        --initrd /check/initrd --mode all --policy renderer </dev/null | tee "$work/demo"
    if [[ $(tail -n 1 "$work/demo") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]] &&
        [ "${BASH_REMATCH[1]}" != 0 ]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
    else
        echo "FAIL  a guest's blobs"
        failed=$((failed + 1))
    fi
fi

check "the package can be purged" dpkg --purge $package
listing >"$work/listing.after"
check "nothing is left, the stock modules are what they were" diff "$work/listing.before" "$work/listing.after"
check "the doctor is gone" not command -v virtio-gpu-blob-doctor
check "the stock device is back" not has_policy "$emulator" virtio-gpu-gl-pci

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
