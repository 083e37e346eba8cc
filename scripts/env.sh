# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What all scripts share; to be sourced.  Sets, all paths absolute:
#   TOP            this repository
#   BUILD          where everything is built
#   SERIES         10.0 or 10.2
#   SERIES_DIR     what is built for this series
#   PRISTINE       QEMU's source without our change
#   QEMU_SRC       QEMU's source with our files laid over it
#   VARIANT        empty, asan, tsan, gcov, fuzz, arm64 or bundle
#   OURS           ninja's folder of our QEMU (of this variant)
#   STOCK_MODULES  the folder of the virtio-gpu modules without our change
#   TOOLS          ninja's folder of our programs outside QEMU
#   CACHE          what may be shared between clones
#   JOBS           how many jobs at once
# and functions: say, die, header, run, in_root, inside, free_space, ours,
# build_folder, lock.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

say()
{
    printf '\033[1m==>\033[0m %s\n' "$*" >&2
}
[ -t 2 ] || say() { printf '==> %s\n' "$*" >&2; }

# die MESSAGE [REMEDY]...: one line each
die()
{
    printf 'error: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
    exit 1
}

# header FILE: what is said at its head, for --help
header()
{
    sed -n '4,/^[^#]\|^$/s/^# \?//p' "$1"
}

# help_if_asked ARG...: what the head of the script says, and no more
help_if_asked()
{
    local arg
    for arg in "$@"; do
        case $arg in
        -h | --help)
            header "$0"
            exit 0
            ;;
        esac
    done
}

# A child that ends when we do
run()
{
    setpriv --pdeathsig TERM -- "$@"
}

in_root()
{
    "$TOP/scripts/in-root.sh" "$@"
}

# inside PATH: a path below BUILD or subprojects as it is named in the root,
# where it has no space in it
inside()
{
    local path=$1
    if [ -e "$BUILD/.aliased" ]; then
        path=${path/#"$BUILD"/"$IN_BUILD"}
        path=${path/#"$TOP/subprojects"/"$IN_SUBPROJECTS"}
    fi
    printf '%s\n' "$path"
}

# free_space DIR MIB WHAT-FOR
free_space()
{
    local free
    free=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
    [ "${free:-0}" -ge "$2" ] ||
        die "$1 has $free MiB free, $3 needs $2 MiB" "make room there, or choose another place (--build-dir, XDG_CACHE_HOME)"
}

# Is the build folder marked as ours, that is, may it be removed?
ours()
{
    local keep
    for keep in "$TOP" "$(realpath -m -- "$HOME")"; do
        [[ $keep/ != "${BUILD%/}/"* ]] || return 1
    done
    [ -e "$BUILD/.virtio-gpu-blob" ] || [ -e "$BUILD/enter.id" ]
}

# Make the build folder, and mark it
build_folder()
{
    if ! ours; then
        [ ! -e "$BUILD" ] || [ -z "$(ls -A -- "$BUILD")" ] ||
            die "$BUILD is not empty, and not made by us" "./configure --build-dir=DIR with a new folder"
        mkdir -p "$BUILD"
    fi
    : >"$BUILD/.virtio-gpu-blob"
}

# lock FILE WHAT: held until this script ends
lock()
{
    mkdir -p "$(dirname "$1")"
    exec {LOCK_FD}>"$1"
    if ! flock -n "$LOCK_FD"; then
        say "another run holds $2; waiting for it"
        run flock "$LOCK_FD"
    fi
}

# shellcheck disable=SC2034 # used by those who source this
# Defaults, what configure wrote, and the command line's word for this run
SERIES=10.0
BUILD_DIR=$TOP/build
QEMU_SOURCE=
SOURCE_CACHE=
ROOT_MODE=auto
MIRROR=
CONFIG_SANITIZE=0
CONFIG_COVERAGE=0
CONFIG_JOBS=
CONFIG_ARCH=amd64
# shellcheck source=/dev/null
[ ! -e "$TOP/config.sh" ] || . "$TOP/config.sh"

case $TOP/ in
/usr/* | /etc/* | /boot/*)
    die "$TOP lies among the operating system's files" "clone into your home directory, /srv or /opt"
    ;;
esac

BUILD=$BUILD_DIR
: "${HOME:=$(getent passwd "$(id -u)" | cut -d: -f6)}"
export HOME
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/virtio-gpu-blob
JOBS=${JOBS:-${CONFIG_JOBS:-$(nproc)}}

VARIANT=${BLOB_VARIANT:-}
: "${SANITIZE:=$CONFIG_SANITIZE}"
case $SANITIZE in
0 | 1 | thread) ;;
*) die "SANITIZE=$SANITIZE is no choice of sanitizers" "SANITIZE is 0, 1 or thread" ;;
esac
if [ -z "$VARIANT" ]; then
    if [ "$SANITIZE" = thread ]; then
        VARIANT=tsan
    elif [ "$SANITIZE" = 1 ]; then
        VARIANT=asan
    elif [ "${COVERAGE:-$CONFIG_COVERAGE}" = 1 ]; then
        VARIANT=gcov
    elif [ "$CONFIG_ARCH" = arm64 ]; then
        VARIANT=arm64
    fi
fi
case $VARIANT in
'' | asan | tsan | gcov | fuzz | arm64 | bundle) ;;
*) die "no such variant of the build: $VARIANT" "BLOB_VARIANT is empty, asan, tsan, gcov, fuzz, arm64 or bundle" ;;
esac
export BLOB_VARIANT=$VARIANT

SERIES_DIR=$BUILD/$SERIES
QEMU_SRC=$SERIES_DIR/src
OURS=$SERIES_DIR/ours${VARIANT:+-$VARIANT}
STOCK_MODULES=$SERIES_DIR/stock
TOOLS=$SERIES_DIR/tools
[ "$VARIANT" != arm64 ] || TOOLS+=-arm64
if [ -n "$QEMU_SOURCE" ]; then
    PRISTINE=$TOP/subprojects/qemu-from-$(printf %s "$QEMU_SOURCE" | sha256sum | cut -c1-12)
else
    PRISTINE=$TOP/subprojects/qemu-$SERIES
fi
# The same folders as seen in the root, where no path has a space in it
IN=/virtio-gpu-blob
IN_BUILD=$IN/build
IN_SUBPROJECTS=$IN/subprojects

export CCACHE_DIR=${CCACHE_DIR:-$CACHE/ccache}
export TOP BUILD SERIES SERIES_DIR PRISTINE QEMU_SRC VARIANT OURS STOCK_MODULES TOOLS CACHE JOBS

# signed_by: an option for a line of apt's sources: the apt of a derivative of
# Debian does not trust Debian's keys by itself
signed_by()
{
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    (. /etc/os-release && [ "${ID:-}" = debian ]) || [ ! -e "$keyring" ] ||
        printf '[signed-by=%s] ' "$keyring"
}

# apt_conf STATE: an apt that looks at nothing but STATE/sources.list, and whose
# look-ups nothing of the system's is told of; apt-get -c STATE/apt.conf
apt_conf()
{
    local state=$1
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    cat >"$state/apt.conf" <<END
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Pre-Invoke;
Dir::Etc::SourceList "$state/sources.list";
Dir::Etc::SourceParts "-";
Dir::Etc::Preferences "-";
Dir::Etc::PreferencesParts "-";
Dir::State::Lists "$state/lists";
Dir::Cache "$state/cache";
Dir::Cache::PkgCache "";
Dir::Cache::SrcPkgCache "";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
Acquire::IndexTargets::deb-src::DEP-11::DefaultEnabled "false";
END
}
