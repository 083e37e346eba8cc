#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# deb.sh [--system=DIR]   a package of our modules for the distribution's QEMU,
#                         and virtio-gpu-blob-doctor:
#                         build/qemu-virtio-gpu-blob_VERSION_ARCH.deb
# deb.sh --check          install it in a clean Debian 13, use it, purge it; for
#                         arm64 that is an emulated host
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

# The emulators, what the device needs without a GPU, and what the check runs
CLEAN_PACKAGES=(qemu-system-modules-opengl qemu-system-gui
    libegl1 libgl1-mesa-dri virgl-server python3)
NAME=qemu-virtio-gpu-blob
if [ "$VARIANT" = arm64 ]; then
    ARCH=arm64 MODULE_DIR=usr/lib/aarch64-linux-gnu/qemu MODULES=$SERIES_DIR/modules-arm64
    SYSTEM=qemu-system-arm
    CLEAN_PACKAGES=(qemu-system-arm qemu-system-x86 "${CLEAN_PACKAGES[@]}")
    # nothing of it runs here
    CLEAN_OPTIONS=(--architectures=arm64 --variant=extract --skip=cleanup/apt '--include=?essential')
else
    ARCH=amd64 MODULE_DIR=usr/lib/x86_64-linux-gnu/qemu MODULES=$SERIES_DIR/modules
    SYSTEM=qemu-system-x86
    CLEAN_PACKAGES=(qemu-system "${CLEAN_PACKAGES[@]}")
    CLEAN_OPTIONS=(--variant=minbase)
fi
CLEAN=$CACHE/qemu-root-$(printf '%s\n' "${CLEAN_PACKAGES[@]}" | sha256sum | cut -c1-16)

check=0
args=()
for arg; do
    case $arg in
    --check) check=1 ;;
    --system=*) args=("$arg") ;;
    -h | --help)
        header "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *) die "no such option: $arg" "see $0 --help" ;;
    esac
done

# A Debian 13 as installed from its archive, with all its emulators
make_clean()
{
    local line uri options=()
    [ "$(id -u)" = 0 ] || die "a clean Debian 13 to install the package in needs root" "sudo make check-deb"
    mkdir -p "$CACHE"
    lock "$CLEAN.lock" "the clean Debian 13"
    [ ! -e "$CLEAN/etc/debian_version" ] || return 0
    command -v mmdebstrap >/dev/null || die "mmdebstrap is missing" "apt-get install mmdebstrap"
    free_space "$CACHE" 2500 "the clean Debian 13"
    while read -r line; do
        options+=(--aptopt="$line")
    done < <("$TOP/scripts/root.sh" settings)
    uri=$("$TOP/scripts/root.sh" mirror)
    say "making a clean Debian 13 for $ARCH with QEMU: about 3 min, 1 GiB, once"
    rm -rf --one-file-system -- "$CLEAN.tmp"
    mkdir "$CLEAN.tmp"
    # its mounts and its children end with us
    if ! setpriv --pdeathsig KILL -- unshare --mount --propagation private --pid --mount-proc \
        --fork --kill-child=KILL -- env INITRD=No LC_ALL=C.UTF-8 mmdebstrap --mode=root \
        --format=directory "${options[@]}" "${CLEAN_OPTIONS[@]}" \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --include="$(IFS=,; echo "${CLEAN_PACKAGES[*]}")" \
        trixie "$CLEAN.tmp" "deb $(signed_by)$uri trixie main" >&2; then
        die "the clean Debian 13 could not be made (see above)" "check the network and this system's /etc/apt"
    fi
    [ "$ARCH" != arm64 ] || run "$TOP/scripts/record-packages.sh" "$CLEAN.tmp"
    mv "$CLEAN.tmp" "$CLEAN"
}

# maintainer: who builds it, as Debian's tools and git know it
maintainer()
{
    local name=${DEBFULLNAME:-} address=${DEBEMAIL:-${EMAIL:-}}
    [ -n "$name" ] || name=$(git -C "$TOP" config user.name 2>/dev/null) || name=$(id -un)
    [ -n "$address" ] || address=$(git -C "$TOP" config user.email 2>/dev/null) ||
        address=$(id -un)@$(hostname -f 2>/dev/null || echo localhost)
    printf '%s <%s>\n' "$name" "$address" | tr -d '|&\\'
}

# fill FILE...: our names and numbers in place of @NAME@
fill()
{
    sed -e "s|@VERSION@|$version|g; s|@STAMP@|$stamp|g; s|@MODULES@|$list|g" \
        -e "s|@ARCH@|$ARCH|g; s|@FOLDER@|/$MODULE_DIR|g; s|@SYSTEM@|$SYSTEM|g" \
        -e "s|@MAINTAINER@|$MAINTAINER|g" "$@"
}

# The page of the manual as a man page, compressed
man_page()
{
    local name=virtio-gpu-blob-doctor dir=$SERIES_DIR/man.tmp
    rm -rf "$dir"
    mkdir -p "$dir"
    cp -- "$TOP/docs/tools/$name.rst" "$dir/"
    cat >"$dir/conf.py" <<END
project = 'QEMU'
master_doc = '$name'
man_pages = [('$name', '$name', 'look at what virtio-gpu blobs find on a host', [], 1)]
END
    in_root sphinx-build -q -b man "$(inside "$dir")" "$(inside "$dir")/out" >"$dir.log" 2>&1 </dev/null ||
        { cat "$dir.log" >&2; die "the man page could not be made (see above)"; }
    gzip -9n <"$dir/out/$name.1"
    rm -rf "$dir" "$dir.log"
}

# package FILE: what is in $modules, under $version and $stamp
package()
{
    local tree=$SERIES_DIR/deb-$ARCH.tmp script
    rm -rf "$tree"
    mkdir -p "$tree/DEBIAN" "$tree/$MODULE_DIR" "$tree/usr/share/doc/$NAME" "$tree/usr/bin" \
        "$tree/usr/share/man/man1"
    cp -- "$modules"/*.so "$tree/$MODULE_DIR/"
    cp -- "$modules/virtio-gpu-blob-doctor" "$tree/usr/bin/"
    cp -- "$man" "$tree/usr/share/man/man1/virtio-gpu-blob-doctor.1.gz"
    cp -- "$TOP/LICENSE" "$tree/usr/share/doc/$NAME/copyright"
    fill "$TOP/packaging/deb/control.in" >"$tree/DEBIAN/control"
    for script in preinst postrm; do
        {
            echo '#!/bin/sh'
            fill "$TOP/packaging/deb/common.sh" "$TOP/packaging/deb/$script.in"
        } >"$tree/DEBIAN/$script"
        chmod 755 "$tree/DEBIAN/$script"
    done
    chmod -R u=rwX,go=rX "$tree"
    rm -f "$1"
    in_root dpkg-deb --root-owner-group --build "$(inside "$tree")" "$(inside "$1")" >/dev/null
    rm -rf "$tree"
}

# guest_for_check FOLDER: a guest with its kernel, and what runs it
guest_for_check()
{
    local job=$1 version_of_kernel
    version_of_kernel=$(in_root sh -c 'ls /boot' | sed -n 's/^vmlinuz-//p' | sort -V | tail -n 1)
    [ -n "$version_of_kernel" ] || die "there is no kernel in /boot for the guest of the check" \
        "apt-get install linux-image-amd64"
    run "$TOP/scripts/build.sh" --tools
    in_root cp "/boot/vmlinuz-$version_of_kernel" "$(inside "$job/vmlinuz")"
    in_root "$TOP/tests/host/make-initramfs.sh" "$job/initrd" "$TOP/tests/guest/init" \
        "$version_of_kernel" virtio_pci virtio-gpu -- "$TOOLS/tests/guest/virtgpu-blob"
    cp -- "$TOP/tests/guest"/{demo,board}.py "$job/"
}

# Sets KERNEL to the image of an arm64 host
host_for_check()
{
    local log=$SERIES_DIR/check-deb-kernel.log
    run "$TOP/scripts/root.sh" need host
    run "$TOP/scripts/root.sh" need arm64
    run "$TOP/scripts/root.sh" arm64 >/dev/null
    in_root "$TOP/tests/host/build-kernel.sh" --arch=arm64 --jobs="$JOBS" >"$log" ||
        die "the kernel of the host could not be built (see above)"
    KERNEL=$(tail -n 1 "$log")/Image
}

# Run with a clean system in the folder root and $job as its /check
# shellcheck disable=SC2016
IN_CLEAN='
    mount -t proc proc root/proc
    mount -o rbind /sys root/sys
    mount -o rbind /dev root/dev
    mount -t tmpfs tmpfs root/run
    mount -t tmpfs tmpfs root/tmp
    exec chroot root env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root TERM=dumb \
        bash /check/check.sh'

# In a copy of the clean system that is gone with the name space
check_here()
{
    # shellcheck disable=SC2016
    run unshare --mount --propagation private --pid --mount-proc --fork --kill-child=KILL -- bash -c '
        set -e
        clean=$1 job=$2
        mnt=$job/mnt
        mkdir "$mnt"
        mount -t tmpfs tmpfs "$mnt"
        mkdir "$mnt/lower" "$mnt/upper" "$mnt/work" "$mnt/root"
        mount --bind "$clean" "$mnt/lower"
        cd "$mnt"
        mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root
        mkdir root/check
        mount --bind "$job" root/check'"$IN_CLEAN" check "$CLEAN" "$job"
}

# In a copy of the clean system in the memory of a host
check_in_host()
{
    local status=0
    cat >"$job/job" <<END
set -e
mount() { busybox mount "\$@"; }
ln -s /proc/self/fd /dev/fd
cd /run
ln -s with root
mkdir root/check
mount -o bind /run/out root/check
exec >/run/out/result.log 2>&1 </dev/null
$IN_CLEAN
END
    say "in an emulated arm64 host (about 5 min)"
    in_root "$TOP/tests/host/boot-host.sh" --out="$(inside "$job")" --job=/run/out/job \
        --timeout=2400 --name=check-deb --memory=4G --cpu=cortex-a72 --kernel="$KERNEL" \
        --arm64="$("$TOP/scripts/root.sh" arm64)" --with="$CLEAN" -- qemu-system-aarch64 || status=$?
    cat "$job/result.log" || tail -n 5 "$job/console.log" >&2
    return "$status"
}

run_check()
{
    local job=$SERIES_DIR/check-deb-$ARCH.d
    rm -rf "$job"
    mkdir -p "$job"
    cp -- "$deb" "$job/good.deb"
    cp -- "$SERIES_DIR/wrong-$ARCH.deb" "$job/wrong.deb"
    cp -- "$TOP/packaging/deb/check.sh" "$job/"
    if [ "$ARCH" = arm64 ]; then
        host_for_check
        check_in_host
    else
        guest_for_check "$job"
        check_here
    fi
}

if [ "$check" = 1 ]; then
    make_clean
    args=("--system=$CLEAN")
fi
run "$TOP/scripts/modules.sh" "${args[@]}"
modules=$MODULES
version=$(cat "$modules/version")
stamp=$(cat "$modules/stamp")
list=$(cd "$modules" && printf '%s ' *.so)
list=${list% }
MAINTAINER=$(maintainer)
man=$SERIES_DIR/virtio-gpu-blob-doctor.1.gz
run "$TOP/scripts/root.sh" need docs
man_page >"$man"
deb=$BUILD/${NAME}_${version#*:}+blob1_$ARCH.deb
package "$deb"
say "package: $deb"
if [ "$check" = 1 ]; then
    # one with another stamp must not go in
    stamp=qemu_stamp_$(printf 0%.0s {1..40})
    package "$SERIES_DIR/wrong-$ARCH.deb"
    run_check
fi
