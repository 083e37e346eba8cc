#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# get-kernel.sh [--source] SUITE: fetch the newest kernel that this suite of the
# distribution serves, with its modules and what modules are built with.
# Prints the folder, as the last line: boot/vmlinuz-VERSION,
# lib/modules/VERSION, usr/src/linux-headers-VERSION; kept in the user's cache.
# With --source it is usr/src/linux-source-VERSION.tar.xz and nothing else.
# Without a network, it is the newest one that is there.

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/env.sh"

case ${1:-} in
'' | -h | --help)
    header "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac

kind=kernel
if [ "$1" = --source ]; then
    kind=linux-source
    shift
fi
suite=$1
state=$CACHE/apt-$suite-deb
apt=(-c "$state/apt.conf")
# How many versions are tried: a mirror may know of some that it has not
TRIES=3
# Kernels that were not used for so many days are removed
DAYS=14

# A state of its own: neither this system's suites nor the root's change
write_config()
{
    local uri
    uri=$("$TOP/scripts/root.sh" mirror)
    [ -n "$uri" ] || exit 1
    apt_conf "$state"
    echo 'APT::Get::List-Cleanup "false";' >>"$state/apt.conf"
    printf 'deb %s %s main\n' "$uri" "$suite" >"$state/sources.list"
}

# Versions as uname -r tells them, the newest first; neither cloud's nor rt's.
# A source's has two numbers
versions()
{
    if [ "$kind" = linux-source ]; then
        apt-cache "${apt[@]}" pkgnames linux-source- 2>/dev/null |
            sed -n 's/^linux-source-\([0-9.]*\)$/\1/p' |
            sort -Vr | awk -v n="$TRIES" 'NR <= n'
        return
    fi
    apt-cache "${apt[@]}" pkgnames linux-headers- 2>/dev/null |
        sed -n 's/^linux-headers-\([0-9.]*\(-[0-9]*\)\?\(+deb[0-9]*\)\?-amd64\)$/\1/p' |
        sort -Vr | awk -v n="$TRIES" 'NR <= n'
}

known()
{
    [ -n "$(apt-cache "${apt[@]}" show "$1" 2>/dev/null)" ]
}

# The packages of one version: kernels of 7.x come in parts
packages()
{
    local version=$1
    if [ "$kind" = linux-source ]; then
        echo "linux-source-$version"
        return
    fi
    if known "linux-modules-$version"; then
        echo "linux-binary-$version"
        echo "linux-modules-$version"
    else
        echo "linux-image-$version"
    fi
    echo "linux-headers-$version"
    apt-cache "${apt[@]}" depends "linux-headers-$version" 2>/dev/null |
        sed -n 's/^ *Depends: \(linux-headers-.*-common\|linux-kbuild-.*\)$/\1/p'
}

# What these packages hold, by their checksums
content()
{
    packages "$1" | xargs apt-cache "${apt[@]}" show 2>/dev/null |
        grep '^SHA256: ' | sha256sum | cut -c1-16
}

# arrange DIR VERSION: one form for all
arrange()
{
    local dir=$1 version=$2
    mkdir -p "$dir/boot"
    if [ -d "$dir/usr/lib/modules" ]; then
        mkdir -p "$dir/lib"
        mv "$dir/usr/lib/modules" "$dir/lib/modules"
    fi
    if [ ! -e "$dir/boot/vmlinuz-$version" ]; then
        mv "$dir/lib/modules/$version/vmlinuz" "$dir/boot/vmlinuz-$version"
    fi
    rm -rf "${dir:?}/usr/share" "$dir/boot"/System.map-*
    in_root /sbin/depmod -b "$dir" "$version" 2>>"$log"
}

# fetch VERSION DIR
fetch()
{
    local version=$1 dir=$2 deb list
    mapfile -t list < <(packages "$version")
    say "$kind $version of $suite (once)"
    rm -rf "$dir.tmp"
    mkdir -p "$dir.tmp/debs"
    run env -C "$dir.tmp/debs" apt-get "${apt[@]}" -q download "${list[@]}" \
        >>"$log" 2>&1 || return
    for deb in "$dir.tmp/debs"/*.deb; do
        dpkg-deb -x "$deb" "$dir.tmp" || return
    done
    rm -r "$dir.tmp/debs"
    if [ "$kind" = kernel ]; then
        arrange "$dir.tmp" "$version" || return
        # Debian's makefiles include each other by absolute paths
        sed -i "s,/usr/src/linux-headers-,$dir/usr/src/linux-headers-," \
            "$dir.tmp/usr/src/linux-headers-$version/Makefile" || return
    fi
    touch "$dir.tmp/complete"
    rm -rf "$dir"
    mv "$dir.tmp" "$dir"
}

# found DIR: it is used now, and others may have had their time
found()
{
    local other
    touch "$1/complete"
    for other in "$CACHE/$kind-$suite-"*/complete; do
        if [ -n "$(find "$other" -mtime "+$DAYS" 2>/dev/null)" ]; then
            rm -rf "${other%/complete}"
        fi
    done
    printf '%s\n' "$1"
}

update()
{
    # Once a day is enough
    if [ -z "$(find "$state/updated" -mmin -1440 2>/dev/null)" ]; then
        run apt-get "${apt[@]}" -q update >>"$log" 2>&1 || return
        touch "$state/updated"
    fi
}

main()
{
    local version dir
    mkdir -p "$CACHE"
    log=$CACHE/$kind-$suite.log
    lock "$CACHE/kernel-$suite.lock" "the kernel of $suite"
    : >"$log"
    write_config
    if update; then
        for version in $(versions); do
            dir=$CACHE/$kind-$suite-$version-$(content "$version")
            if [ -e "$dir/complete" ] || fetch "$version" "$dir"; then
                found "$dir"
                return
            fi
        done
    fi
    dir=$(find "$CACHE" -maxdepth 2 -path "$CACHE/$kind-$suite-*/complete" | sort -V | tail -n 1)
    [ -n "$dir" ] || die "no kernel of $suite could be had: $(grep '^[EW]:' "$log" | tail -n 1)"
    say "$suite cannot be asked now; its $kind of last time is used"
    found "${dir%/complete}"
}

main; exit
