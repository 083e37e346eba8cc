#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run-check-libvirt.sh [--keep] [--apparmor]: libvirt's own daemon starts domain.xml, and the
# domain that the doctor prints, on the QEMU that was built; then one of an
# ordinary user (qemu:///session) does.  The daemons see folders of their own
# instead of the system's, and end with this script; --keep leaves their folder
# for a look.  --apparmor: two domains more, in an emulated host with AppArmor:
# one that it confines, with the manual's rules, and one whose emulator is not
# in /usr/bin (5 min).
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/env.sh"

HERE=$TOP/tests/libvirt

usage()
{
    header "${BASH_SOURCE[0]}"
}

keep='' apparmor=''
for arg; do
    case $arg in
    --keep) keep=1 ;;
    --apparmor) apparmor=1 ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 1
        ;;
    esac
done

[ -x "$BUILD/qemu-system-x86_64" ] || die "QEMU is not built" "run make"
"$TOP/scripts/root.sh" need libvirt

state=$SERIES_DIR/libvirt
lock "$state.lock" "libvirt's folder"
rm -rf --one-file-system -- "$state"
mkdir -p "$state"/{etc,lib,cache,log,run}

many_blobs=$TOOLS/tests/host/many-blobs
if [ ! -x "$many_blobs" ]; then
    say "compiling the guest's program"
    many_blobs=$state/many-blobs
    # shellcheck disable=SC2016
    in_root gcc -O2 -static -I/usr/include/libdrm -o "$many_blobs" "$TOP/tests/host/many-blobs.c"
fi

say "making the guest's first file system"
# shellcheck disable=SC2016
in_root bash -c '
    set -e
    kernel=$(ls -v /boot/vmlinuz-* | tail -n 1)
    ln -s "$kernel" "$1/kernel"
    "$2/make-initramfs.sh" "$1/initrd" "$2/guest-init" "${kernel#/boot/vmlinuz-}" \
        virtio_pci virtio-gpu -- "$3"' initrd "$state" "$TOP/tests/host" "$many_blobs"

mounts()
{
    sort -u /proc/self/mounts
}

# A name space for the daemon's mounts, and one for its processes: when its
# first one ends, so do all
spaces=(--mount --pid --fork --kill-child --mount-proc)
[ "$(id -u)" = 0 ] || spaces+=(--map-root-user)

# daemon STATE OPTION... -- OPTION...: options of private-daemon.sh, and of the check
daemon()
{
    local state=$1 options=() status=0
    shift
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    # no pipe: what runs must be our child, to end with us
    run timeout --kill-after=10 300 "$TOP/scripts/in-root.sh" unshare "${spaces[@]}" -- \
        bash "$HERE/private-daemon.sh" "${options[@]}" "$state" \
        python3 -B "$HERE/check-libvirt.py" --emulator "$BUILD/qemu-system-x86_64" \
        --domain "$HERE/domain.xml" --state "$state" --doctor "$BUILD/virtio-gpu-blob-doctor" \
        --manual "$TOP/docs/system/devices/virtio-gpu-blob.rst" "$@" > >(tee -a "$log") || status=$?
    wait "$!" || :
    return "$status"
}

# The rules that the manual shows, in a host that is booted for it
confined()
{
    local out=$state/apparmor manual=$TOP/docs/system/devices/virtio-gpu-blob.rst
    mkdir "$out"
    awk '/libvirt-qemu.d\/virtio-gpu/ { found = 1 }
        found && /^ *\.\. code-block/ { block = 1; next }
        block && /^ ? ? ?[^ ]/ { exit }
        block' "$manual" >"$out/rules"
    printf '%s\n' "ours=$(inside "$OURS")" "here=$HERE" "manual=$manual" >"$out/arguments"
    in_root cp -L "$state/kernel" "$out/kernel"
    cp "$state/initrd" "$out/"
    say "in an emulated host with AppArmor (about 5 min)"
    in_root "$TOP/tests/host/boot-host.sh" --out="$(inside "$out")" --job="$HERE/apparmor-host.sh" \
        --timeout=1500 --name=check-libvirt --memory=3G --append="apparmor=1 security=apparmor" \
        -- "$BUILD/qemu-system-x86_64" || :
    tee -a "$log" <"$out/result.log" || :
}

mounts >"$state/mounts.before"
log=$state/check.log
ended=2 status=0
daemon "$state" -- || status=$?
what="a domain of an ordinary user"
if [ "$(id -u)" != 0 ]; then
    echo "skip - $what: the check is one's already" | tee -a "$log"
    ended=1
elif ! in_root setpriv --reuid=nobody --regid=nogroup --clear-groups test -x "$BUILD/qemu-system-x86_64" \
    -a -r "$HERE/domain.xml"; then
    echo "skip - $what: it cannot reach $TOP" | tee -a "$log"
    ended=1
else
    mkdir -p "$state"/session/{etc,lib,cache,log,run}
    cp -P "$state/kernel" "$state/session/"
    cp "$state/initrd" "$state/session/"
    daemon "$state/session" --session -- --brief || status=$?
fi

if [ -n "$apparmor" ]; then
    confined
    ended=$((ended + 2))
fi

passed=$(grep -c '^ok ' "$log" || :)
failed=$(grep -c '^not ok ' "$log" || :)
skipped=$(grep -c '^skip ' "$log" || :)
if [ "$(grep -cx 'done' "$log")" != "$ended" ]; then
    echo "not ok - the check ends by itself (status $status)"
    failed=$((failed + 1))
fi
mounts >"$state/mounts.after"
if cmp -s "$state/mounts.before" "$state/mounts.after"; then
    echo "ok - no mount is left behind"
    passed=$((passed + 1))
else
    echo "not ok - no mount is left behind"
    failed=$((failed + 1))
fi
if [ "$failed" = 0 ] && [ -z "$keep" ]; then
    rm -rf --one-file-system -- "$state"
elif [ "$failed" != 0 ]; then
    say "logs are in $state"
fi
echo "$passed passed, $failed failed$([ "$skipped" = 0 ] || echo ", $skipped skipped")"
[ "$failed" = 0 ]
