#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# source.sh                    make sure that QEMU's source of the chosen series is there
# source.sh update             the same, but look for a newer release first
# source.sh exactly VERSION    the same, of this version; fails when it cannot be had
#
# The source comes by package name through apt, with its signatures and
# checksums, or from --source-cache, or is a copy of --qemu-source.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

# In the tree: "id", "pkgversion" and "what", one a line
ID_FILE=.virtio-gpu-blob-source
TRIED=()
declare -A SUITES_OF=()

by_hand()
{
    printf '%s\n' "give a tree by hand:          ./configure --qemu-source=DIR" \
        "or downloaded source packages: ./configure --source-cache=DIR"
}

# newest_first: versions on stdin, Debian's order
newest_first()
{
    local v w i list=()
    while read -r v; do
        for ((i = 0; i < ${#list[@]}; i++)); do
            w=${list[i]}
            ! dpkg --compare-versions "$v" gt "$w" || break
        done
        list=("${list[@]:0:i}" "$v" "${list[@]:i}")
    done
    [ ${#list[@]} -eq 0 ] || printf '%s\n' "${list[@]}"
}

# 1:10.0.13+ds-1 -> qemu_10.0.13+ds-1.dsc
dsc_name()
{
    printf 'qemu_%s.dsc\n' "${1#*:}"
}

dsc_version()
{
    sed -n 's/^Version: //p' "$1" | head -n 1
}

# Versions of the series among the .dsc files of a folder, newest first
versions_in()
{
    local dsc version
    for dsc in "$1"/qemu_"$SERIES".*.dsc; do
        [ -e "$dsc" ] || continue
        version=$(dsc_version "$dsc")
        [ -z "$version" ] || printf '%s\n' "$version"
    done | newest_first
}

# A folder of our own for apt's lists, so that nothing on the system changes
apt_private()
{
    local suite=$1 state=$2 uri=$3
    [ -n "$uri" ] || uri=$("$TOP/scripts/root.sh" mirror)
    apt_conf "$state"
    printf 'deb-src %s%s %s main\n' "$(signed_by)" "$uri" "$suite" >"$state/sources.list"
}

# Where the series is looked for: "SUITE [URI]", one a line.  A mirror that was
# named is all that is asked; else this system's apt knows security's archive.
suites()
{
    case $SERIES in
    10.0)
        printf '%s\n' trixie trixie-updates
        # shellcheck disable=SC2016
        [ -n "$MIRROR" ] || apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
            'Created-By: Packages' 2>/dev/null |
            awk '$3 == "main" && $2 ~ /-security$/ && $1 ~ /debian/ {
                if (!n++) print "trixie-security", $1 }'
        ;;
    10.2) printf '%s\n' sid trixie-backports forky ;;
    esac
}

# ask SUITE [URI]: note in SUITES_OF which versions of the series it lists
ask()
{
    local suite=$1 uri=${2:-} state=$CACHE/apt-$1 versions version
    apt_private "$suite" "$state" "$uri"
    say "asking the archive for QEMU $SERIES in $suite"
    if ! run apt-get -c "$state/apt.conf" -q update >"$state/update.log" 2>&1 </dev/null ||
        grep -qE '^(Err|W: Failed|E:)' "$state/update.log"; then
        grep -E '^(Err|W:|E:)' "$state/update.log" | tail -n 3 >&2 || :
        TRIED+=("$suite: its index could not be read")
        return
    fi
    versions=$(apt-cache -c "$state/apt.conf" showsrc --only-source qemu 2>/dev/null |
        sed -n 's/^Version: //p' | grep -E "^([0-9]+:)?${SERIES//./\\.}\." | sort -u) || :
    [ -n "$versions" ] || TRIED+=("$suite: lists no release of QEMU $SERIES")
    for version in $versions; do
        SUITES_OF[$version]+=" $suite"
    done
}

# download SUITE VERSION: to $CACHE/sources
download()
{
    local suite=$1 version=$2 state=$CACHE/apt-$1 dir=$CACHE/sources/.tmp.$$
    rm -rf "$CACHE"/sources/.tmp.*
    mkdir -p "$dir"
    say "downloading qemu $version (about 40 MiB)"
    if run env -C "$dir" apt-get -c "$state/apt.conf" -q -y --only-source --download-only \
        source "qemu=$version" >"$state/source.log" 2>&1 </dev/null && [ -e "$dir/$(dsc_name "$version")" ]; then
        # the .dsc last: it vouches for the rest
        find "$dir" -type f ! -name '*.dsc' -exec mv -t "$CACHE/sources" -- {} +
        mv "$dir/$(dsc_name "$version")" "$CACHE/sources/"
        rm -rf "$dir"
        return
    fi
    grep -E '^(Err|W:|E:)|404' "$state/source.log" | tail -n 3 >&2 || :
    rm -rf "$dir"
    TRIED+=("$suite: lists qemu $version, but does not serve it")
    say "$suite lists qemu $version but does not serve it"
    return 1
}

# fetch [VERSION]: the newest version that any suite lists and serves, or this
# one, is in $CACHE/sources then, and its number in FOUND
fetch()
{
    local want=${1:-} places place suite version
    mapfile -t places < <(suites)
    for place in "${places[@]}"; do
        # shellcheck disable=SC2086
        ask $place
    done
    while read -r version; do
        [ -z "$want" ] || [ "$version" = "$want" ] || continue
        if [ -e "$CACHE/sources/$(dsc_name "$version")" ]; then
            say "qemu $version is the newest that is listed; it is in the cache"
            FOUND=$version
            return
        fi
        for suite in ${SUITES_OF[$version]}; do
            if download "$suite" "$version"; then
                FOUND=$version
                return
            fi
        done
    done < <([ ${#SUITES_OF[@]} = 0 ] || printf '%s\n' "${!SUITES_OF[@]}" | newest_first)
    return 1
}

fetch_newest()
{
    local version
    ! fetch || return 0
    version=$(versions_in "$CACHE/sources" | head -n 1)
    if [ -n "$version" ]; then
        say "taking qemu $version from the cache; tried" "${TRIED[@]/%/;}"
        FOUND=$version
        return 0
    fi
    printf 'error: no source of QEMU %s could be had\n' "$SERIES" >&2
    printf '       tried %s\n' "${TRIED[@]}" >&2
    by_hand | sed 's/^/       /' >&2
    exit 1
}

# What SHA256SUMS says about the files of one .dsc, when there is one
check_sums()
{
    local dir=$1 version=$2 upstream
    upstream=${version#*:}
    [ -e "$dir/SHA256SUMS" ] || return 0
    (cd "$dir" && grep -F -e "qemu_$upstream." -e "qemu_${upstream%-*}.orig" SHA256SUMS |
        sha256sum --quiet --strict -c -) >&2 ||
        die "$dir: a file of qemu $version is not what SHA256SUMS says" "download it again"
}

# unpack FOLDER VERSION: with Debian's patches applied
unpack()
{
    local dir=$1 version=$2 dsc tmp
    dsc=$dir/$(dsc_name "$version")
    check_sums "$dir" "$version"
    free_space "$TOP" 1500 "QEMU's source"
    # dpkg-source leaves things beside its target when it is killed
    tmp=$TOP/subprojects/.qemu-$SERIES.tmp
    rm -rf "$tmp"
    mkdir "$tmp"
    say "unpacking qemu $version"
    # Checks the checksums in the .dsc.  Its signer's key need not be known here:
    # apt has checked the archive's signature, --source-cache's owner vouches
    run "$TOP/scripts/in-root.sh" dpkg-source --no-copy --require-strong-checksums -q \
        -x "$dsc" "$tmp/tree" >&2 ||
        { rm -rf "$tmp"; die "qemu $version could not be unpacked (see above)" "download it again: $dir"; }
    printf 'id=%s\npkgversion=Debian %s\nwhat=qemu %s\n' "$(sha256sum <"$dsc" | cut -c1-16)" \
        "$version" "$version" >"$tmp/tree/$ID_FILE"
    rm -rf "$PRISTINE"
    mv "$tmp/tree" "$PRISTINE"
    rm -rf "$tmp"
}

# Copy the user's tree, when it is not what was copied last
copy_tree()
{
    local src=$QEMU_SOURCE version id tmp pkgversion=
    [ -r "$src/VERSION" ] || die "$src is gone" "./configure --qemu-source=DIR names another"
    version=$(head -n 1 "$src/VERSION")
    case $version in
    "$SERIES".*) ;;
    *) die "$src is QEMU $version now" "run ./configure again; 10.0 and 10.2 are supported" ;;
    esac
    id=$(cd "$src" && find . -path ./.git -prune -o -path ./build -prune -o -type f -printf '%P %s %T@\n' |
        LC_ALL=C sort | sha256sum | cut -c1-16)
    [ "$(sed -n 's/^id=//p' "$PRISTINE/$ID_FILE" 2>/dev/null)" != "$id" ] || return 0
    say "copying QEMU $version from $src"
    free_space "$TOP" 1500 "QEMU's source"
    tmp=$TOP/subprojects/.${PRISTINE##*/}.tmp
    rm -rf "$tmp"
    mkdir -p "$tmp"
    tar -C "$src" --exclude=./.git --exclude=./build -cf - . | tar -C "$tmp" --no-same-owner -xf -
    if [ -r "$src/debian/changelog" ]; then
        pkgversion=$(sed -n '1s/^qemu (\([^)]*\)).*/Debian \1/p' "$src/debian/changelog")
    fi
    printf 'id=%s\npkgversion=%s\nwhat=QEMU %s from %s\n' "$id" "$pkgversion" "$version" "$src" >"$tmp/$ID_FILE"
    rm -rf "$PRISTINE"
    mv "$tmp" "$PRISTINE"
}

mkdir -p "$TOP/subprojects"
run "$TOP/scripts/root.sh" ensure
build_folder
lock "$BUILD/.source.lock" "QEMU's source"

have=$(sed -n 's/^pkgversion=Debian //p' "$PRISTINE/$ID_FILE" 2>/dev/null) || :
if [ "${1:-}" = exactly ]; then
    [ -z "$QEMU_SOURCE" ] || die "the source is $QEMU_SOURCE" "./configure without --qemu-source"
    mkdir -p "$CACHE/sources"
    lock "$CACHE/sources/.lock" "the cache of sources"
    dir=${SOURCE_CACHE:-$CACHE/sources}
    if [ "$have" != "$2" ]; then
        if [ ! -e "$dir/$(dsc_name "$2")" ] && { [ -n "$SOURCE_CACHE" ] || ! fetch "$2"; }; then
            say "the source of qemu $2 cannot be had; that of $have stays"
            exit 1
        fi
        unpack "$dir" "$2"
    fi
elif [ -n "$QEMU_SOURCE" ]; then
    copy_tree
elif [ -n "$SOURCE_CACHE" ]; then
    FOUND=$(versions_in "$SOURCE_CACHE" | head -n 1)
    [ -n "$FOUND" ] || die "$SOURCE_CACHE holds no source package of QEMU $SERIES (qemu_$SERIES.*.dsc)" \
        "./configure without --source-cache asks the distribution"
    [ "$have" = "$FOUND" ] || unpack "$SOURCE_CACHE" "$FOUND"
elif [ -z "$have" ] || [ "${1:-}" = update ]; then
    mkdir -p "$CACHE/sources"
    lock "$CACHE/sources/.lock" "the cache of sources"
    fetch_newest
    [ "$have" = "$FOUND" ] || unpack "$CACHE/sources" "$FOUND"
fi
say "source: $(sed -n 's/^what=//p' "$PRISTINE/$ID_FILE")"
