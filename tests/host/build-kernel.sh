#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build the kernel of a host, once for each content of patches, configuration
# and source package. Runs where the source package and a compiler are
# (scripts/in-root.sh does that).

set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)

usage()
{
    cat <<USAGE
Usage: ${0##*/} [--arch=x86|arm64] [--jobs=N] [--source=TARBALL]
                       [--page-size=SIZE] [--foreign-pages]
                       [--print-dir] [--keep-tree]

Builds a kernel with the patches that this folder has for it and prints, as the
last line of its output, the folder that holds the image (bzImage, or Image for
arm64) and config. linux-6.12 gets DMA_BUF_IOCTL_INFO; each has the test
exporter; arm64's stage2_page_tables shows the memory types.

  --arch=ARCH       default: x86
  --jobs=N          compile N files at a time (default: all processors)
  --source=TARBALL  linux-source-VERSION*.tar.xz, default:
                    /usr/src/linux-source-6.12.tar.xz
  --page-size=SIZE  arm64's: 4K (the default), 16K or 64K
  --foreign-pages   arm64's: with a fault that KVM had up to 6.12.112, and that
                    was fixed later; see its patch
  --print-dir       only say where the result is or would be
  --keep-tree       do not remove the source tree afterwards
USAGE
}

jobs=$(nproc)
arch=x86
source=/usr/src/linux-source-6.12.tar.xz
page_size=4K
foreign=
print_only=
keep=

for arg; do
    case $arg in
    --arch=x86|--arch=arm64) arch=${arg#*=} ;;
    --jobs=*) jobs=${arg#*=} ;;
    --source=*) source=${arg#*=} ;;
    --page-size=4K|--page-size=16K|--page-size=64K) page_size=${arg#*=} ;;
    --foreign-pages) foreign=y ;;
    --print-dir) print_only=y ;;
    --keep-tree) keep=y ;;
    --help|-h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
done

die()
{
    echo "build-kernel: $*" >&2
    exit 1
}

say()
{
    echo "build-kernel: $*" >&2
}

if [ "$arch" != arm64 ] && [ "$page_size$foreign" != 4K ]; then
    die "--page-size and --foreign-pages are for --arch=arm64"
fi
[ -r "$source" ] || die "no $source: install the package linux-source-6.12"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/virtio-gpu-blob
series=${source##*/linux-source-}
series=$(sed 's/^\([0-9]*\.[0-9]*\).*/\1/' <<<"$series")
compiler=gcc image=bzImage config=$HERE/kernel.config target=() work=kernel
shopt -s nullglob
patches=("$HERE/linux-$series"/*.patch "$HERE/linux-$series-test"/*.patch)
if [ "$arch" = arm64 ]; then
    compiler=aarch64-linux-gnu-gcc image=Image config=$HERE/kernel-arm64.config
    target=(ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-) work=kernel-arm64
    patches+=("$HERE"/linux-arm64-test/*.patch)
    [ -z "$foreign" ] || patches+=("$HERE"/linux-arm64-test/foreign-pages/*.patch)
elif [ ${#patches[@]} -eq 0 ]; then
    die "there are no patches for linux $series"
fi
# without the patches' mail headers and messages
hash=$({ printf '%s\n' "${patches[@]}" | LC_ALL=C sort | xargs -d '\n' sed -s '1,/^---$/d'
         cat "$config" "$HERE"/exporter/*.[ch]
         [ "$page_size" = 4K ] || echo "$page_size"
         stat -c %s "$source"
         dpkg-query -W -f '${Version}' "linux-source-$series" 2>/dev/null || true
         "$compiler" -dumpfullversion; } | sha256sum | cut -c1-16)
dir=$cache/kernel-$hash

# It comes into its place whole
if [ -n "$print_only" ] || [ -s "$dir/$image" ]; then
    echo "$dir"
    exit 0
fi

mkdir -p "$cache"
exec 9>"$cache/$work.lock"
if ! flock -n 9; then
    say "another build of the kernel is running, waiting for it"
    flock 9
fi

if [ -s "$dir/$image" ]; then
    echo "$dir"
    exit 0
fi

# What a killed run left; ours is the only one now
rm -rf "$cache/$work"-build.*
name=build
[ -z "$keep" ] || name=tree
# make and the scripts of a kernel know no paths with spaces
where=$cache
case $where in
*[[:space:]]*) where=/tmp ;;
esac
work=$(mktemp -d "$where/$work-$name.XXXXXX")
tree=$work/tree
maker=
cleanup()
{
    if [ -n "$maker" ] && kill "$maker" 2>/dev/null; then
        wait "$maker" || true
    fi
    if [ -z "$keep" ]; then
        rm -rf "$work"
    fi
}
trap cleanup EXIT

say "unpacking ${source##*/}"
mkdir -p "$tree"
tar -xJf "$source" -C "$tree" --strip-components=1 \
    --exclude='*/tools/testing/*'
cd "$tree"

for patch in "${patches[@]}"; do
    patch -p1 -s --fuzz=0 --no-backup-if-mismatch <"$patch" ||
        die "${patch##*/} does not apply to $source"
done
if [ "$arch" = x86 ]; then
    cp "$HERE"/exporter/*.[ch] drivers/dma-buf/
else
    # No patch adds it to what is configured: it is a part of each
    cp -r "$HERE/exporter" drivers/dma-buf/test
    echo 'obj-y += test/' >>drivers/dma-buf/Makefile
fi

export KBUILD_BUILD_USER=host KBUILD_BUILD_HOST=host
cc=("${target[@]}" "CC=$compiler")
if command -v ccache >/dev/null; then
    cc=("${target[@]}" "CC=ccache $compiler")
    export CCACHE_DIR=${CCACHE_DIR:-$cache/ccache}
    # The time stamp would spoil every hit.
    export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970'
fi

merge()
{
    # its name may not have a space in it
    cp "$1" "$work/merged"
    KCONFIG_CONFIG=.config scripts/kconfig/merge_config.sh -m -Q .config \
        "$work/merged" >/dev/null
}

say "configuring"
make -s "${cc[@]}" tinyconfig >/dev/null
{
    cat "$config"
    [ "$page_size" = 4K ] || echo "CONFIG_ARM64_${page_size}_PAGES=y"
} >"$work/wanted"
merge "$work/wanted"
make -s "${cc[@]}" olddefconfig >/dev/null 2>&1
missing=$(grep '^CONFIG_.*=' "$work/wanted" | sort |
          comm -23 - <(grep '^CONFIG_.*=' .config | sort) || true)
if [ -n "$missing" ]; then
    die "the configuration lost: $(echo "$missing" | tr '\n' ' ')"
fi

say "compiling with $jobs jobs (a few minutes)"
start=$SECONDS
total=2000
setpriv --pdeathsig TERM -- make "${cc[@]}" -j"$jobs" "$image" >"$work/log" 2>&1 &
maker=$!
while kill -0 "$maker" 2>/dev/null; do
    sleep 5
    if [ $(((SECONDS - start) % 20)) -lt 5 ]; then
        done_now=$(grep -c '^  \(CC\|AS\|LD\|AR\)' "$work/log" || true)
        say "  $done_now of about $total steps, $((SECONDS - start)) s"
    fi
done
if ! wait "$maker"; then
    tail -40 "$work/log" >&2
    die "compiling failed"
fi
maker=

rm -rf "$dir" "$dir.tmp"
mkdir "$dir.tmp"
cp "arch/$arch/boot/$image" "$dir.tmp/$image"
cp .config "$dir.tmp/config"

# What this kernel does not have, but a patch changes
check_msm()
{
    say "compiling drivers/gpu/drm/msm (about 30 s)"
    printf 'CONFIG_%s=y\n' COMPILE_TEST OF COMMON_CLK PM DRM_MSM >"$work/fragment"
    merge "$work/fragment"
    make -s "${cc[@]}" olddefconfig >/dev/null 2>&1
    if ! grep -q '^CONFIG_DRM_MSM=y' .config ||
       ! make "${cc[@]}" KCFLAGS=-Werror -j"$jobs" drivers/gpu/drm/msm/msm_gem.o \
            >"$work/log" 2>&1; then
        tail -40 "$work/log" >&2
        die "compiling drivers/gpu/drm/msm failed"
    fi
}
[ "$arch" != x86 ] || check_msm
mv "$dir.tmp" "$dir"
say "built in $((SECONDS - start)) s"
echo "$dir"
