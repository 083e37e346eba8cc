#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# root.sh ensure     make sure there is a system to build and run on
# root.sh need SET   also install a set of packages there: scripts/packages-SET.txt
#                    or tests/SET/packages.txt
# root.sh where      print the root's path ("/" for this system)
# root.sh arm64 [SET]  make sure that there is a tree of arm64 files, to link
#                    with and to be the root of arm64 hosts; print its path. With
#                    SET it is another tree, which has scripts/packages-SET.txt too
# root.sh remove     remove the private root and those trees
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

SUITE=trixie
MARKER=etc/virtio-gpu-blob-root
# Counts what of the recipe below the list of packages does not tell
RECIPE=1

package_list()
{
    sed 's/#.*//; s/[[:space:]]//g; /^$/d' "$@"
}

root_path()
{
    local hash
    hash=$({ echo "$SUITE $RECIPE"; package_list "$TOP/scripts/packages.txt" | LC_ALL=C sort; } |
        sha256sum | cut -c1-16)
    printf '%s/root-%s\n' "$CACHE" "$hash"
}

# arm64_packages [SET]
arm64_packages()
{
    package_list "$TOP/scripts/packages-arm64-root.txt" ${1:+"$TOP/scripts/packages-$1.txt"}
}

# arm64_path [SET]
arm64_path()
{
    local hash
    hash=$({ echo "$SUITE $RECIPE"; arm64_packages "$@" | LC_ALL=C sort; } |
        sha256sum | cut -c1-16)
    printf '%s/root-arm64-%s\n' "$CACHE" "$hash"
}

missing_here()
{
    local p
    package_list "$1" | while read -r p; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || :)" = installed ] || echo "$p"
    done
}

# Debian 13 and later have what we need to link with
new_enough()
{
    local version
    version=$(. /etc/os-release && [ "${ID:-}" = debian ] && echo "${VERSION_ID:-99}") || return 1
    [ "${version%%.*}" -ge 13 ]
}

# this_system: its name, for messages
this_system()
{
    (. /etc/os-release 2>/dev/null && echo "${PRETTY_NAME:-${ID:-an unknown system}}") ||
        echo "an unknown system"
}

is_debian()
{
    (. /etc/os-release 2>/dev/null && [ "${ID:-}" = debian ])
}

# "/" or the path of the private root
where()
{
    local missing
    if [ -e "/$MARKER" ]; then
        cat "/$MARKER"
        return
    fi
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
        die "this system is $(this_system), which has no apt; Debian 12 or later is needed" \
            "use a virtual machine or a container with Debian 13"
    [ "$(dpkg --print-architecture)" = amd64 ] ||
        die "this system is $(this_system) for $(dpkg --print-architecture); only amd64 is supported" \
            "on amd64, ./configure --arch=arm64 builds for arm64"
    case $ROOT_MODE in
    private) root_path ;;
    host | auto)
        if new_enough; then
            missing=$(missing_here "$TOP/scripts/packages.txt" | tr '\n' ' ')
            if [ -z "$missing" ]; then
                echo /
                return
            fi
        fi
        if [ "$ROOT_MODE" = host ]; then
            new_enough || die "this system is too old to build on; Debian 13 or later is needed" \
                "use ./configure --root=private"
            die "packages are missing" "apt-get install --no-install-recommends $missing" \
                "or use ./configure --root=private"
        fi
        root_path
        ;;
    esac
}

# The URI of the archive that this system's apt uses
mirror()
{
    local codename uri
    if [ -n "$MIRROR" ]; then
        printf '%s\n' "$MIRROR"
        return
    fi
    is_debian || die "this system is $(this_system), and its archive does not have Debian 13" \
        "apt-get install debian-archive-keyring mmdebstrap uidmap, then name an archive of Debian:" \
        "./configure --root=private --mirror=URI"
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    uri=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v c="$codename" '
            $3 == "main" && $1 !~ /^cdrom:/ {
                if ($2 == c) { best = best ? best : $1 }
                else if ($2 ~ /^(stable|testing|unstable|sid|oldstable)$/) { other = other ? other : $1 }
            }
            END { print best ? best : other }')
    [ -n "$uri" ] || die "this system's apt names no Debian archive" \
        "name one: ./configure --mirror=URI"
    printf '%s\n' "${uri%/}"
}

# What this system's apt needs to get through to the archive
apt_settings()
{
    apt-config dump | grep -E \
        '^(Acquire::(http|https|tor|mirror)::([^ ]*::)*(Proxy|Proxy-Auto-Detect|CaInfo|CaPath|SslCert|SslKey|Verify-Peer|Verify-Host|Timeout|User-Agent|Dl-Limit|Pipeline-Depth)(::[^ ]*)?|Acquire::(Check-Valid-Until|Check-Date|Retries|ForceIPv4|ForceIPv6)) ' ||
        :
}

# The private root's owner is who made it: root, or a user's range of ids
as_owner()
{
    if [ "$(id -u)" = 0 ]; then
        run "$@"
    else
        run unshare --map-root-user --map-auto -- "$@"
    fi
}

need_mmdebstrap()
{
    if ! command -v mmdebstrap >/dev/null; then
        [ "$(id -u)" = 0 ] || die "mmdebstrap is missing" \
            "as root: apt-get install --no-install-recommends mmdebstrap uidmap"
        say "installing mmdebstrap (apt-get)"
        run env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends mmdebstrap ||
            { run apt-get -qq update &&
                run env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends mmdebstrap; } ||
            die "apt-get cannot install mmdebstrap" "check the network and /etc/apt, or install it by hand"
    fi
    [ "$(id -u)" = 0 ] && return
    unshare --map-root-user true 2>/dev/null || die "not root, and unprivileged user name spaces are not allowed here" \
        "run as root, or as root: sysctl kernel.unprivileged_userns_clone=1"
    command -v newuidmap >/dev/null && grep -q "^$(id -un):" /etc/subuid 2>/dev/null ||
        die "not root, and this user has no range of subordinate ids" \
            "as root: apt-get install uidmap; usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)"
}

# unpacked FOLDER: MiB of what mmdebstrap has made.  For a user it works in a
# folder of its own in TMPDIR, which only the owner of its files can look into,
# and writes to FOLDER at the end.
unpacked()
{
    local folders=("$1")
    # by the time of the change of state: packages set the other one
    [ "$(id -u)" = 0 ] || mapfile -t -O 1 folders < <(find "${TMPDIR:-/tmp}" -mindepth 1 -maxdepth 1 \
        -name 'mmdebstrap.*' -cnewer "$1.start" 2>/dev/null)
    as_owner du -scm --one-file-system -- "${folders[@]}" 2>/dev/null | awk 'END { print $1 }'
}

# A sign of life every ten seconds while a folder grows
watch_growth()
{
    local start=$SECONDS
    while run sleep 10 && [ -d "/proc/$$" ]; do
        say "$2: $((SECONDS - start)) s, $(unpacked "$1") MiB"
    done
}

# remove_dirs DIR...: remove what a run that was cut short left
remove_dirs()
{
    local d
    for d in "$@"; do
        [ ! -e "$d" ] || as_owner rm -rf --one-file-system -- "$d"
    done
}

# make_root PATH PACKAGES WHAT SIZE OPTION...: a Debian of these packages
make_root()
{
    local root=$1 packages=$2 what=$3 size=$4 tmp uri cage args line watcher out tar status=0
    shift 4
    # before anything is installed
    uri=$(mirror) || exit 1
    need_mmdebstrap
    mkdir -p "$CACHE"
    lock "$root.lock" "$what"
    [ ! -e "$root/$MARKER" ] || return 0
    remove_dirs "$root".tmp.* "$root"
    free_space "$CACHE" 4000 "$what"
    [ "$(id -u)" = 0 ] || free_space "${TMPDIR:-/tmp}" 2000 "$what"
    tmp=$root.tmp.$$
    # mmdebstrap does not end when told to, and mounts: in name spaces of its own
    # all of that ends with us.  For a user it makes them itself.
    if [ "$(id -u)" = 0 ]; then
        args=(--mode=root --format=directory)
        cage=(setpriv --pdeathsig KILL -- unshare --mount --propagation private
            --pid --mount-proc --fork --kill-child=KILL --)
    else
        args=(--mode=unshare --format=tar)
        cage=(setpriv --pdeathsig TERM --)
    fi
    while read -r line; do
        args+=(--aptopt="$line")
    done < <(apt_settings)
    say "making $what: about 1 min, $size, once"
    : >"$tmp.start"
    mkdir "$tmp"
    watch_growth "$tmp" "$what" &
    watcher=$!
    args+=("$@"
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*'
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright'
        --include="$(paste -sd, <<<"$packages")")
    if [ "$(id -u)" = 0 ]; then
        "${cage[@]}" env INITRD=No LC_ALL=C.UTF-8 mmdebstrap "${args[@]}" \
            "$SUITE" "$tmp" "deb $(signed_by)$uri $SUITE main" >&2 || status=$?
    else
        # its files are to be this user's, who is root in the name space
        exec {out}> >(as_owner tar -C "$tmp" --exclude='./dev/*' -xf -)
        tar=$!
        "${cage[@]}" env INITRD=No LC_ALL=C.UTF-8 mmdebstrap "${args[@]}" \
            "$SUITE" - "deb $(signed_by)$uri $SUITE main" >&"$out" || status=$?
        exec {out}>&-
        wait "$tar" || status=$?
    fi
    kill "$watcher" 2>/dev/null || :
    wait "$watcher" 2>/dev/null || :
    rm -f "$tmp.start"
    if [ "$status" = 0 ]; then
        as_owner mkdir -p "$tmp/var/lib/virtio-gpu-blob"
        printf '%s\n' "$root" | as_owner tee "$tmp/$MARKER" >/dev/null
    else
        remove_dirs "$tmp"
        die "$what could not be made (see above)" \
            "check the network and this system's /etc/apt, then run make again"
    fi
    mv "$tmp" "$root"
}

# need SET
need()
{
    local set=$1 list root packages stamp
    for list in "$TOP/scripts/packages-$set.txt" "$TOP/tests/$set/packages.txt" ''; do
        [ ! -e "$list" ] || break
    done
    [ -n "$list" ] || die "there is no list of packages called $set"
    root=$(where)
    if [ "$root" = / ]; then
        packages=$(missing_here "$list" | tr '\n' ' ')
        [ -z "$packages" ] || die "packages are missing" "apt-get install --no-install-recommends $packages"
        return
    fi
    packages=$(package_list "$list")
    stamp=var/lib/virtio-gpu-blob/$set.$(printf %s "$packages" | sha256sum | cut -c1-16)
    if [ -e "/$MARKER" ]; then
        [ -e "/$stamp" ] || die "the package set $set is not installed" "outside the root, run scripts/root.sh need $set"
        return
    fi
    ensure
    [ ! -e "$root/$stamp" ] || return 0
    lock "$root.lock" "the private root"
    [ ! -e "$root/$stamp" ] || return 0
    say "installing the package set $set into the private root"
    # Not through enter: what packages write belongs into the root
    # shellcheck disable=SC2016
    { apt_settings | as_owner tee "$root/etc/apt/apt.conf.d/90virtio-gpu-blob" >/dev/null; } &&
        as_owner unshare --mount --propagation private -- bash -c '
            set -e
            root=$1 stamp=$2
            shift 2
            mount --rbind /proc "$root/proc"
            mount --rbind /sys "$root/sys"
            mount --rbind /dev "$root/dev"
            mount -t tmpfs none "$root/run"
            [ ! -f "$root/etc/resolv.conf" ] || mount --bind "$(realpath /etc/resolv.conf)" "$root/etc/resolv.conf"
            printf "#!/bin/sh\nexit 101\n" > "$root/usr/sbin/policy-rc.d"
            chmod +x "$root/usr/sbin/policy-rc.d"
            export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 INITRD=No
            export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
            unset TMPDIR LD_PRELOAD
            chroot "$root" dpkg --configure -a
            chroot "$root" apt-get -q update
            chroot "$root" apt-get -q -y -f install
            chroot "$root" apt-get -q -y --no-install-recommends install "$@"
            chroot "$root" apt-get clean
            rm -f "$root/usr/sbin/policy-rc.d"
            mkdir -p "$root/var/lib/virtio-gpu-blob"
            : > "$root/$stamp"' need "$root" "$stamp" $packages >&2 ||
        die "the package set $set could not be installed (see above)" "check the network, then run it again"
}

# Compile the program that enters the root, and tell it what to do
make_enter()
{
    local root=$1 id out
    build_folder
    mkdir -p "$BUILD/.mnt" "$TOP/subprojects"
    id=$({ echo "$root"; cat "$TOP/scripts/enter.c"; } | sha256sum | cut -c1-16)
    if [ ! -x "$BUILD/enter" ] || [ "$(cat "$BUILD/enter.id" 2>/dev/null)" != "$id" ]; then
        if [ "$root" = / ] || [ -e "/$MARKER" ]; then
            gcc -O2 -Wall -static -o "$BUILD/enter.$$" "$TOP/scripts/enter.c"
        else
            out=tmp/enter.$$
            as_owner env -u TMPDIR PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" \
                gcc -O2 -Wall -static -o "/$out" -x c - <"$TOP/scripts/enter.c"
            cp "$root/$out" "$BUILD/enter.$$"
            as_owner rm -f "$root/$out"
        fi
        mv -f "$BUILD/enter.$$" "$BUILD/enter"
        echo "$id" >"$BUILD/enter.id"
    fi
    {
        enter_conf "$root"
        echo "env=LC_ALL=C.UTF-8"
        echo "path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        echo "pdeathsig=1"
    } >"$BUILD/enter.conf.$$"
    mv -f "$BUILD/enter.conf.$$" "$BUILD/enter.conf"
}

# The lines about the root of enter's configuration, launchers' too
enter_conf()
{
    if [ "$1" = / ]; then
        # QEMU does not build where a path has a space or a colon in it
        case $BUILD$TOP in
        *[[:space:]:]*) printf 'root=/\nmnt=%s\n' "$BUILD/.mnt" ;;
        *) return ;;
        esac
    else
        printf 'root=%s\nmnt=%s\n' "$1" "$1/mnt"
    fi
    printf 'bind=%s=%s\n' "$BUILD" "$IN_BUILD" "$TOP/subprojects" "$IN_SUBPROJECTS"
}

ensure()
{
    local root
    root=$(where)
    [ "$root" = / ] || [ -e "$root/$MARKER" ] || [ -e "/$MARKER" ] ||
        make_root "$root" "$(package_list "$TOP/scripts/packages.txt")" "the private Debian 13 root" "1.6 GiB" --variant=minbase
    make_enter "$root"
}

# Its packages are unpacked and not configured: nothing of it runs here
arm64()
{
    local root what="the tree of arm64 files" size="0.5 GiB"
    root=$(arm64_path "$@")
    if [ $# -gt 0 ]; then
        what+=" ($1)" size="0.8 GiB"
    fi
    [ -e "$root/$MARKER" ] ||
        make_root "$root" "$(arm64_packages "$@")" "$what" "$size" \
            --variant=extract --architectures=arm64
    printf '%s\n' "$root"
}

case ${1:-} in
ensure) ensure ;;
arm64) arm64 "${@:2}" ;;
need) need "${2:?which set of packages?}" ;;
where) where ;;
conf) enter_conf "$(where)" ;;
mirror) mirror ;;
settings) apt_settings ;;
remove)
    root=$(root_path)
    lock "$root.lock" "the private root"
    remove_dirs "$root".tmp.* "$root"
    rm -f "$root.lock"
    for root in "$(arm64_path)" "$(arm64_path arm64-guest)"; do
        remove_dirs "$root".tmp.* "$root"
        rm -f "$root.lock"
    done
    ;;
*)
    header "${BASH_SOURCE[0]}"
    exit 1
    ;;
esac
