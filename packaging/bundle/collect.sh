#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# collect.sh OUT BUILD STOCK PROGRAMS REPOSITORY [gl]
# In the root: what the archive takes from there and from BUILD and STOCK, the
# folders of our QEMU and of modules without our change, into OUT, by the layout
# that trial.sh expects.  PROGRAMS has what make-bundle.sh compiled.  With gl the
# guest gets OpenGL, too.
set -euo pipefail

[ $# -ge 5 ] || { sed -n '4,/^[^#]\|^$/s/^# \?//p' "$0" >&2; exit 1; }
out=$1 build=$2 stock=$3 programs=$4 repository=$5 gl=${6:-}
libs=/usr/lib/x86_64-linux-gnu

# Ours whatever the host has: no driver of a host loads them
OURS=(libvirglrenderer.so.1 libslirp.so.0 libfdt.so.1 libepoxy.so.0 libpixman-1.so.0
    libSDL2-2.0.so.0 libusb-1.0.so.0)
# Loaded by name: what is found is the host's, and tells what is missing there
BY_NAME=(libEGL.so.1 libGL.so.1)
# Drivers load these: ours are used only where the host has none
DRIVERS='^lib(stdc\+\+|gcc_s|atomic|z|zstd|expat|ffi|xcb|X11|Xau|Xdmcp|Xext|Xfixes|xshmfence|wayland|drm|EGL|GL|OpenGL|gbm|vulkan|va|udev|cap|elf)[-.0-9a-zA-Z_]*\.so'
LIBC='^(ld-linux-x86-64|libc|libm|libdl|libpthread|librt|libresolv|libutil|libanl)\.so'
FIRMWARE=(/usr/share/seabios/{bios-256k,bios-microvm,vgabios-stdvga,vgabios-virtio,vgabios-ramfb,vgabios-bochs-display}.bin
    /usr/share/qemu/{kvmvapic,linuxboot,linuxboot_dma,multiboot,multiboot_dma,pvh}.bin
    /usr/share/qemu/qboot.rom
    /usr/share/qemu/{efi-virtio,efi-e1000,efi-e1000e}.rom)
# The newest C library that the archive may want; libsystemd is behind the host's
LIBC_MAX=2.38
LIBC_EXEMPT=libsystemd.so.0

die()
{
    printf 'collect: %s\n' "$1" >&2
    exit 1
}

# linked_with FILE...: soname and path of all that they are linked with
linked_with()
{
    local file
    for file; do
        ldd "$file"
    done | awk '$2 == "=>" && $3 ~ /^\// { print $1, $3 }' | LC_ALL=C sort -u |
        grep -Ev "$LIBC"
}

# package_of FILE: the package that it comes from
package_of()
{
    local file
    file=$(realpath "$1")
    { dpkg -S "$file" || dpkg -S "${file#/usr}" || dpkg -S "$1"; } 2>/dev/null |
        sed 's/[:,].*//' | head -n 1
}

taken=()
# take FILE TO: strips what is code
take()
{
    mkdir -p "$(dirname "$2")"
    cp -L -- "$1" "$2"
    chmod u+w "$2"
    case $(head -c 4 "$2" | tr -d '\0') in
    $'\177ELF') strip --strip-unneeded "$2" ;;
    esac
    case $1 in
    "$build"/* | "$stock"/* | "$programs"/*) ;;
    *) taken+=("$1") ;;
    esac
}

program_files()
{
    local module
    take "$build/qemu-system-x86_64" "$out/lib/qemu-system-x86_64"
    take "$build/contrib/virtio-gpu-blob-doctor/virtio-gpu-blob-doctor" "$out/lib/virtio-gpu-blob-doctor"
    mkdir -p "$out/lib/stock-modules"
    for module in "$build"/*.so; do
        case ${module##*/} in
        accel-qtest* | hw-s390x* | test-*) ;;
        *) take "$module" "$out/lib/modules/${module##*/}" ;;
        esac
    done
    for module in "$build"/*.so; do
        module=${module##*/}
        if [ -e "$stock/$module" ]; then
            take "$stock/$module" "$out/lib/stock-modules/$module"
        elif [ -e "$out/lib/modules/$module" ]; then
            ln -s "../modules/$module" "$out/lib/stock-modules/$module"
        fi
    done
    take /usr/libexec/virgl_render_server "$out/lib/virgl_render_server"
    take "$(command -v busybox)" "$out/lib/busybox"
    take "$programs/probe-libs" "$out/lib/probe-libs"
    take "$programs/host-side" "$out/lib/host-side"
}

libraries()
{
    local name path extra=()
    for name in "${BY_NAME[@]}" "${OURS[@]}"; do
        extra+=("$libs/$name")
    done
    {
        linked_with "$out"/lib/{qemu-system-x86_64,virtio-gpu-blob-doctor,virgl_render_server} \
            "$out"/lib/modules/*.so "${extra[@]}"
        for name in "${BY_NAME[@]}" "${OURS[@]}"; do
            echo "$name $libs/$name"
        done
    } | LC_ALL=C sort -u -k 1,1 >"$out.libs"
    while read -r name path; do
        if printf '%s\n' "${OURS[@]}" | grep -qFx -- "$name"; then
            take "$path" "$out/lib/ours/$name"
        elif [[ $name =~ $DRIVERS ]]; then
            take "$path" "$out/lib/behind-drivers/$name/$name"
        else
            take "$path" "$out/lib/behind/$name/$name"
        fi
    done <"$out.libs"
    rm "$out.libs"
}

firmware()
{
    local file
    for file in "${FIRMWARE[@]}"; do
        take "$file" "$out/firmware/${file##*/}"
    done
    cp -r /usr/share/qemu/keymaps "$out/firmware/"
    taken+=(/usr/share/qemu/keymaps/en-us)
}

# unpack IMAGE: one that make-initramfs.sh made
unpack()
{
    gzip -dc "$1" | (cd "$guest" && cpio -idmu --quiet)
}

# pack FOLDER IMAGE: the same bytes for the same files
pack()
{
    find "$1" -depth -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    (cd "$1" && find . | LC_ALL=C sort |
        cpio -o -H newc -R 0:0 --reproducible --quiet) >"$2"
}

# with_libraries FOLDER FILE...: the file at its place, and what it is linked with
with_libraries()
{
    local dir=$1 file name path
    shift
    for file; do
        {
            ldd "$file" | awk '/=> \// { print $3 } /^[[:space:]]*\/.*ld-linux/ { print $1 }'
            case $file in
            "$programs"/*) ;;
            *) echo "$file" ;;
            esac
        } | LC_ALL=C sort -u | while read -r path; do
            [ -e "$dir$path" ] || install -D "$(realpath "$path")" "$dir$path"
            echo "$path"
        done >>"$out.guest"
    done
}

# OpenGL and a program for it, as a disk that holds such an image, without what
# the guest has already
gl_files()
{
    local all=$out.gl.d file path
    rm -rf "$all"
    mkdir -p "$all/usr/lib" "$all/usr/lib64"
    ln -s usr/lib "$all/lib"
    ln -s usr/lib64 "$all/lib64"
    with_libraries "$all" /usr/bin/glmark2-es2-drm \
        $libs/{libEGL.so.1,libEGL_mesa.so.0,libGLESv2.so.2,gbm/dri_gbm.so}
    install "$(realpath /usr/bin/glmark2-es2-drm)" "$all/usr/bin/" 2>/dev/null ||
        install -D "$(realpath /usr/bin/glmark2-es2-drm)" "$all/usr/bin/glmark2-es2-drm"
    for file in /usr/share/glmark2 /usr/share/glvnd; do
        cp -rL --parents "$file" "$all/"
        path=$(find "$file" -type f | LC_ALL=C sort | head -n 1)
        echo "$path" >>"$out.guest"
    done
    (cd "$all" && find . -type f) | while read -r file; do
        ! cmp -s "$all/$file" "$guest/$file" || rm "$all/$file"
    done
    find "$all" -type f -name '*.so*' -exec strip --strip-unneeded {} + 2>/dev/null || :
    pack "$all" "$out/guest/gl"
    rm -rf "$all"
}

guest_files()
{
    local kernel image path
    kernel=$(find /boot -name 'vmlinuz-*' -printf '%f\n' | sed 's/^vmlinuz-//' | sort -V | tail -n 1)
    [ -n "$kernel" ] || die "there is no kernel in /boot"
    take "/boot/vmlinuz-$kernel" "$out/guest/vmlinuz"
    guest=$out.guest.d image=$out.initrd
    rm -rf "$guest"
    mkdir -p "$guest"
    : >"$out.guest"
    "$repository/tests/host/make-initramfs.sh" "$image" "$repository/tests/host/guest-init" \
        "$kernel" virtio_pci virtio_blk virtio-gpu -- "$repository/packaging/bundle/guest-tasks" \
        "$programs"/{virtgpu-blob,many-blobs,guest-gpu}
    unpack "$image"
    rm "$image"
    # merged as in the root, where ldd names libraries by /lib
    mkdir -p "$guest/usr/lib"
    ln -s usr/lib "$guest/lib"
    ln -s usr/lib64 "$guest/lib64"
    mkdir -p "$guest/usr/lib64" "$guest/etc"
    with_libraries "$guest" $libs/libvulkan_virtio.so "$programs/vk-check"
    install "$programs/vk-check" "$guest/bin/"
    install -D -m 644 /usr/share/vulkan/icd.d/virtio_icd.json "$guest/usr/share/vulkan/icd.d/virtio_icd.json"
    find "$guest" -type f ! -path '*/modules/*' -exec strip --strip-unneeded {} + 2>/dev/null || :
    pack "$guest" "$out/guest/initrd"
    [ -z "$gl" ] || gl_files
    rm -rf "$guest"
    while read -r path; do
        taken+=("$path")
    done < <(LC_ALL=C sort -u "$out.guest")
    rm "$out.guest"
    taken+=("/usr/share/vulkan/icd.d/virtio_icd.json")
    {
        echo "guest-linux $kernel"
        echo "guest-mesa $(dpkg-query -W -f '${Version}' mesa-vulkan-drivers)"
    } >>"$out/lib/versions"
}

# The packages that these files are of: their licences, and sources' names
origins()
{
    local file package
    for file in "${taken[@]}"; do
        package=$(package_of "$file")
        [ -n "$package" ] || die "$file is of no package"
        echo "$package"
    done | LC_ALL=C sort -u >"$out.packages"
    while read -r package; do
        file=/usr/share/doc/$package/copyright
        [ -e "$file" ] || die "$package has no $file"
        mkdir -p "$out/licences/$package"
        cp -L "$file" "$out/licences/$package/"
    done <"$out.packages"
    mkdir -p "$out/licences/common"
    cp -L /usr/share/common-licenses/* "$out/licences/common/"
    xargs -a "$out.packages" dpkg-query -W -f '${source:Package} ${source:Version}\n' |
        LC_ALL=C sort -u >"$out/licences/SOURCES.list"
    rm "$out.packages"
}

check_libc()
{
    local file newest
    while read -r file; do
        newest=$(objdump -T "$file" 2>/dev/null | grep -o 'GLIBC_2\.[0-9.]*' | sort -uV | tail -n 1) || continue
        [ "${file##*/}" = $LIBC_EXEMPT ] ||
            [ "$(printf '%s\n' "GLIBC_$LIBC_MAX" "$newest" | sort -V | tail -n 1)" = "GLIBC_$LIBC_MAX" ] ||
            die "${file##*/} wants $newest, and the archive promises $LIBC_MAX"
    done < <(find "$out/lib" -type f)
}

program_files
libraries
firmware
guest_files
origins
check_libc
echo "virglrenderer $(dpkg-query -W -f '${Version}' libvirglrenderer1)" >>"$out/lib/versions"
