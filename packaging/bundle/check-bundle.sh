#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check-bundle.sh [--archive=FILE]: make the archive, or take that one, and run
# it as an ordinary user in systems that are not this one: Debian 13, testing and
# unstable with their Mesa, one with a display, one without OpenGL, one without
# Vulkan, from a folder that cannot be written, and in Debian 12, which is too old.
# The last line is "N passed, N failed".  Needs root; makes six small systems in
# the user's cache, once (2.5 GiB).
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/env.sh"
help_if_asked "$@"
archive=
for arg; do
    case $arg in
    --archive=?*) archive=$(realpath -- "${arg#*=}") ;;
    *) die "no such option: $arg" "see $0 --help" ;;
    esac
done
[ "$(id -u)" = 0 ] || die "the systems to try the archive in need root" "sudo make check-bundle"

MESA=libegl1,libgbm1,libgl1-mesa-dri,libvulkan1,mesa-vulkan-drivers
# Names that are nowhere else, a short one and a long one: reports must not have
# them
TESTER=q7
MACHINE=bundlehost
TESTER_ID=54321
LIMIT=600
passed=0 failed=0 skipped=0

good()
{
    passed=$((passed + 1))
}

# bad WHAT
bad()
{
    failed=$((failed + 1))
    echo "FAILED - $name: $1"
}

# expect WHAT COMMAND...
expect()
{
    local what=$1
    shift
    if "$@" >/dev/null 2>&1; then
        good
    else
        bad "$what"
    fi
}

# is WHAT GOT WANT
is()
{
    if [ "$2" = "$3" ]; then
        good
    else
        bad "$1: $2, not $3"
    fi
}

# make_system NAME SUITE PACKAGES: sets system; fails where it cannot be had
make_system()
{
    local suite=$2 packages=$3 line options=()
    system=$CACHE/bundle-root-$1-$(printf '%s\n' "$suite" "$packages" | sha256sum | cut -c1-16)
    lock "$system.lock" "the system $1"
    [ ! -e "$system/etc/debian_version" ] || return 0
    command -v mmdebstrap >/dev/null || die "mmdebstrap is missing" "apt-get install mmdebstrap"
    free_space "$CACHE" 2000 "the system $1"
    while read -r line; do
        options+=(--aptopt="$line")
    done < <("$TOP/scripts/root.sh" settings)
    [ -z "$packages" ] || options+=("--include=$packages")
    say "making the system $1: about 1 min, once"
    rm -rf --one-file-system -- "$system.tmp"
    mkdir -p "$system.tmp"
    setpriv --pdeathsig KILL -- unshare --mount --propagation private --pid --mount-proc \
        --fork --kill-child=KILL -- env LC_ALL=C.UTF-8 mmdebstrap --quiet --mode=root \
        --format=directory --variant=minbase "${options[@]}" \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$suite" "$system.tmp" "deb $("$TOP/scripts/root.sh" mirror) $suite main" >&2 || return 1
    mv "$system.tmp" "$system"
}

# in_system SYSTEM FOLDER BEFORE COMMAND...: as the tester in a copy of the
# system that is gone with the name space; BEFORE is run by root, in its root.
# FOLDER gets the files that were written there outside of the tester's home
in_system()
{
    # shellcheck disable=SC2016
    run unshare --mount --propagation private --uts --pid --mount-proc --fork --kill-child=KILL -- bash -c '
        set -e
        system=$1 dir=$2 before=$3 archive=$4 id=$5 user=$6
        echo "$7" >/proc/sys/kernel/hostname
        shift 7
        mnt=$dir/mnt
        mkdir "$mnt"
        mount -t tmpfs -o size=2g tmpfs "$mnt"
        cd "$mnt"
        mkdir lower upper work root
        mount --bind "$system" lower
        mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root
        echo "$user:x:$id:$id::/home/$user:/bin/sh" >>root/etc/passwd
        install -d -o $id -g $id "root/home/$user"
        mount -t tmpfs -o mode=1777 tmpfs root/tmp
        mount -t proc proc root/proc
        mount -o rbind /sys root/sys
        mount -o rbind /dev root/dev
        as=(setpriv --reuid=$id --regid=$id --clear-groups --no-new-privs)
        (cd "root/home/$user" && "${as[@]}" tar -xf "$archive" && mv virtio-gpu-blob-trial-* trial)
        (cd root && eval "$before")
        touch marker
        status=0
        chroot --userspec=$id:$id root env -i PATH=/usr/bin:/bin HOME="/home/$user" USER="$user" \
            LC_ALL=C.UTF-8 "$@" >"$dir/output" 2>&1 </dev/null || status=$?
        for where in "root/home/$user/trial/report" root/tmp/virtio-gpu-blob-report.*; do
            [ ! -e "$where/report.json" ] || cp "$where"/report.* "$dir/"
        done
        {
            find upper -newer marker ! -type d ! -path "upper/home/$user/trial/report/*"
            find root/tmp -mindepth 1 ! -path "root/tmp/virtio-gpu-blob-report.*"
        } >"$dir/written"
        exit $status' in_system "$1" "$2" "$3" "$archive" "$TESTER_ID" "$TESTER" "$MACHINE" "${@:4}"
}

# try NAME BEFORE COMMAND...: sets dir and status
try()
{
    name=$1
    dir=$work/$name
    mkdir -p "$dir"
    say "$name"
    status=0
    in_system "$system" "$dir" "${@:2}" || status=$?
}

# fact NAME: of the report
fact()
{
    sed -n "s/^    \"$1\": \"\(.*\)\",\?\$/\1/p" "$dir/report.json" | head -n 1
}

# version_of PACKAGE: in that system
version_of()
{
    dpkg-query --admindir="$system/var/lib/dpkg" -W -f '${Version}' "$1" 2>/dev/null
}

# What is true of each report
check_report()
{
    if [ ! -s "$dir/report.json" ] || [ ! -s "$dir/report.txt" ]; then
        bad "there is no report: $(tail -n 1 "$dir/output")"
        return 1
    fi
    expect "the report is JSON" in_root python3 -m json.tool "$(inside "$dir")/report.json"
    is "the system's name in the report" "$(fact os)" "$(. "$system/etc/os-release" && echo "$PRETTY_NAME")"
    is "its glibc" "$(fact libc)" "$(version_of libc6 | sed 's/-.*//')"
    expect "the report names no user, no machine and no folder" \
        sh -c '! grep -E "$1|$2|/home/[^U]|/tmp/[^.]" "$3/report.json" "$3/report.txt"' sh "$TESTER" "$MACHINE" "$dir"
    is "files written outside of its folder" "$(tr '\n' ' ' <"$dir/written")" ""
    expect "it says where to send the report" grep -q 'issue tracker' "$dir/output"
}

# The manual says what becomes a row of its setups: the report has that
check_row()
{
    local word page=$TOP/docs/system/devices/virtio-gpu-blob-setups.rst
    # shellcheck disable=SC2016 # a page's own marks
    for word in $(sed -n '/^Adding a row/,/^Without/p' "$page" | grep -o '``[a-z-]*``' | tr -d '`'); do
        expect "the report has what the manual names: $word" grep -q "\"$word\"" "$dir/report.json"
    done
}

# The renderer's names are those of this system's Mesa
check_mesa()
{
    local gallium llvm
    gallium=$(sed -n 's/^ *"\(libgallium-.*\.so\)",\?$/\1/p' "$dir/report.json")
    is "the OpenGL that drew" "$gallium" "libgallium-$(version_of libgl1-mesa-dri).so"
    llvm=$(fact guest-renderer | sed -n 's/.*(LLVM \([0-9]*\).*/\1/p')
    expect "its LLVM ($llvm) is this system's" test -e "$(echo "$system"/usr/lib/x86_64-linux-gnu/libLLVM.so."$llvm"*)"
    is "libraries that were missing" "$(fact missing-libraries | tr ' ' '\n' | grep -E '^lib(EGL|gbm|drm|vulkan|stdc|xcb|expat|zstd)' | tr '\n' ' ')" ""
}

# with_mesa NAME SUITE
with_mesa()
{
    name=$1
    if ! make_system "$1" "$2" "$MESA"; then
        skipped=$((skipped + 1))
        echo "skipped - $1: the archive does not serve it whole"
        return 1
    fi
    try "$1" : "/home/$TESTER/trial/trial" --tcg --time=$LIMIT
    check_report || return 0
    is "exit status" $status 0
    expect "the verdict" grep -q '^Verdict: it works here\. ' "$dir/output"
    is "Vulkan's device" "$(fact vulkan-device)" "Virtio-GPU Venus ($(fact guest-renderer | sed 's/^LLVM/llvm/; s/^llvmPIPE/llvmpipe/'))"
    check_mesa
}

if [ -z "$archive" ]; then
    run "$TOP/packaging/bundle/make-bundle.sh"
    archive=$(cat "$SERIES_DIR/bundle.name")
fi
[ -e "$archive" ] || die "there is no $archive"
work=$SERIES_DIR/check-bundle.d
rm -rf --one-file-system "$work"
mkdir -p "$work"

with_mesa trixie trixie && {
    check_row

    try without-vulkan 'rm -f usr/lib/x86_64-linux-gnu/libvulkan* usr/share/vulkan/icd.d/*' \
        "/home/$TESTER/trial/trial" --tcg --time=$LIMIT
    if check_report; then
        is "exit status" $status 1
        expect "the verdict" grep -q '^Verdict: it works here, with limits' "$dir/output"
        expect "one line on Vulkan" test "$(grep -c '^! .*driver for Vulkan' "$dir/output")" = 1
        expect "the loader is ours" grep -q '"missing-libraries": ".*libvulkan.so.1' "$dir/report.json"
    fi

    try read-only "mount --bind home/$TESTER/trial home/$TESTER/trial && mount -o remount,bind,ro home/$TESTER/trial" \
        "/home/$TESTER/trial/trial" --tcg --time=$LIMIT
    if check_report; then
        is "exit status" $status 0
    fi

    try emulator : sh -c "cd /home/$TESTER/trial/bin && ./qemu-system-x86_64 --version &&
        ./qemu-system-x86_64 -display help && ./qemu-system-x86_64 -netdev help &&
        ./qemu-system-x86_64 -machine none -device help"
    is "exit status" $status 0
    for word in egl-headless sdl user usb-host usb-tablet virtio-vga-gl virtio-net-pci; do
        expect "the emulator has $word" grep -qw -- "$word" "$dir/output"
    done
    expect "it speaks VNC" grep -qw vnc <(strings -a "$work/../ours-bundle/qemu-system-x86_64")

    try usage : "/home/$TESTER/trial/trial" --nonsense
    is "exit status" $status 3
    is "lines" "$(wc -l <"$dir/output")" 1

    try old-kernel : setarch x86_64 --uname-2.6 "/home/$TESTER/trial/trial"
    is "exit status" $status 3
    is "lines" "$(wc -l <"$dir/output")" 1
    expect "it is told what is too old" grep -q 'needs Linux 6.1 .* has 2.6' "$dir/output"

    try stock : "/home/$TESTER/trial/trial" --stock --tcg --time=$LIMIT
    if check_report; then
        expect "the device is stock's" grep -q '"reason": "stock"' "$dir/report.json"
    fi
}
with_mesa testing testing || :
with_mesa unstable unstable || :

if make_system display trixie "$MESA,xvfb"; then
    # the colours of the line in the middle of the screen meanwhile
    # shellcheck disable=SC2016
    try window : sh -c '
        Xvfb :7 -screen 0 1600x1200x24 -fbdir /tmp &
        server=$!
        sleep 3
        : >/tmp/colours
        (
            until grep -q "a picture" /tmp/output; do sleep 1; done
            until grep -q c0c000 /tmp/colours || grep -q "frames=\|^Verdict" /tmp/output; do
                sleep 0.5
                tail -c 7680000 /tmp/Xvfb_screen0 | tail -c +3840001 | head -c 6400 |
                    od -An -v -tx4 -w4 | sort | uniq -c | sort -rn >/tmp/colours
            done
        ) &
        status=0
        DISPLAY=:7 "$@" >/tmp/output || status=$?
        wait $!
        kill $server
        wait
        cat /tmp/output /tmp/colours
        rm -rf /tmp/output /tmp/colours /tmp/Xvfb_screen0 /tmp/.X*
        exit $status' sh "/home/$TESTER/trial/trial" --tcg --time=$LIMIT
    if check_report; then
        is "exit status" $status 0
        expect "the guest's picture was in a window" grep -q '"display": "window".* "outcome": "complete"' "$dir/report.json"
        # not counted: on a server without a window manager SDL's window stays
        # black now and then, with the device without our change, too
        grep -Eq '^ *[0-9]{3} +..c0c000$' "$dir/output" ||
            echo "note - window: the screen stayed black"
        check_mesa
    fi
    try no-window : env DISPLAY=:8 "/home/$TESTER/trial/trial" --tcg --time=$LIMIT
    if check_report; then
        is "exit status" $status 1
        expect "one line on the window" test "$(grep -c '^! no window' "$dir/output")" = 1
        expect "it went on without" grep -q '"display": "offscreen".* "outcome": "complete"' "$dir/report.json"
    fi
else
    skipped=$((skipped + 1))
    echo "skipped - window: there is no system with a display (see above)"
fi

make_system bare trixie '' || die "there is no system without OpenGL (see above)"
try without-gl : "/home/$TESTER/trial/trial" --tcg --time=$LIMIT
if check_report; then
    is "exit status" $status 2
    expect "one line on OpenGL" test "$(grep -c '^! there is no OpenGL' "$dir/output")" = 1
    expect "the rest went on" grep -q 'frames=' "$dir/output"
    expect "the verdict" grep -q '^Verdict: .*could not be tried' "$dir/output"
fi

make_system old bookworm '' || die "there is no Debian 12 (see above)"
try old : "/home/$TESTER/trial/trial"
is "exit status" $status 3
is "lines" "$(wc -l <"$dir/output")" 1
expect "it is told what is too old" grep -q 'needs glibc 2.38 .* has 2.36' "$dir/output"

line="$passed passed, $failed failed"
[ "$skipped" = 0 ] || line+=", $skipped skipped"
echo "$line"
[ "$failed" = 0 ]
