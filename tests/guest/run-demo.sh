#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run-demo.sh [--stock|--newest|--peer] [--check|--bench]: boot a Linux guest on our
# QEMU (or the one without our change) and map the host's buffers in it.
#   --peer    the newest QEMU that the distribution serves; only with --bench
#   --newest  ours with the newest virglrenderer that the distribution serves, once
#             more where its buffers have no fd (scripts/peer.sh; 1 GiB, once)
#   --check   only the count of what was checked as verdict
#   --bench   cost of a blob's life as the guest sees it, at 0 and 1000 live
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/env.sh"

usage()
{
    header "${BASH_SOURCE[0]}"
}

qemu=$BUILD/qemu-system-x86_64
stock=()
newest=0 peer=0
verdict=words
for arg; do
    case $arg in
    --stock)
        qemu=$BUILD/stock/qemu-system-x86_64
        stock=(--stock)
        ;;
    --newest) newest=1 ;;
    --peer)
        peer=1
        stock=(--stock)
        ;;
    --check) verdict=count ;;
    --bench) verdict=bench ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) die "no such option: $arg" "see $0 --help" ;;
    esac
done
[ "$newest" = 0 ] || [ ${#stock[@]} = 0 ] || die "--newest is for our QEMU" "leave out --stock"
[ "$peer" = 0 ] || [ "$verdict" = bench ] || die "--peer is for --bench" "add --bench"
[ -x "$qemu" ] || die "$qemu is not built" "make"
[ -x "$TOOLS/tests/guest/virtgpu-blob" ] || die "the guest's program is not built" "make"

if [ "$newest" = 1 ]; then
    qemu=$SERIES_DIR/demo-newest
    run "$TOP/scripts/peer.sh" --ours "$qemu"
elif [ "$peer" = 1 ]; then
    qemu=$SERIES_DIR/demo-peer
    run "$TOP/scripts/peer.sh" "$qemu"
fi

# The newest kernel that the root has
version=$(in_root sh -c 'ls /boot' | sed -n 's/^vmlinuz-//p' | sort -V | tail -n 1)
[ -n "$version" ] || die "there is no kernel to boot" \
    "install linux-image-amd64, or use --root=private"
initrd=$SERIES_DIR/demo-initrd.gz
say "a guest with Linux $version"
in_root "$TOP/tests/host/make-initramfs.sh" "$initrd" "$TOP/tests/guest/init" \
    "$version" virtio_pci virtio-gpu -- "$TOOLS/tests/guest/virtgpu-blob"

# guest MODE OPTIONS...
guest()
{
    local mode=$1
    shift
    run timeout --foreground --kill-after=10 300 "$TOP/scripts/in-root.sh" \
        python3 "$TOP/tests/guest/demo.py" --qemu "$qemu" \
        --kernel "/boot/vmlinuz-$version" --initrd "$initrd" --mode "$mode" \
        "${stock[@]}" "$@"
}

if [ "$verdict" = bench ]; then
    guest bench
    exit
fi

both_policies()
{
    echo "Policy safe, the default:"
    if [ ${#stock[@]} -gt 0 ]; then
        guest all
        return
    fi
    # one program of the guest's has made its context useless before
    guest useless || return 1
    echo "Policy renderer, for buffers that only the renderer knows:"
    guest virgl --policy renderer || return 1
    [ "$newest" = 1 ] || return 0
    echo "The same, where the renderer has no fd to give:"
    guest all --policy renderer --no-fd "$(inside "$TOOLS")/tests/guest/no-fd.so"
}

log=$SERIES_DIR/demo.log
status=0
# no pipe: what runs must be our child, to end with us
both_policies > >(tee "$log" | { grep --line-buffered -v ' passed, ' || :; }) || status=$?
wait "$!" || :
if [ "$verdict" = words ]; then
    if [ "$status" = 0 ]; then
        echo "The demo passed: each blob is the same on both sides, with one cache type."
    else
        echo "The demo failed."
    fi
fi
awk '/ passed, [0-9]+ failed$/ { p += $1; f += $3 }
     END { printf "%d passed, %d failed\n", p, f }' "$log"
exit "$status"
