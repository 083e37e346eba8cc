#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make check-host: real kernels, real buffers, real KVM. Hosts of our own boot
# under TCG, with the folder we build in as their root.
# The last line is "N passed, N failed, N skipped".

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/env.sh"

HERE=$TOP/tests/host
STEPS=(patched distribution kvm stock vulkan vfio guests)

usage()
{
    cat <<USAGE
Usage: ${0##*/} [STEP...]

Runs these steps, each in a machine of its own and bounded in time:
  patched       every buffer of a kernel that answers DMA_BUF_IOCTL_INFO
  distribution  the same with the distribution's unmodified kernel
  kvm           a guest under KVM with 2000 blobs at once
  stock         the same guest on QEMU without our change
  vulkan        Vulkan programs in a guest, through Venus
  vfio          what a device given to the guest can reach of the window
  guests        other guests: kernels and tests that others wrote
USAGE
}

case ${1:-} in
-h|--help) usage; exit 0 ;;
esac
if [ $# -gt 0 ]; then
    for step; do
        case " ${STEPS[*]} " in
        *" $step "*) ;;
        *) die "no such step: $step" "one of: ${STEPS[*]}" ;;
        esac
    done
    STEPS=("$@")
fi

passed=0 failed=0 skipped=0

count()
{
    local line=$1
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)? ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
        skipped=$((skipped + ${BASH_REMATCH[4]:-0}))
    else
        failed=$((failed + 1))
        echo "FAILED - $2: it gave no result"
    fi
}

skip()
{
    echo "skipped - $1: $2"
    skipped=$((skipped + 1))
}

# A path as seen in the root
inside()
{
    local path=$1
    if [ -e "$BUILD/.aliased" ]; then
        path=${path/#"$BUILD"/"$IN_BUILD"}
    fi
    printf '%s\n' "$path"
}

OUR_DIR=$(inside "$OURS")
STOCK_DIR=$(inside "$STOCK_MODULES")
TOOLS_DIR=$(inside "$TOOLS")/tests/host
OUT=$SERIES_DIR/host
QEMU=("$OUR_DIR/qemu-system-x86_64" -L /usr/share/qemu -L /usr/share/seabios)

quote()
{
    printf '%q ' "$@"
}

# machine STEP TIMEOUT OPTION... [-- QEMU-OPTION...] <PROGRAM
# Boots, runs the program, counts what its result.log says
machine()
{
    local step=$1 bound=$2 dir=$OUT/$1 options=() rc=0
    shift 2
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    [ $# -eq 0 ] || shift
    rm -rf "$dir"
    mkdir -p "$dir"
    {
        echo "cd $(quote "$HERE")"
        echo "export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1"
        echo "export QEMU_MODULE_DIR=$(quote "$OUR_DIR")"
        echo "export MESA_SHADER_CACHE_DISABLE=true"
        echo "mkdir -p /run/t; ulimit -n 16384"
        cat
        echo "rc=\$?; cp /run/t/*.log /run/t/*.err /run/out/ 2>/dev/null; exit \$rc"
    } >"$dir/job"
    say "check-host: $step (at most $bound s)"
    run "$TOP/scripts/in-root.sh" env "QEMU_MODULE_DIR=$OUR_DIR" SDL_VIDEODRIVER=offscreen \
        "$HERE/boot-host.sh" --out="$(inside "$dir")" --job=/run/out/job \
        --timeout="$bound" --name="$step" "${options[@]}" -- "${QEMU[@]}" "$@" || rc=$?
    if [ ! -s "$dir/result.log" ]; then
        echo "FAILED - $step: its machine ended with $rc and gave no result"
        failed=$((failed + 1))
        return
    fi
    grep -Ev '^(ok - |[0-9]+ passed)' "$dir/result.log" || :
    count "$(tail -n 1 "$dir/result.log")" "$step"
    echo "$step: $(tail -n 1 "$dir/result.log")"
}

#
# Steps
#

buffers()
{
    echo "python3 check-buffers.py $1 --run-dir /run/t" \
         "--renderer $(quote "$TOOLS_DIR/libreal-buffers.so")" \
         "-- $(quote "${QEMU[@]}") >/run/out/result.log 2>&1"
}

step_patched()
{
    machine patched 180 --kernel="$KERNEL/bzImage" < <(buffers --ioctl)
}

step_distribution()
{
    machine distribution 240 < <(buffers "")
}

blobs()
{
    cat <<JOB
kernel=\$(ls /boot/vmlinuz-* | sort -V | tail -1)
./make-initramfs.sh /run/guest.img guest-init "\${kernel##*/vmlinuz-}" \
    virtio_pci virtio-gpu -- $(quote "$TOOLS_DIR/many-blobs") &&
QEMU_MODULE_DIR=$(quote "$1") python3 check-kvm.py $2 --kernel "\$kernel" \
    --initramfs /run/guest.img --run-dir /run/t \
    -- $(quote "${QEMU[@]}") >/run/out/result.log 2>&1
JOB
}

step_kvm()
{
    machine kvm 300 --kernel="$KERNEL/bzImage" < <(blobs "$OUR_DIR" --name=ours)
}

step_stock()
{
    machine stock 180 --kernel="$KERNEL/bzImage" \
        < <(blobs "$STOCK_DIR" "--name=stock --stock --blobs=300")
}

# The blobs of a machine, as our QEMU tells: how many of each kind went how
list_blobs()
{
    sed -n 's/.*virtio_gpu_blob_decision resource [0-9]* context [0-9]* \(.*\)/\1/p' \
        "$1" | sort | uniq -c | sed "s/^ */$2: blobs: /"
}

# vulkan_guest NAME POLICY
vulkan_guest()
{
    local name=$1 policy=$2 trace=$OUT/$1-trace.log
    rm -f "$trace"
    export VK_DRIVER_FILES=/usr/share/vulkan/icd.d/lvp_icd.json
    machine "$name" 200 -- -display sdl,gl=on \
        -device "virtio-gpu-gl-pci,blob=on,hostmem=256M,venus=on,map-policy=$policy" \
        -trace 'virtio_gpu_blob_*' -D "$(inside "$trace")" \
        < <(echo "./vulkan-job.sh $policy $(quote "$(inside "$OUT/vk-check")")")
    unset VK_DRIVER_FILES
    list_blobs "$trace" "$name"
    if grep -q 'virtio_gpu_blob_decision' "$trace" &&
       ! grep 'virtio_gpu_blob_map ' "$trace" | grep -qv 'map_info [123] '; then
        count "1 passed, 0 failed"
    else
        echo "FAILED - $name: host-visible memory arrives as blobs of a known type"
        count "0 passed, 1 failed"
    fi
}

step_vulkan()
{
    mkdir -p "$OUT"
    # shellcheck disable=SC2016
    if ! run "$TOP/scripts/in-root.sh" bash -c '
            glslangValidator -V --vn shader -o "$2/vk-check.spv.h" "$1/vk-check.comp" &&
            gcc -O2 -Wall -Wextra -I "$2" -o "$2/vk-check" "$1/vk-check.c" -lvulkan' \
            vk-check "$HERE" "$(inside "$OUT")" >"$OUT/vk-check.build.log" 2>&1; then
        tail -n 10 "$OUT/vk-check.build.log"
        echo "FAILED - vulkan: vk-check does not compile"
        count "0 passed, 1 failed"
        return
    fi
    vulkan_guest vulkan safe
    vulkan_guest vulkan-strict strict
}

step_vfio()
{
    machine vfio 180 --kernel="$KERNEL/bzImage" --append=intel_iommu=on \
        -- -device intel-iommu,intremap=on -device edu,addr=0x10 \
        < <(echo "python3 check-vfio.py --device 0000:00:10.0 --run-dir /run/t" \
                 "--renderer $(quote "$TOOLS_DIR/libreal-buffers.so")" \
                 "-- $(quote "${QEMU[@]}") >/run/out/result.log 2>&1")
}

step_guests()
{
    skip guests "not there"
}

#
# Main
#

"$TOP/scripts/root.sh" need host
# qtest is a module that is not built by itself
"$TOP/scripts/build.sh" accel-qtest-x86_64.so
lock "$OUT.lock" "make check-host"

KERNEL=
for step in "${STEPS[@]}"; do
    case $step in
    patched|kvm|stock|vfio)
        if [ -z "$KERNEL" ]; then
            say "check-host: the kernel with DMA_BUF_IOCTL_INFO"
            if ! KERNEL=$(run "$TOP/scripts/in-root.sh" \
                          "$HERE/build-kernel.sh" --jobs="$JOBS"); then
                KERNEL=
                echo "FAILED - kernel: it could not be built"
                failed=$((failed + 1))
                break
            fi
        fi
        ;;
    esac
    "step_$step"
done

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
