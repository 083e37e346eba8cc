#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check-docs.sh: QEMU's manual builds with our pages, none of them warns, and
# each is reached from the manual's contents.  QEMU's command lines in them are
# started on the QEMU that was built, the monitor's commands are given to it,
# options and properties must exist, and a refusal is what the code prints.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$(dirname "${BASH_SOURCE[0]}")/check-commands.sh"

help_if_asked "$@"
out=$SERIES_DIR/manual
log=$SERIES_DIR/manual.log
cd "$TOP"

# holds NAME COMMAND...
holds()
{
    local what=$1
    shift
    if "$@"; then
        good "$what"
    else
        bad "$what" "see above"
    fi
}

no_warning()
{
    ! grep -F "$1" "$log" >&2
}

# The commands of a page: "PROMPT command" for each that follows "$ ", "# ",
# "guest$ " or "(qemu) " in an indented block
commands()
{
    awk '
    held == "" && !/^ +(\$|#|guest\$|\(qemu\)) / { next }
    {
        sub(/^ +/, "")
        sub(/[[:space:]]+$/, "")
        if (/\\$/) { held = held substr($0, 1, length($0) - 1); next }
        print held $0
        held = ""
    }' "$1"
}

debian_has()
{
    test -n "$(in_root find /lib/modules -name "$1.ko*")"
}

# What each is for says where it can run: here only QEMU and what is ours
check_command()
{
    local prompt=$1 command=$2
    case $prompt,$command in
    '(qemu)',*) check_monitor "$command" ;;
    'guest$',vulkaninfo*) skip "$prompt $command" "make check-host ARGS=vulkan runs it" ;;
    'guest$',*) skip "$prompt $command" "it is for a guest" ;;
    *,virtio-gpu-blob-doctor*)
        check_doctor "$command" "$BUILD/virtio-gpu-blob-doctor" ${command#virtio-gpu-blob-doctor}
        ;;
    *,qemu-system-x86_64* | *,*' qemu-system-x86_64 '*)
        check_qemu "$command" "${command/qemu-system-x86_64/build/qemu-system-x86_64}"
        ;;
    *,apparmor_parser*) skip "$prompt $command" "make check-libvirt ARGS=--apparmor runs it" ;;
    *,*'virsh '*) skip "$prompt $command" "make check-libvirt asks the same over QMP" ;;
    *,modprobe*) holds "$prompt $command: a module of Debian's kernel" debian_has "${command##* }" ;;
    *,ls* | *,cat*) skip "$prompt $command" "it is about the host's devices" ;;
    *) bad "$prompt $command" "this check does not know ${command%% *}" ;;
    esac
}

# "Options" and "Properties" are what -device help lists
check_options()
{
    local page=$1 help name
    help=$(SDL_VIDEODRIVER=offscreen "$BUILD/qemu-system-x86_64" -device virtio-gpu-gl-pci,help 2>&1) || :
    while read -r name; do
        holds "$name is an option or a property" grep -qE "^  $name=" <<<"$help"
    done < <(sed -nE 's/^``([a-z-]+)=[A-Za-z|]+``$/\1/p; s/^``(blob-[a-z-]+)`` (is|counts|shows).*/\1/p' "$page")
}

run "$TOP/scripts/root.sh" ensure
run "$TOP/scripts/root.sh" need docs
run "$TOP/scripts/source.sh"
run "$TOP/scripts/overlay.sh"
mkdir -p "$out"
say "building the manual of QEMU $SERIES (about 1 min)"
status=0
in_root sphinx-build -q -j "$JOBS" -D version="$SERIES" -D release="$SERIES" \
    -b html -d "$out/doctrees" "$(inside "$QEMU_SRC")/docs" "$(inside "$out")/html" \
    >"$log" 2>&1 </dev/null || status=$?
[ "$status" = 0 ] || tail -n 20 "$log" >&2
holds "the manual builds" test "$status" = 0

while IFS= read -r page; do
    name=${page#docs/}
    html=$out/html/${name%.rst}.html
    holds "$page has no warning" no_warning "$name"
    holds "$page became a page" test -s "$html"
    holds "$page is linked from another" \
        grep -rqF --include='*.html' --exclude="${html##*/}" "${html##*/}" "$out/html"
    while read -r prompt command; do
        check_command "$prompt" "$command"
    done < <(commands "$page")
    check_refusals "$page"
done < <(find docs -name '*.rst' | LC_ALL=C sort)

if [ -x "$BUILD/qemu-system-x86_64" ]; then
    check_options docs/system/devices/virtio-gpu-blob.rst
else
    skip "options and properties" "QEMU is not built"
fi
finish
