#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make check-arm64: arm64 hosts of our own under TCG, with KVM, and in each our
# QEMU for arm64. The last line is "N passed, N failed, N skipped".

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/env.sh"
. "$TOP/tests/host/common.sh"

CPUS=(cortex-a72 neoverse-n1 cortex-a710 max)
KERNELS=(6.12 newest 6.12-foreign 6.12-16K 6.12-64K)
SUITE=trixie-backports

usage()
{
    cat <<USAGE
Usage: ${0##*/} [--ready] [CPU...] [KERNEL...] [toggles|doctor|guest]

Boots a host for each processor and kernel, as many at once as there are
processors and 3 GiB of memory for each, and checks that what the tables of KVM
make of a blob is what the guest was told.
  CPU           ${CPUS[*]}
  KERNEL        6.12 (with DMA_BUF_IOCTL_INFO); the others only by their names:
    newest        of the backports suite
    6.12-foreign  with KVM's fault that maps foreign pages
    6.12-16K      with pages of 16 KiB (not on cortex-a72, which has none),
    6.12-64K      of 64 KiB
  toggles       nothing but 1000 blobs and 1000 times that the guest makes
                KVM's slot anew (minutes)
  doctor        nothing but what virtio-gpu-blob-doctor says of these hosts
  guest         nothing but Linux guests under KVM of 6.12: the demo, cache
                types, many blobs, and Vulkan on Venus (minutes)
  --ready       only say which of these kernels are built
USAGE
}

# What processors have, by QEMU's models of them
declare -A FEATURES=([cortex-a72]='' [neoverse-n1]='' [cortex-a710]='--fwb'
    [max]='--fwb --dic')

cpus=() kernels=() ready= only=
for arg; do
    case " ${CPUS[*]} | ${KERNELS[*]} " in
    *" $arg "*"|"*) cpus+=("$arg") ;;
    *"|"*" $arg "*) kernels+=("$arg") ;;
    *)
        case $arg in
        -h | --help)
            usage
            exit 0
            ;;
        --ready)
            ready=y
            continue
            ;;
        toggles | doctor | guest)
            only=$arg
            continue
            ;;
        esac
        die "neither a processor nor a kernel: $arg" "try --help"
        ;;
    esac
done
[ ${#cpus[@]} -gt 0 ] || cpus=("${CPUS[@]}")
[ ${#kernels[@]} -gt 0 ] || kernels=("${KERNELS[0]}")

export BLOB_VARIANT=arm64
OURS=$SERIES_DIR/ours-arm64
TOOLS=$SERIES_DIR/tools-arm64
OUT=$SERIES_DIR/arm64
. "$HERE/arm64-guest.sh"

# Python's library as it is run: nothing may be written beside it
compile_python()
{
    local done=$OUT/pycache$TREE/done
    [ ! -e "$done" ] || return 0
    rm -rf "$OUT/pycache$TREE"
    mkdir -p "$OUT/pycache$TREE"
    # shellcheck disable=SC2016
    run "$TOP/scripts/in-root.sh" env PYTHONPYCACHEPREFIX="$(inside "$OUT")/pycache" bash -c '
        for d in "$1"/usr/lib/python3.*; do
            python3 -m compileall -q -l --invalidation-mode unchecked-hash \
                "$d" "$d"/{encodings,collections,json,re,importlib,ctypes}
        done' compile "$TREE" >"$OUT/pycache.log" 2>&1 || :
    : >"$done"
}

# build_kernel OPTION...: build-kernel.sh for arm64, which prints a folder
build_kernel()
{
    run "$TOP/scripts/in-root.sh" "$HERE/build-kernel.sh" --arch=arm64 --jobs="$JOBS" "$@"
}

# Sets SOURCE and OPTIONS to what build-kernel.sh takes for a kernel; no $( ),
# as what runs must be our child, to end with us
SOURCE= OPTIONS=()
choose_kernel()
{
    local sources
    SOURCE=/usr/src/linux-source-6.12.tar.xz OPTIONS=()
    case $1 in
    newest)
        [ -n "$ready" ] || run "$HERE/get-kernel.sh" --source "$SUITE" >"$OUT/source.log" || return
        sources=("$CACHE/linux-source-$SUITE"-*/usr/src/linux-source-*.tar.xz)
        [ -n "$ready" ] || sources=("$(tail -n 1 "$OUT/source.log")"/usr/src/linux-source-*.tar.xz)
        SOURCE=${sources[-1]}
        ;;
    *-foreign) OPTIONS=(--foreign-pages) ;;
    *K) OPTIONS=("--page-size=${1#*-}") ;;
    esac
    OPTIONS+=("--source=$SOURCE")
}

# Sets KERNEL to the folder of that one's Image
KERNEL=
kernel()
{
    local log=$OUT/kernel-$1.log
    KERNEL=
    choose_kernel "$1" || return
    build_kernel "${OPTIONS[@]}" >"$log" || return
    KERNEL=$(tail -n 1 "$log")
}

# Which kernels are there, without looking for newer ones
say_ready()
{
    local kernel
    for kernel in "${kernels[@]}"; do
        choose_kernel "$kernel"
        ! [ -s "$(build_kernel --print-dir "${OPTIONS[@]}" 2>/dev/null)/Image" ] || echo "$kernel"
    done
}

# What a kernel does, and what is checked with it
options_of()
{
    case $1 in
    newest) echo --cacheable-pfnmap --write-notify ;;
    *) echo --ioctl ;;
    esac
    if [ "$only" = toggles ]; then
        echo --check=slots --blobs=1000 --times=1000
        return
    fi
    case $1 in
    6.12) echo --check={cases,wrong,slots,blocks,pages} ;;
    newest) echo --check={cases,wrong,slots,blocks,pages,writes} ;;
    *-foreign) echo --check=blocks ;;
    *K) echo --check={cases,wrong,slots,pages} ;;
    esac
}

# program CPU KERNEL: the line that checks them
program()
{
    local cpu=$1 kernel=$2 options
    read -ra options <<<"$(options_of "$kernel" | paste -sd' ') ${FEATURES[$cpu]}"
    echo "QEMU_MODULE_DIR=$(quote "$(inside "$OURS")")" \
        "PYTHONPYCACHEPREFIX=$(quote "$(inside "$OUT")/pycache$TREE")" \
        "python3 check-arm64.py --run-dir /run/t $(quote "--name=$cpu,$kernel" "${options[@]}" \
            --vcpu "$(inside "$TOOLS")/tests/host/vcpu" \
            --renderer "$(inside "$TOOLS")/tests/host/libreal-buffers.so" \
            --liar "$(inside "$TOOLS")/tests/host/libother-fwb.so" \
            -- "$(inside "$OURS")/qemu-system-aarch64")"
}

# doctor CPU KERNEL: the line that checks what it says of them
doctor()
{
    local fwb=plain answers=yes
    [[ ${FEATURES[$1]} != *--fwb* ]] || fwb=fwb
    [ "$2" != newest ] || answers=no
    echo "QEMU_MODULE_DIR=$(quote "$(inside "$OURS")")" \
        "python3 check-doctor.py $(quote "--name=doctor,$1,$2" --arm64=$fwb --answers=$answers \
            "--qemu=$(inside "$OURS")/qemu-system-aarch64" -- \
            "$(inside "$OURS")/contrib/virtio-gpu-blob-doctor/virtio-gpu-blob-doctor")"
}

# programs CPU KERNEL: all that is checked there, a line each
programs()
{
    case $only in
    '' | toggles) program "$1" "$2" ;;
    guest) guest_programs "$1" "$2" ;;
    esac
    case $only,$2 in
    ,6.12 | ,newest | doctor,*) doctor "$1" "$2" ;;
    esac
}

check_host()
{
    local kernel=$1 cpu=$2 dir=$OUT/$2-$1 bound=900
    if [ "$cpu $kernel" = "cortex-a72 6.12-16K" ]; then
        skip "$cpu-$kernel" "this processor has no pages of 16 KiB"
        return
    fi
    if [ "$only" = guest ] && [ "$kernel" != 6.12 ]; then
        skip "$cpu-$kernel" "Linux guests are checked on 6.12"
        return
    fi
    [ "$only" != toggles ] || bound=3000
    HOST=("--arm64=$TREE" "--cpu=$cpu" --memory=2G "--kernel=$KERNEL/Image")
    if [ "$only" = guest ]; then
        bound=1800
        # A processor's own codes in pointers take TCG most of its time
        HOST+=(--memory=3G --append=arm64.nopauth)
    fi
    boot "$dir" "$bound" -device bochs-display,romfile= < <(programs "$cpu" "$kernel" | together)
}

# How many hosts at once: a processor is busy for each, and its memory fills
hosts_at_once()
{
    local fit
    fit=$(awk '/^MemAvailable:/ { print int($2 / 1024 / 3072) }' /proc/meminfo)
    [ "$fit" -le "$JOBS" ] || fit=$JOBS
    echo $((fit > 0 ? fit : 1))
}

# check_alone KERNEL CPU: in a process of its own, which leaves its counts
check_alone()
{
    passed=0 failed=0 skipped=0
    check_host "$1" "$2"
    echo "$passed passed, $failed failed, $skipped skipped" >"$OUT/$2-$1.count"
}

# check_hosts KERNEL: all processors with it
check_hosts()
{
    local kernel=$1 cpu
    for cpu in "${cpus[@]}"; do
        rm -f "$OUT/$cpu-$kernel.count"
        while [ "$(jobs -rp | wc -l)" -ge "$AT_ONCE" ]; do
            wait -n || :
        done
        check_alone "$kernel" "$cpu" &
    done
    wait
    for cpu in "${cpus[@]}"; do
        count "$(cat "$OUT/$cpu-$kernel.count" 2>/dev/null)" "$cpu-$kernel"
    done
}

# What runs beside this script ends with it.
end_hosts()
{
    # shellcheck disable=SC2046 # each is a number
    kill $(jobs -p) 2>/dev/null || :
}

# A function, so that the script may change while it runs
main()
{
    local kernel set=()
    [ "$only" != guest ] || set=(arm64-guest)
    "$TOP/scripts/root.sh" need host
    # qtest is a module that is not built by itself
    "$TOP/scripts/build.sh" accel-qtest-aarch64.so
    TREE=$("$TOP/scripts/root.sh" arm64 "${set[@]}")
    mkdir -p "$OUT"
    lock "$OUT.lock" "make check-arm64"
    compile_python
    [ "$only" != guest ] || make_guest || kernels=()
    EMULATOR=(qemu-system-aarch64)
    AT_ONCE=$(hosts_at_once)
    trap end_hosts EXIT
    trap 'exit 143' TERM
    for kernel in "${kernels[@]}"; do
        if ! kernel "$kernel"; then
            echo "FAILED - kernel $kernel: it could not be had or built"
            count "0 passed, 1 failed"
            continue
        fi
        check_hosts "$kernel"
    done
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
}

if [ -n "$ready" ]; then
    say_ready
    exit
fi
main; exit
