#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make check-host: real kernels, real buffers, real KVM. Hosts of our own boot
# under TCG, with the folder we build in as their root.
# The last line is "N passed, N failed, N skipped".

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/env.sh"
. "$TOP/tests/host/common.sh"

STEPS=(patched distribution debian12 newest kvm buffers lost stock vulkan vfio guests gap doctor)
NAMED=(bench programs toggles touch doctor-{patched,distribution,newest})

usage()
{
    cat <<USAGE
Usage: ${0##*/} [STEP...]

Runs these steps, each in a machine of its own and bounded in time:
  patched       every buffer of a kernel that answers DMA_BUF_IOCTL_INFO
  distribution  the same with the distribution's unmodified kernel
  debian12      the same with the kernel of the release before, and KVM
  newest        the same with the newest kernel of the backports suite, and KVM
  kvm           a guest under KVM with 2000 blobs at once
  buffers       guests under KVM with dma-bufs of every kind they may map, and many
  lost          a guest under KVM, and one without, whose buffers lose their pages
  stock         the guest of kvm on QEMU without our change
  vulkan        Vulkan programs in a guest, through Venus
  vfio          what a device given to the guest can reach of the window
  guests        other guests: kernels and tests that others wrote
  gap           three kernels: buffers that fail to map where vCPUs read and write
  doctor        virtio-gpu-blob-doctor's report on three kernels, and where
                something is missing

and, only when they are named:
  bench         Debian 12's kernel as the host: what a blob costs, for a reader
                to judge
  programs      what programs in a guest feel: ours, stock and the newest QEMU
                that the distribution serves, the same
  toggles       buffers with 1002 of them, which step aside 1000 times
  touch         what the first access to a page costs under KVM
  doctor-patched, doctor-distribution, doctor-newest
                each a part of doctor
USAGE
}

case ${1:-} in
-h|--help) usage; exit 0 ;;
esac
if [ $# -gt 0 ]; then
    for step; do
        case " ${STEPS[*]} ${NAMED[*]} " in
        *" $step "*) ;;
        *) die "no such step: $step" "one of: ${STEPS[*]} ${NAMED[*]}" ;;
        esac
    done
    STEPS=("$@")
fi

OUR_DIR=$(inside "$OURS")
STOCK_DIR=$(inside "$STOCK_MODULES")
TOOLS_DIR=$(inside "$TOOLS")/tests/host
OUT=$SERIES_DIR/host
QEMU=("$OUR_DIR/qemu-system-x86_64" -L /usr/share/qemu -L /usr/share/seabios)

# machine STEP TIMEOUT OPTION... [-- QEMU-OPTION...] <PROGRAM
machine()
{
    local step=$1 bound=$2
    shift 2
    HOST=()
    EMULATOR=("QEMU_MODULE_DIR=$OUR_DIR" "${QEMU[@]}")
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        HOST+=("$1")
        shift
    done
    [ $# -eq 0 ] || shift
    boot "$OUT/$step" "$bound" "$@" \
        < <(echo "export QEMU_MODULE_DIR=$(quote "$OUR_DIR")"; cat)
}

#
# Steps
#

LOAD_EXPORTER=
# real_buffers OPTIONS: the line that checks them.  What loads the test exporter
# comes first: it is built into one kernel only
real_buffers()
{
    echo "$LOAD_EXPORTER python3 check-buffers.py $1 --run-dir /run/t" \
         "--renderer $(quote "$TOOLS_DIR/libreal-buffers.so")" \
         "-- $(quote "${QEMU[@]}")"
}

step_patched()
{
    LOAD_EXPORTER=
    machine patched 180 --kernel="$KERNEL/bzImage" -- -device bochs-display \
        < <({ real_buffers --ioctl; echo ./check-kernel.py
              echo "$(quote "$TOOLS_DIR/check-exporter") --ioctl"; } | together)
}

# exporter STEP VERSION HEADERS: builds the test exporter as a module of that
# kernel. Sets LOAD_EXPORTER to what loads it, EXPORTER to what checks it and
# WITHOUT to nothing; when it cannot, WITHOUT says so to check-buffers.py
EXPORTER=
WITHOUT=
exporter()
{
    local step=$1 version=$2 headers=$3 dir=$OUT/exporter-$2
    EXPORTER='' LOAD_EXPORTER='' WITHOUT=--without=test
    if ! in_root test -e "$headers/Makefile"; then
        skip "$step: check-exporter" "there are no headers of $version"
        return
    fi
    case $headers in
    *[[:space:]]*)
        skip "$step: check-exporter" "make knows no paths with spaces: $headers"
        return
        ;;
    esac
    rm -rf "$dir"
    mkdir -p "$dir"
    cp "$HERE"/exporter/* "$dir"
    # Another compiler than the kernel's will do; nobody reads its types
    if ! run "$TOP/scripts/in-root.sh" make -C "$headers" "M=$(inside "$dir")" CC=gcc \
            CONFIG_DEBUG_INFO_BTF_MODULES= modules >"$dir.log" 2>&1; then
        tail -n 10 "$dir.log"
        echo "FAILED - $step: the test exporter does not compile for $version"
        count "0 passed, 1 failed"
        return
    fi
    LOAD_EXPORTER="insmod $(quote "$(inside "$dir")/dma-buf-test.ko");"
    EXPORTER=$(quote "$TOOLS_DIR/check-exporter")
    WITHOUT=
}

step_distribution()
{
    local version
    version=$(in_root sh -c 'ls /boot/vmlinuz-* | sort -V | tail -n 1')
    version=${version##*/vmlinuz-}
    exporter distribution "$version" "/lib/modules/$version/build"
    machine distribution 240 -- -device bochs-display \
        < <({ real_buffers "$WITHOUT"; echo "$EXPORTER"; } | together)
}

# Sets TREE to the folder of the newest kernel of a suite
TREE=
suite_kernel()
{
    local suite=$1
    TREE=
    # no $( ): what runs must be our child, to end with us
    run "$HERE/get-kernel.sh" "$suite" >"$OUT.$suite" || return
    TREE=$(tail -n 1 "$OUT.$suite")
}

# other_host STEP SUITE OPTION...: a host with another kernel, options are for
# check-buffers.py
other_host()
{
    local step=$1 suite=$2 version
    shift 2
    if ! suite_kernel "$suite"; then
        skip "$step" "no kernel of $suite could be had: $(tail -n 1 "$CACHE/kernel-$suite.log" 2>/dev/null)"
        return
    fi
    version=$(basename "$TREE"/boot/vmlinuz-*)
    version=${version#vmlinuz-}
    say "check-host: $step is $version"
    exporter "$step" "$version" "$TREE/usr/src/linux-headers-$version"
    machine "$step" 400 --tree="$TREE" -- -device bochs-display \
        < <({ real_buffers "$* $WITHOUT"; echo "$EXPORTER"
              guest_line "$OUR_DIR" "--name=$step --blobs=300"; } | together)
}

step_debian12()
{
    other_host debian12 bookworm --without=udmabuf --without=heap
}

step_newest()
{
    other_host newest trixie-backports
}

# guest_line MODULES OPTIONS [CHECK PROGRAM [EMULATOR]]: a guest under KVM, in
# one line
guest_line()
{
    local check=${3:-check-guest.py} program=${4:-many-blobs}
    local emulator=("${5:-${QEMU[0]}}" "${QEMU[@]:1}")
    echo "{ kernel=\$(ls /boot/vmlinuz-* | sort -V | tail -1);" \
        "./make-initramfs.sh /run/guest.img guest-init \"\${kernel##*/vmlinuz-}\"" \
        "virtio_pci virtio-gpu -- $(quote "$TOOLS_DIR/$program") &&" \
        "QEMU_MODULE_DIR=$(quote "$1") python3 $check $2 --kernel \"\$kernel\"" \
        "--initramfs /run/guest.img --run-dir /run/t -- $(quote "${emulator[@]}"); }"
}

blobs()
{
    echo "$(guest_line "$@") >/run/out/result.log 2>&1"
}

step_kvm()
{
    machine kvm 300 --kernel="$KERNEL/bzImage" \
        < <(blobs "$OUR_DIR" "--name=ours --toggles=10")
}

step_buffers()
{
    local real
    real=$(quote "$TOOLS_DIR/libreal-buffers.so")
    machine buffers 500 --kernel="$KERNEL/bzImage" \
        < <({ guest_line "$OUR_DIR" "--name=buffers --blobs=999 --toggles=20 --renderer=$real"
              echo "python3 check-many.py --run-dir /run/t --renderer $real" \
                   "--vcpu $(quote "$TOOLS_DIR/gap-vcpu.bin") -- $(quote "${QEMU[@]}")"
            } | together)
}

step_toggles()
{
    machine toggles 3600 --kernel="$KERNEL/bzImage" \
        < <(blobs "$OUR_DIR" "--name=toggles --blobs=1002 --toggles=1000 --timeout=3300 \
            --renderer=$(quote "$TOOLS_DIR/libreal-buffers.so")")
}

# Sets MIXED to a folder of stock's modules, but for ours, as the package leaves
# them; stock's emulator loads them
MIXED=
mixed_modules()
{
    local log=$OUT/mixed.log
    MIXED=
    mkdir -p "$OUT"
    say "check-host: an emulator without our change, for our modules"
    if ! { run "$TOP/scripts/build.sh" --stock-emulator &&
           run "$TOP/scripts/modules.sh" --system=none; } >"$log" 2>&1; then
        tail -n 10 "$log"
        return 1
    fi
    rm -rf "$OUT/mixed"
    mkdir "$OUT/mixed"
    cp "$STOCK_MODULES"/*.so "$OUT/mixed"
    cp "$SERIES_DIR/modules"/*.so "$OUT/mixed"
    MIXED=$(inside "$OUT/mixed")
}

step_lost()
{
    local real modules=
    real=$(quote "$TOOLS_DIR/libreal-buffers.so")
    if mixed_modules; then
        modules=$(guest_line "$MIXED" "--renderer=$real" check-stop.py lose-blobs \
            "$STOCK_DIR/qemu-system-x86_64")
    else
        echo "FAILED - lost: stock's emulator, or our modules for it, cannot be built"
        count "0 passed, 1 failed"
    fi
    machine lost 400 --kernel="$KERNEL/bzImage" \
        < <({ guest_line "$OUR_DIR" "--exporter --renderer=$real" check-lost.py lose-blobs
              echo "$modules"; } | together)
    cd "$HERE"
    guest lost-tcg / "$OUR_DIR" check-lost.py lose-blobs \
        --renderer="$TOOLS_DIR/libreal-buffers.so"
}

step_stock()
{
    machine stock 180 --kernel="$KERNEL/bzImage" \
        < <(blobs "$STOCK_DIR" "--name=stock --stock --blobs=300 --timeout=60")
}

# vulkan_guest NAME POLICY DECISION
vulkan_guest()
{
    local name=$1 policy=$2 want=$3 trace=$OUT/$1-trace.log verdict
    rm -f "$trace"
    export VK_DRIVER_FILES=/usr/share/vulkan/icd.d/lvp_icd.json
    machine "$name" 200 -- -display sdl,gl=on \
        -device "virtio-gpu-gl-pci,blob=on,hostmem=256M,venus=on,map-policy=$policy" \
        -trace 'virtio_gpu_blob_*' -D "$(inside "$trace")" \
        < <(echo "./vulkan-job.sh $policy $(quote "$(inside "$OUT/vk-check")")")
    unset VK_DRIVER_FILES
    verdict=$("$HERE/vulkan-trace.sh" "$name" "$trace" "backing opaque .* policy $policy: $want") || :
    sed '$d' <<<"$verdict"
    count "$(tail -n 1 <<<"$verdict")" "$name"
}

step_vulkan()
{
    vulkan_programs vulkan "$OUT" gcc || return 0
    vulkan_guest vulkan safe "cached, renderer"
    vulkan_guest vulkan-strict strict "refused, nobody-vouches"
}

step_vfio()
{
    machine vfio 400 --kernel="$KERNEL/bzImage" --append=intel_iommu=on \
        -- -device intel-iommu,intremap=on -device edu,addr=0x10,dma_mask=0xffffffffffff \
        < <(echo "python3 check-vfio.py --device 0000:00:10.0 --run-dir /run/t" \
                 "--renderer $(quote "$TOOLS_DIR/libreal-buffers.so")" \
                 "-- $(quote "${QEMU[@]}") >/run/out/result.log 2>&1")
}

# guest NAME ROOT MODULES CHECK PROGRAM OPTION...: a guest with the kernel of
# that root, without KVM
guest()
{
    local name=$1 root=$2 modules=$3 check=$4 program=$5 dir=$OUT/guest-$1
    shift 5
    rm -rf "$dir"
    mkdir -p "$dir"
    say "check-host: guest $name"
    # shellcheck disable=SC2016
    run "$TOP/scripts/in-root.sh" timeout --kill-after=10 150 bash -c '
        set -e
        root=$1 tool=$2 dir=$3 check=$4
        shift 4
        kernel=$(ls "$root"/boot/vmlinuz-* | sort -V | tail -1)
        MODULES_ROOT=$root ./make-initramfs.sh "$dir/guest.img" guest-init \
            "${kernel##*/vmlinuz-}" virtio_pci virtio-gpu -- "$tool"
        echo "guest: ${kernel##*/}"
        exec python3 "$check" --kernel "$kernel" \
            --initramfs "$dir/guest.img" --run-dir "$dir" "$@"' \
        guest "$root" "$TOOLS_DIR/$program" "$(inside "$dir")" "$check" \
        --name="$name" --accel=tcg --timeout=60 "$@" \
        -- env "QEMU_MODULE_DIR=$modules" "${QEMU[@]}" \
        >"$dir/result.log" 2>&1 || :
    grep -Ev '^(ok - |[0-9]+ passed)' "$dir/result.log" || :
    count "$(tail -n 1 "$dir/result.log")" "guest $name"
    echo "guest $name: $(tail -n 1 "$dir/result.log")"
}

step_guests()
{
    local many=(check-guest.py many-blobs --blobs=64)
    cd "$HERE"
    guest debian13 / "$OUR_DIR" "${many[@]}"
    guest debian13-stock / "$STOCK_DIR" "${many[@]}" --stock
    if suite_kernel bookworm; then
        guest debian12 "$TREE" "$OUR_DIR" "${many[@]}"
        guest debian12-stock "$TREE" "$STOCK_DIR" "${many[@]}" --stock
    else
        skip "guest debian12" "its kernel could not be had: $(tail -n 1 "$CACHE/kernel-bookworm.log" 2>/dev/null)"
    fi
    skip igt "the distribution's intel-gpu-tools has benchmarks, but no tests"
}

# gap_host NAME OPTION...: ten thousand buffers that fail to map, beside threads
# that map memory all the time, and vCPUs that use the place
gap_host()
{
    local name=$1
    shift
    machine "$name" 600 --memory=1G --processors=2 "$@" < <(cat <<JOB
[ "\$(nproc)" = 2 ] || {
    printf '%s\n' "not ok  the host of this step has \$(nproc) processors, not 2" \
        "0 passed, 1 failed" >/run/out/result.log
    exit
}
{
    $(quote "$OUR_DIR/tests/unit/test-virtio-gpu-blob-vma") --tap -m quick \
        >/run/t/gap.log 2>&1
    awk '
        /not ok|ERROR/ { print }
        /^ *ok / { good++ }
        /^ *not ok|Bail out/ { bad++ }
        END { print good + 0 " passed, " bad + !good " failed" }' /run/t/gap.log
    $LOAD_EXPORTER
    python3 check-gap.py --run-dir /run/t --vcpu $(quote "$TOOLS_DIR/gap-vcpu.bin") \
        --renderer $(quote "$TOOLS_DIR/libreal-buffers.so") -- $(quote "${QEMU[@]}")
} >/run/out/parts.log 2>&1
awk '
    /passed, [0-9]+ failed/ { good += \$1; bad += \$3 }
    { print }
    END { print good + 0 " passed, " bad + 0 " failed" }' /run/out/parts.log >/run/out/result.log
JOB
        )
}

step_gap()
{
    local suite version
    for suite in bookworm trixie-backports; do
        if ! suite_kernel "$suite"; then
            skip "gap, $suite" "its kernel could not be had: $(tail -n 1 "$CACHE/kernel-$suite.log" 2>/dev/null)"
            continue
        fi
        version=$(basename "$TREE"/boot/vmlinuz-*)
        version=${version#vmlinuz-}
        exporter "gap-$suite" "$version" "$TREE/usr/src/linux-headers-$version"
        gap_host "gap-$suite" --tree="$TREE"
    done
    version=$(in_root sh -c 'ls /boot/vmlinuz-* | sort -V | tail -n 1')
    version=${version##*/vmlinuz-}
    exporter gap "$version" "/lib/modules/$version/build"
    gap_host gap
}

step_touch()
{
    machine touch 600 --memory=2G < <(cat <<JOB
mount -t debugfs none /sys/kernel/debug
python3 bench-touch.py --run-dir /run/t --vcpu $(quote "$TOOLS_DIR/gap-vcpu.bin") \
    --renderer $(quote "$TOOLS_DIR/libreal-buffers.so") -- $(quote "${QEMU[@]}") \
    >/run/out/result.log 2>&1
JOB
        )
}

# doctor_host NAME ANSWERS OPTION...: ANSWERS is yes if the kernel can be asked
doctor_host()
{
    local name=$1 answers=$2 test=tests/unit/test-virtio-gpu-blob-doctor
    shift 2
    run "$TOP/scripts/build.sh" "$test"
    machine "$name" 1800 "$@" -- -device bochs-display -device virtio-gpu-pci \
        < <(echo "ip link set lo up; ulimit -n 4096; python3 check-doctor.py --name=$name --answers=$answers" \
                 "--qemu=$(quote "$OUR_DIR/qemu-system-x86_64")" \
                 "--stock=$(quote "$STOCK_DIR") --unit=$(quote "$OUR_DIR/$test") --hang=$(quote "$TOOLS_DIR/libhanging-open.so")" \
                 "-- $(quote "$OUR_DIR/contrib/virtio-gpu-blob-doctor/virtio-gpu-blob-doctor")" \
                 ">/run/out/result.log 2>&1")
}

step_doctor-patched()
{
    if our_kernel; then
        doctor_host doctor-patched yes --kernel="$KERNEL/bzImage"
    else
        skip doctor-patched "there is no kernel for it"
    fi
}

step_doctor-distribution()
{
    doctor_host doctor-distribution no
}

step_doctor-newest()
{
    if suite_kernel trixie-backports; then
        doctor_host doctor-newest no --tree="$TREE"
    else
        skip doctor-newest "no kernel of trixie-backports could be had: $(tail -n 1 "$CACHE/kernel-trixie-backports.log" 2>/dev/null)"
    fi
}

step_doctor()
{
    step_doctor-patched
    step_doctor-distribution
    step_doctor-newest
}

# What map and unmap cost beside the system calls that they consist of, in a
# host that is emulated: the figures are for comparison with each other
step_bench()
{
    local program=$OUR_DIR/tests/qtest/virtio-gpu-gl-bench bin=$OUT/bench-bin
    run "$TOP/scripts/build.sh" tests/qtest/virtio-gpu-gl-bench \
        tests/qtest/renderer/libscripted-renderer.so \
        tests/qtest/renderer/libscripted-watcher.so
    if ! suite_kernel bookworm; then
        skip bench "no kernel of bookworm could be had: $(tail -n 1 "$CACHE/kernel-bookworm.log" 2>/dev/null)"
        return
    fi
    mkdir -p "$bin"
    printf '#!/bin/sh\nexec %s "$@"\n' "$(quote "${QEMU[@]}")" >"$bin/qemu-system-x86_64"
    chmod +x "$bin/qemu-system-x86_64"
    machine bench 900 --tree="$TREE" --memory=2G < <(cat <<JOB
export QTEST_QEMU_BINARY=$(quote "$(inside "$bin")/qemu-system-x86_64")
export XDG_RUNTIME_DIR=/run/t TMPDIR=/run/t SDL_VIDEODRIVER=offscreen
for round in 1 2 3 4 5; do
    $(quote "$program") floor 0 25
    $(quote "$program") ours 0 25 answers shm
done >/run/t/bench.tsv 2>/run/t/bench.err
awk -f bench-table.awk /run/t/bench.tsv >/run/out/result.log
JOB
        )
}

# program_image PART FILE...: what guests of programs boot with: those files, and
# what they are linked with; a large one takes them minutes under an emulated KVM
program_image()
{
    local image
    image=$(inside "$OUT")/programs-$1
    shift
    # shellcheck disable=SC2016
    in_root bash -c '
        kernel=$(ls /boot/vmlinuz-* | sort -V | tail -1)
        cp "$kernel" "$1.kernel"
        exec ./make-initramfs.sh "$1.img" guest-init "${kernel##*/vmlinuz-}" \
            virtio_pci virtio-gpu -- programs-guest.sh' image "$image" &&
        linked_image / x86_64-linux-gnu "$image.d" "$image.img" /usr/bin/bash \
            /usr/lib/x86_64-linux-gnu/libvulkan_virtio.so /usr/share/vulkan "$@"
}

BUILDS=()

program_images()
{
    local lib=/usr/lib/x86_64-linux-gnu
    program_image memory "$(inside "$OUT")/vk-bench" &&
        program_image frames /usr/bin/{glmark2-es2-drm,vkmark} \
            "$lib"/{libEGL.so.1,libEGL_mesa.so.0,libGLESv2.so.2,gbm/dri_gbm.so} \
            "$lib/vkmark/headless.so" /usr/share/{glmark2,vkmark,glvnd}
}

# program_guest ACCEL BUILD PART DIR OPTION...: the line that measures that part in
# a guest; what is found goes into DIR
program_guest()
{
    local accel=$1 build=$2 part=$3 dir=$4 image emulator=("${QEMU[@]}")
    # all that runs in an emulated host has ours
    local modules=(-u QEMU_MODULE_DIR)
    shift 4
    case $build in
    ours) modules=("QEMU_MODULE_DIR=$OUR_DIR") ;;
    stock) modules=("QEMU_MODULE_DIR=$STOCK_DIR") ;;
    peer) emulator=("$(inside "$OUT/peer")") ;;
    esac
    image=$(inside "$OUT")/programs-$part
    quote env "${modules[@]}" VK_DRIVER_FILES=/usr/share/vulkan/icd.d/lvp_icd.json \
        python3 check-programs.py "--accel=$accel" "--name=$accel-$build-$part" "--part=$part" \
        "--out=$dir/$part-$build.tsv" "--kernel=$image.kernel" "--initramfs=$image.img" \
        --memory=1G --hostmem=1G "$@" -- "${emulator[@]}" -global virtio-gpu-device.edid=off \
        -global virtio-gpu-device.xres=320 -global virtio-gpu-device.yres=240
    echo
}

# program_guests ACCEL DIR OPTION...: those lines for all parts; ours has to give
# each kind of figure, others may end before.  Frames are drawn twice, and the
# second time counts: the first one reads the renderer's libraries into memory
program_guests()
{
    local accel=$1 dir=$2 part build
    local -A want=([memory]=life,touch,copy [frames]=first,frames)
    shift 2
    for part in memory frames frames; do
        for build in "${BUILDS[@]}"; do
            program_guest "$accel" "$build" "$part" "$dir" "$@" \
                "--want=$([ "$build" != ours ] || echo "${want[$part]}")"
        done
    done
}

# What programs in a guest feel of mapped memory, without KVM and with; the figures
# are for comparison with each other, as all is emulated
step_programs()
{
    local tcg=$OUT/programs-tcg kvm=$OUT/programs-kvm tsv=$SERIES_DIR/programs.tsv watch line
    "$TOP/scripts/root.sh" need programs
    vulkan_programs programs "$OUT" gcc || return 0
    cd "$HERE"
    if ! program_images; then
        echo "FAILED - programs: there is no image for its guests"
        count "0 passed, 1 failed"
        return 0
    fi
    BUILDS=(ours stock)
    if run "$TOP/scripts/peer.sh" "$OUT/peer"; then
        BUILDS+=(peer)
    else
        skip programs "the root of the newest QEMU could not be made (see above)"
    fi
    rm -rf "$tcg" "$kvm"
    mkdir -p "$tcg"
    run tail -q -n +1 -F {"$tcg","$kvm"}/{memory,frames}-{ours,stock,peer}.tsv >&2 2>/dev/null &
    watch=$!
    say "programs-tcg ($((3 * ${#BUILDS[@]})) guests, at most 200 s each)"
    while IFS= read -r line; do
        run "$TOP/scripts/in-root.sh" timeout --kill-after=10 220 bash -c "$line" \
            >"$tcg/log" 2>&1 </dev/null || :
        grep -Ev '^(ok - |[0-9]+ passed)' "$tcg/log" || :
        count "$(tail -n 1 "$tcg/log")" programs-tcg
    done < <(program_guests tcg "$(inside "$tcg")" --held=0,250,500 --timeout=200 \
                 "--run-dir=$(inside "$tcg")")
    machine programs-kvm 2600 \
        < <(program_guests kvm /run/out --timeout=400 --patience=300 --run-dir=/run/t | together)
    kill "$watch"
    cat {"$tcg","$kvm"}/{memory,frames}-{ours,stock,peer}.tsv >"$tsv" 2>/dev/null || :
    awk -f programs-table.awk "$tsv"
    "$TOP/scripts/plot-programs.sh" "$tsv" || count "0 passed, 1 failed" programs
}

#
# Main
#

# Sets KERNEL to the folder of the kernel with DMA_BUF_IOCTL_INFO
KERNEL=
our_kernel()
{
    [ "$KERNEL" != none ] || return
    [ -z "$KERNEL" ] || return 0
    say "check-host: the kernel with DMA_BUF_IOCTL_INFO"
    # no $( ): what runs must be our child, to end with us
    if run "$TOP/scripts/in-root.sh" "$HERE/build-kernel.sh" --jobs="$JOBS" >"$OUT.kernel"; then
        KERNEL=$(tail -n 1 "$OUT.kernel")
    else
        KERNEL=none
        echo "FAILED - kernel: it could not be built"
        count "0 passed, 1 failed"
        return 1
    fi
}

# A function, so that the script may change while it runs
main()
{
    "$TOP/scripts/root.sh" need host
    # qtest is a module that is not built by itself
    "$TOP/scripts/build.sh" accel-qtest-x86_64.so tests/unit/test-virtio-gpu-blob-vma
    lock "$OUT.lock" "make check-host"

    for step in "${STEPS[@]}"; do
        case $step in
        patched|kvm|buffers|toggles|lost|stock|vfio)
            if ! our_kernel; then
                skip "$step" "there is no kernel for it"
                continue
            fi
            ;;
        esac
        "step_$step"
    done

    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
}

main; exit
