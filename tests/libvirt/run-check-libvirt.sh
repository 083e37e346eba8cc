#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run-check-libvirt.sh [--keep]: libvirt's own daemon starts domain.xml on the
# QEMU that was built.  The daemon sees folders of its own instead of the
# system's, and ends with this script; --keep leaves its folder for a look.
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/env.sh"

HERE=$TOP/tests/libvirt

usage()
{
    header "${BASH_SOURCE[0]}"
}

keep=
case ${1:-} in
'') ;;
--keep) keep=1 ;;
-h | --help)
    usage
    exit 0
    ;;
*)
    usage >&2
    exit 1
    ;;
esac

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

mounts >"$state/mounts.before"
log=$state/check.log
status=0
# no pipe: what runs must be our child, to end with us
run timeout --kill-after=10 300 "$TOP/scripts/in-root.sh" unshare "${spaces[@]}" -- \
    bash "$HERE/private-daemon.sh" "$state" \
    python3 "$HERE/check-libvirt.py" --emulator "$BUILD/qemu-system-x86_64" \
    --domain "$HERE/domain.xml" --state "$state" \
    --manual "$TOP/docs/system/devices/virtio-gpu-blob.rst" > >(tee "$log") || status=$?
wait "$!" || :

passed=$(grep -c '^ok ' "$log" || :)
failed=$(grep -c '^not ok ' "$log" || :)
skipped=$(grep -c '^skip ' "$log" || :)
if ! grep -qx 'done' "$log"; then
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
