#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build the host kernel that has DMA_BUF_IOCTL_INFO, once for each content of
# patches, configuration and source package. Runs where the source package and
# a compiler are (scripts/in-root.sh does that).

set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)

usage()
{
    cat <<USAGE
Usage: ${0##*/} [--jobs=N] [--source=TARBALL] [--print-dir] [--keep-tree]

Builds linux-6.12 with the patches of this folder and prints, as the last
line of its output, the folder that holds bzImage and config.

  --jobs=N          compile N files at a time (default: all processors)
  --source=TARBALL  default: /usr/src/linux-source-6.12.tar.xz
  --print-dir       only say where the result is or would be
  --keep-tree       do not remove the source tree afterwards
USAGE
}

jobs=$(nproc)
source=/usr/src/linux-source-6.12.tar.xz
print_only=
keep=

for arg; do
    case $arg in
    --jobs=*) jobs=${arg#*=} ;;
    --source=*) source=${arg#*=} ;;
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

[ -r "$source" ] || die "no $source: install the package linux-source-6.12"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/virtio-gpu-blob
# without the patches' mail headers and messages
hash=$({ sed -s '1,/^---$/d' "$HERE"/linux-6.12*/*.patch
         cat "$HERE"/kernel.config "$HERE"/exporter/*.[ch]
         stat -c %s "$source"
         dpkg-query -W -f '${Version}' linux-source-6.12 2>/dev/null || true
         gcc -dumpfullversion; } | sha256sum | cut -c1-16)
dir=$cache/kernel-$hash

if [ -n "$print_only" ]; then
    echo "$dir"
    exit 0
fi

mkdir -p "$cache"
exec 9>"$cache/kernel.lock"
if ! flock -n 9; then
    say "another build of the kernel is running, waiting for it"
    flock 9
fi

if [ -s "$dir/bzImage" ]; then
    echo "$dir"
    exit 0
fi

# What a killed run left; ours is the only one now
rm -rf "$cache"/kernel-build.*
name=build
[ -z "$keep" ] || name=tree
# make and the scripts of a kernel know no paths with spaces
where=$cache
case $where in
*[[:space:]]*) where=/tmp ;;
esac
work=$(mktemp -d "$where/kernel-$name.XXXXXX")
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

for patch in "$HERE"/linux-6.12/*.patch "$HERE"/linux-6.12-test/*.patch; do
    patch -p1 -s --fuzz=0 --no-backup-if-mismatch <"$patch" ||
        die "${patch##*/} does not apply to $source"
done
cp "$HERE"/exporter/*.[ch] drivers/dma-buf/

export KBUILD_BUILD_USER=host KBUILD_BUILD_HOST=host
cc=(CC=gcc)
if command -v ccache >/dev/null; then
    cc=(CC='ccache gcc')
    export CCACHE_DIR=${CCACHE_DIR:-$cache/ccache}
    # The time stamp would spoil every hit.
    export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970'
fi

say "configuring"
make -s "${cc[@]}" tinyconfig >/dev/null
cp "$HERE/kernel.config" "$work/fragment"
KCONFIG_CONFIG=.config scripts/kconfig/merge_config.sh -m -Q .config \
    "$work/fragment" >/dev/null
make -s "${cc[@]}" olddefconfig >/dev/null 2>&1
missing=$(grep '^CONFIG_.*=' "$HERE"/kernel.config | sort |
          comm -23 - <(grep '^CONFIG_.*=' .config | sort) || true)
if [ -n "$missing" ]; then
    die "the configuration lost: $(echo "$missing" | tr '\n' ' ')"
fi

say "compiling with $jobs jobs (a few minutes)"
start=$SECONDS
total=2000
setpriv --pdeathsig TERM -- make "${cc[@]}" -j"$jobs" bzImage >"$work/log" 2>&1 &
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
cp arch/x86/boot/bzImage "$dir.tmp/bzImage"
cp .config "$dir.tmp/config"

# What this kernel does not have, but a patch changes
say "compiling drivers/gpu/drm/msm (about 30 s)"
printf 'CONFIG_%s=y\n' COMPILE_TEST OF COMMON_CLK PM DRM_MSM >"$work/fragment"
KCONFIG_CONFIG=.config scripts/kconfig/merge_config.sh -m -Q .config \
    "$work/fragment" >/dev/null
make -s "${cc[@]}" olddefconfig >/dev/null 2>&1
if ! grep -q '^CONFIG_DRM_MSM=y' .config ||
   ! make "${cc[@]}" KCFLAGS=-Werror -j"$jobs" drivers/gpu/drm/msm/msm_gem.o \
        >"$work/log" 2>&1; then
    tail -40 "$work/log" >&2
    die "compiling drivers/gpu/drm/msm failed"
fi
mv "$dir.tmp" "$dir"
say "built in $((SECONDS - start)) s"
echo "$dir"
