# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What run-check-arm64.sh guest runs in an arm64 host: Debian's arm64 kernel in
# guests under KVM. To be sourced there.  GUEST is the folder of what they boot.

GUEST=$OUT/guest

# guest_image NAME INIT MODULE... [-- FILE...]
guest_image()
{
    local name=$1 init=$2
    shift 2
    in_root env "MODULES_ROOT=$TREE" "BUSYBOX=$TREE/usr/bin/busybox" \
        "$HERE/make-initramfs.sh" "$(inside "$GUEST")/$name.img" "$init" "$GUEST_VERSION" "$@"
}

# What guests in TREE boot with; that is a tree of arm64 files with their kernel,
# and not configured
make_guest()
{
    local tools
    tools=$(inside "$TOOLS")
    GUEST_VERSION=$(basename "$TREE"/boot/vmlinuz-*)
    GUEST_VERSION=${GUEST_VERSION#vmlinuz-}
    say "a guest with Linux $GUEST_VERSION"
    rm -rf "$GUEST"
    mkdir -p "$GUEST"
    [ -e "$TREE/usr/lib/modules/$GUEST_VERSION/modules.dep" ] ||
        in_root /sbin/depmod -b "$TREE" "$GUEST_VERSION"
    guest_image demo "$TOP/tests/guest/init" virtio-gpu -- "$tools/tests/guest/virtgpu-blob"
    guest_image many "$HERE/guest-init" virtio-gpu -- "$tools/tests/host/many-blobs"
    vulkan_programs guest "$GUEST" "$(inside "$SERIES_DIR")/cross/cc" "--sysroot=$TREE" || return
    guest_image vulkan "$HERE/guest-init" virtio-gpu -- "$HERE"/{vulkan-guest,vulkan-job,venus}.sh
    linked_image "$TREE" aarch64-linux-gnu "$(inside "$GUEST")/vulkan.d" \
        "$(inside "$GUEST")/vulkan.img" "$(inside "$GUEST")/vk-check" \
        "$TREE/usr/bin"/{bash,vulkaninfo} \
        "$TREE/usr/lib/aarch64-linux-gnu/libvulkan_virtio.so" "$TREE/usr/share/vulkan"
}

# guest_files INITRAMFS-OPTION IMAGE
guest_files()
{
    quote "--kernel=$TREE/boot/vmlinuz-$GUEST_VERSION" "$1=$(inside "$GUEST")/$2.img"
}

# part NAME WORDS...: a line that says on the console of the host what runs
part()
{
    local name=$1
    shift
    echo "echo $(quote "guest: $name") >/dev/console; $*"
}

# guest_programs CPU KERNEL: all that is checked there, a line each
guest_programs()
{
    local name=$1,$2 python qemu demo type=honoured
    [[ ${FEATURES[$1]} != *--fwb* ]] || type=forced-write-back
    python="$(guest_environment) python3"
    qemu=$(quote "$(inside "$OURS")/qemu-system-aarch64")
    demo="--accel=kvm --memory=256M --hostmem=256M --qemu $qemu $(guest_files --initrd demo)"
    part demo "$python ../guest/demo.py $demo --mode=all"
    part "demo, by the renderer" "$python ../guest/demo.py $demo --mode=virgl --policy=renderer"
    part types "$python check-types.py --name=$name $demo" \
        "$(quote "--renderer=$(inside "$TOOLS")/tests/host/libreal-buffers.so")"
    part blobs "$python check-guest.py --name=$name --blobs=100 --memory=256M" \
        "--guest-type=$type --timeout=300 $(guest_files --initramfs many)" \
        "--run-dir /run/t -- $qemu"
    # lavapipe's memory is udmabuf's, and these devices' DMA is not coherent
    vulkan_part "$name" safe "refused, exporter-incoherent"
    vulkan_part "$name" renderer "cached, renderer"
}

# vulkan_part NAME POLICY DECISION: Mesa's Venus on this host's lavapipe
vulkan_part()
{
    part "vulkan, policy $2" "VK_DRIVER_FILES=/usr/share/vulkan/icd.d/lvp_icd.json" \
        "$(guest_environment) python3 check-vulkan.py --timeout=600" \
        "$(quote "--name=$1,vulkan-$2" "--policy=$2" "--want=exporter \"udmabuf\" .* policy $2: $3")" \
        "$(guest_files --initramfs vulkan) --run-dir /run/t --" \
        "$(quote "$(inside "$OURS")/qemu-system-aarch64")"
}

# What QEMU and Python find in their environment
guest_environment()
{
    quote "QEMU_MODULE_DIR=$(inside "$OURS")" TMPDIR=/run/t \
        "PYTHONPYCACHEPREFIX=$(inside "$OUT")/pycache$TREE"
}
