#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# peer.sh FILE: a root of its own with the newest QEMU and virglrenderer that the
# distribution serves; FILE becomes a program that is that QEMU
# peer.sh --ours FILE: FILE is the QEMU that was built here, with that virglrenderer
# peer.sh --remove: free it (1 GiB of the user's cache)
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

# Where Debian's newest is; only measured, nothing of it is built with
SUITE=sid
PACKAGES=(qemu-system-x86 qemu-system-modules-opengl qemu-system-gui
    libegl1 libgl1-mesa-dri virgl-server mesa-vulkan-drivers)
# Made anew after so many days, as the suite goes on
DAYS=30
PEER=$CACHE/peer-$SUITE
CONTENT=$PEER/etc/virtio-gpu-blob

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
        "$SUITE" "$PEER.tmp" "deb $(signed_by)$uri $SUITE main" >"$PEER.log" 2>&1 || {
        tail -n 3 "$PEER.log" >&2
        rm -rf --one-file-system -- "$PEER.tmp"
        return 1
    }
    mv "$PEER.tmp" "$PEER"
    echo "${PACKAGES[*]}" >"$CONTENT"
}

is_made()
{
    [ "$(cat "$CONTENT" 2>/dev/null)" = "${PACKAGES[*]}" ] &&
        [ -z "$(find "$PEER" -maxdepth 0 -mtime "+$DAYS")" ]
}

# What it runs is in that root, but for what is built here; its mounts end with it
write_program()
{
    local build dir words=(qemu-system-x86_64)
    build=$(inside "$BUILD")
    [ "$ours" = 0 ] || words=(env "QEMU_MODULE_DIR=$(inside "$OURS")"
        "$(inside "$OURS")/qemu-system-x86_64" -L /usr/share/qemu -L /usr/share/seabios)
    for dir in "$build" "$TOP"; do
        mkdir -p "$PEER$dir"
    done
    cat >"$1" <<END
#!/bin/sh
exec unshare --mount --propagation private sh -c '
    for d in /proc /dev /tmp /boot /run $(printf '%q %q' "$TOP" "$build"); do
        mount --rbind "\$d" $(printf %q "$PEER")"\$d" || exit
    done
    exec chroot $(printf %q "$PEER") $(printf '%q ' "${words[@]}")"\$@"' peer "\$@"
END
    chmod +x "$1"
}

ours=0
case ${1:-} in
-h | --help)
    header "${BASH_SOURCE[0]}"
    exit 0
    ;;
--remove)
    rm -rf --one-file-system -- "$PEER" "$PEER.tmp"
    exit
    ;;
--ours)
    ours=1
    shift
    ;;
-*) die "no such option: $1" "see $0 --help" ;;
esac

[ $# = 1 ] || die "it takes the name of a file to write" "see $0 --help"
[ "$(id -u)" = 0 ] || die "a root with another QEMU needs root" "sudo make bench"
command -v mmdebstrap >/dev/null || die "mmdebstrap is missing" "apt-get install mmdebstrap"
mkdir -p "$CACHE"
lock "$PEER.lock" "the root with another QEMU"
if ! is_made; then
    free_space "$CACHE" 1500 "the root with another QEMU"
    make_peer || die "it could not be made (see $PEER.log)" "check the network"
fi
write_program "$1"
