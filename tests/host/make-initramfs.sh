#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make-initramfs.sh OUTPUT INIT KERNEL-VERSION|- MODULE... [-- FILE...]
# Pack busybox, INIT as /init, the modules with all they need (in /modules,
# their order in /modules.order), and the files (in /bin). The modules come
# from MODULES_ROOT, by default /; busybox is BUSYBOX, by default this system's.

set -euo pipefail

case ${1:-} in
''|-h|--help)
    sed -n '4,/^[^#]\|^$/s/^# \?//p' "$0"
    exit 0
    ;;
esac

output=$1 init=$2 version=$3
shift 3

die()
{
    echo "make-initramfs: $*" >&2
    exit 1
}

tmp=$(mktemp -d "${TMPDIR:-/tmp}/initramfs.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp"/i/{bin,dev,proc,sys,root,modules}
busybox=${BUSYBOX:-$(command -v busybox)} || die "no busybox: install busybox-static"
cp "$busybox" "$tmp/i/bin/busybox"
install -m 755 "$init" "$tmp/i/init"

: >"$tmp/modules"
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    [ "$version" = - ] || /sbin/modprobe -d "${MODULES_ROOT:-/}" -S "$version" --show-depends "$1" \
        >>"$tmp/modules" || die "kernel $version has no module $1"
    shift
done
[ $# -eq 0 ] || shift

: >"$tmp/i/modules.order"
while read -r verb file _; do
    plain=$(basename "$file")
    plain=${plain%.xz}
    if [ "$verb" != insmod ] || [ -e "$tmp/i/modules/$plain" ]; then
        continue
    fi
    case $file in
    *.xz) xz -dc "$file" >"$tmp/i/modules/$plain" ;;
    *) cp "$file" "$tmp/i/modules/$plain" ;;
    esac
    echo "$plain" >>"$tmp/i/modules.order"
done <"$tmp/modules"

for file; do
    install -m 755 "$file" "$tmp/i/bin/"
done

(cd "$tmp/i" && find . | cpio -o -H newc -R 0:0 2>/dev/null) |
    gzip -1 >"$output"
