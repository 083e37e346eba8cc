#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# modules.sh [--system=DIR]: only the virtio-gpu modules, for the QEMU that the
# distribution installed, and virtio-gpu-blob-doctor; they go to
# build/SERIES/modules, or modules-arm64 when that is configured.
#   --system=DIR   the system that they are for; "none": no system, for the
#                  version of the source that is built.  The default is / , or
#                  none for another processor's
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$TOP/scripts/cross.sh"

MODULES=(hw-display-virtio-gpu.so hw-display-virtio-gpu-gl.so
    hw-display-virtio-gpu-pci.so hw-display-virtio-gpu-pci-gl.so
    hw-display-virtio-vga.so hw-display-virtio-vga-gl.so)
# What looks at the host that they run on
DOCTOR=contrib/virtio-gpu-blob-doctor/virtio-gpu-blob-doctor
# Only what shapes these
FEATURES=(--without-default-features --enable-system
    --enable-tcg --enable-kvm --enable-modules --enable-opengl --enable-virglrenderer
    --enable-pixman --enable-vhost-user --enable-vhost-kernel --enable-fdt
    --disable-install-blobs --disable-download --disable-docs --disable-werror)
# The caller's settings of the compiler play no part
CLEAN=(env -u CFLAGS -u CXXFLAGS -u LDFLAGS -u CPPFLAGS -u CC -u CXX -u PYTHONPATH
    -u PYTHONHOME -u PKG_CONFIG_PATH -u MAKEFLAGS -u MAKELEVEL -u NINJA -u DESTDIR
    -u LD_PRELOAD PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)

ARCH='' system=/ targets=x86_64-softmmu strip=strip
if [ "$VARIANT" = arm64 ]; then
    ARCH=-arm64 system=none strip=aarch64-linux-gnu-strip
    # the second has virtio-vga
    targets=aarch64-softmmu,x86_64-softmmu
fi
FEATURES+=("--target-list=$targets")
for arg; do
    case $arg in
    --system=*) system=${arg#*=} ;;
    -h | --help)
        header "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *) die "no such option: $arg" "see $0 --help" ;;
    esac
done

# The version of the emulators installed there; empty when there are none
installed_version()
{
    local status=$system/var/lib/dpkg/status
    [ "$system" != none ] && [ -r "$status" ] || return 0
    awk -v RS= '/^Package: qemu-system-common\n/ && /\nStatus: [a-z]+ ok (installed|unpacked)/' "$status" |
        sed -n 's/^Version: //p' | head -n 1
}

# stamp_of FILE: what an emulator wants of a module, or a module has
stamp_of()
{
    grep -aoE -m 1 'qemu_stamp_[0-9a-f]{40}' "$1" | head -n 1
}

refuse_version()
{
    die "this system's QEMU is $1, these modules would be for $2" \
        "QEMU loads modules of exactly its own version only" \
        "$3"
}

check_version()
{
    local have=$1 built=$2
    if [ -z "$have" ]; then
        say "building for qemu $built; no QEMU of the distribution to compare with"
        return
    fi
    [ "$have" != "$built" ] || return 0
    case ${have#*:} in
    "$SERIES".*)
        refuse_version "$have" "$built" "make update fetches the newest source; apt-get upgrade the newest QEMU"
        ;;
    10.0.*) refuse_version "$have" "$built" "choose that series: ./configure --qemu=10.0" ;;
    10.2.*) refuse_version "$have" "$built" "choose that series: ./configure --qemu=10.2" ;;
    esac
    refuse_version "$have" "$built" \
        "the supported series are 10.0 and 10.2; to build for another machine: scripts/modules.sh --system=none"
}

check_stamps()
{
    local file=$1 want have binary n=0
    have=$(stamp_of "$file") || :
    [ -n "$have" ] || die "$file has no stamp"
    if [ "$system" = none ]; then
        return
    fi
    for binary in "$system"/usr/bin/qemu-system-*; do
        [ -f "$binary" ] && [ ! -L "$binary" ] || continue
        [ "$(head -c 4 "$binary" | tail -c 3)" = ELF ] || continue
        want=$(stamp_of "$binary") || :
        # some are built without modules
        [ -n "$want" ] || continue
        n=$((n + 1))
        [ "$want" = "$have" ] ||
            die "$binary has the stamp $want, our modules have $have" \
                "it would not load them; nothing was installed" \
                "is it the distribution's QEMU $version?  apt-get install --reinstall its package"
    done
    [ "$n" = 0 ] || say "the stamp is that of $n emulators in $system/usr/bin"
}

configure_modules()
{
    local want cc=gcc
    ! in_root sh -c 'command -v ccache' >/dev/null || cc='ccache gcc'
    if [ -n "$CROSS" ]; then
        cc=$CROSS/cc
        FEATURES+=(--cross-prefix=aarch64-linux-gnu-)
    fi
    want=$(printf '%s\n' "$version" "$IN_SRC" "$cc" "$(cat "$BUILD/enter.id")" "${FEATURES[@]}")
    if [ -e "$DIR/build.ninja" ] && [ "$(cat "$DIR/.configured" 2>/dev/null)" = "$want" ]; then
        return
    fi
    say "configuring (about 1 min, once)"
    rm -rf "$DIR"
    mkdir -p "$DIR" "$CCACHE_DIR"
    # shellcheck disable=SC2016
    if ! in_root "${CLEAN[@]}" ${CROSS:+PKG_CONFIG="$CROSS/pkg-config"} bash -c 'cd "$1" && shift && exec "$@"' configure "$IN_DIR" \
        "$IN_SRC/configure" --cc="$cc" --with-pkgversion="Debian $version" "${FEATURES[@]}" \
        >"$DIR.configure.log" 2>&1 </dev/null; then
        tail -n 25 "$DIR.configure.log" >&2
        die "QEMU's configure failed (see above and $DIR.configure.log)"
    fi
    printf '%s\n' "$want" >"$DIR/.configured"
}

run "$TOP/scripts/root.sh" ensure
run "$TOP/scripts/source.sh"
source_version()
{
    sed -n 's/^pkgversion=Debian //p' "$PRISTINE/.virtio-gpu-blob-source"
}
version=$(source_version)
[ -n "$version" ] || die "the source is not the distribution's: no system's QEMU would load its modules" \
    "./configure without --qemu-source"
installed=$(installed_version)
if [ -z "$QEMU_SOURCE" ] && [ "$installed" != "$version" ] && [[ ${installed#*:} = "$SERIES".* ]]; then
    say "this system's QEMU is $installed: looking for its source"
    # where it cannot be had, the comparison says what to do
    ! run "$TOP/scripts/source.sh" exactly "$installed" || version=$(source_version)
fi
check_version "$installed" "$version"

DIR=$SERIES_DIR/drop-in$ARCH
OUT=$SERIES_DIR/modules$ARCH
lock "$SERIES_DIR/.modules.lock" "the build of the modules"
run "$TOP/scripts/overlay.sh"
[ -z "$ARCH" ] || cross_tools
IN_DIR=$(inside "$DIR")
IN_SRC=$(inside "$QEMU_SRC")
configure_modules
say "building ${#MODULES[@]} modules"
in_root "${CLEAN[@]}" ninja --quiet -C "$IN_DIR" -j "$JOBS" "${MODULES[@]}" "$DOCTOR"
rm -rf "$OUT.tmp"
mkdir "$OUT.tmp"
in_root "${CLEAN[@]}" STRIP=$strip bash "$TOP/packaging/link-modules.sh" "$IN_SRC" "$IN_DIR" \
    "$(inside "$OUT.tmp")" "${MODULES[@]}"
check_stamps "$OUT.tmp/${MODULES[1]}"
in_root $strip -o "$(inside "$OUT.tmp")/${DOCTOR##*/}" "$IN_DIR/$DOCTOR"
printf '%s\n' "$version" >"$OUT.tmp/version"
stamp_of "$OUT.tmp/${MODULES[1]}" >"$OUT.tmp/stamp"
rm -rf "$OUT"
mv "$OUT.tmp" "$OUT"
say "built for qemu $version: $OUT"
