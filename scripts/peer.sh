#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# peer.sh: a root of its own with the newest QEMU that the distribution serves,
# for make bench to compare with; prints its folder, as the last line
# peer.sh --remove: free it (1 GiB of the user's cache)
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

# Where Debian's newest is; only measured, nothing of it is built with
SUITE=sid
PACKAGES=(qemu-system-x86 qemu-system-modules-opengl qemu-system-gui
    libegl1 libgl1-mesa-dri)
# Made anew after so many days, as the suite goes on
DAYS=30
PEER=$CACHE/peer-$SUITE

# What is mounted there ends with the program that it was mounted for
make_peer()
{
    local line uri options=()
    while read -r line; do
        options+=(--aptopt="$line")
    done < <("$TOP/scripts/root.sh" settings)
    uri=$("$TOP/scripts/root.sh" mirror)
    say "a root with $SUITE's QEMU, to compare with: about 3 min, 1 GiB, once"
    rm -rf --one-file-system -- "$PEER.tmp" "$PEER"
    mkdir "$PEER.tmp"
    # its lists may be older than they say where a mirror is
    setpriv --pdeathsig KILL -- unshare --mount --propagation private --pid --mount-proc \
        --fork --kill-child=KILL -- env INITRD=No LC_ALL=C.UTF-8 mmdebstrap --mode=root \
        --format=directory "${options[@]}" --aptopt='Acquire::Check-Valid-Until "false"' \
        --variant=minbase --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --include="$(IFS=,; echo "${PACKAGES[*]}")" \
        "$SUITE" "$PEER.tmp" "deb $uri $SUITE main" >"$PEER.log" 2>&1 || {
        tail -n 3 "$PEER.log" >&2
        rm -rf --one-file-system -- "$PEER.tmp"
        return 1
    }
    mv "$PEER.tmp" "$PEER"
}

case ${1:-} in
'') ;;
-h | --help)
    header "${BASH_SOURCE[0]}"
    exit 0
    ;;
--remove)
    rm -rf --one-file-system -- "$PEER" "$PEER.tmp"
    exit
    ;;
*) die "no such option: $1" "see $0 --help" ;;
esac

[ "$(id -u)" = 0 ] || die "a root with another QEMU needs root" "sudo make bench"
command -v mmdebstrap >/dev/null || die "mmdebstrap is missing" "apt-get install mmdebstrap"
mkdir -p "$CACHE"
lock "$PEER.lock" "the root with another QEMU"
if [ ! -e "$PEER/etc/debian_version" ] || [ -n "$(find "$PEER" -maxdepth 0 -mtime "+$DAYS")" ]; then
    free_space "$CACHE" 1500 "the root with another QEMU"
    make_peer || die "it could not be made (see $PEER.log)" "check the network"
fi
printf '%s\n' "$PEER"
