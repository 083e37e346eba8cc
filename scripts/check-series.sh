#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check-series.sh [SERIES]...   apply the patch series to QEMU as it was
#                               released, build each step and run its tests
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

MODULES=(hw-display-virtio-gpu.so hw-display-virtio-gpu-gl.so
    hw-display-virtio-gpu-pci.so hw-display-virtio-gpu-pci-gl.so
    hw-display-virtio-vga.so hw-display-virtio-vga-gl.so)
FEATURES=(--target-list=x86_64-softmmu --without-default-features --enable-system
    --enable-tcg --enable-kvm --enable-modules --enable-opengl --enable-virglrenderer
    --enable-pixman --enable-sdl --enable-vhost-user --enable-vhost-kernel --enable-fdt
    --disable-install-blobs --disable-download --disable-docs --enable-werror)
CLEAN=(env -u CFLAGS -u CXXFLAGS -u LDFLAGS -u CPPFLAGS -u CC -u CXX -u PYTHONPATH
    -u PYTHONHOME -u PKG_CONFIG_PATH -u MAKEFLAGS -u MAKELEVEL -u NINJA -u DESTDIR
    -u LD_PRELOAD -u GIT_DIR -u GIT_WORK_TREE -u GIT_INDEX_FILE PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
GIT=("${CLEAN[@]}" GIT_CONFIG_GLOBAL=/dev/null
    GIT_CONFIG_NOSYSTEM=1 git -c user.name=check -c user.email=check@localhost
    -c core.excludesFile= -c safe.directory='*')

passed=0 failed=0

# check NAME COMMAND...
check()
{
    local name=$1
    shift
    if "$@" >"$work/out" 2>&1 </dev/null; then
        echo "ok    $name"
        passed=$((passed + 1))
    else
        echo "FAIL  $name"
        tail -n 25 "$work/out" | sed 's/^/      /'
        failed=$((failed + 1))
        return 1
    fi
}

git_in()
{
    in_root "${GIT[@]}" -C "$in_src" "$@"
}

# QEMU as it was released, where only what the series touches is followed
pristine_tree()
{
    say "copying QEMU's source"
    rm -rf "$src"
    mkdir -p "$work"
    run cp -a --reflink=auto -- "$PRISTINE" "$src"
    rm -rf "$src/.git" "$src/.pc"
    git_in init -q
    (cd "$src" && while IFS= read -r f; do
        [ ! -e "$f" ] || printf '%s\0' "$f"
    done <"$patches/files") >"$work/known"
    git_in add -f --pathspec-from-file="$in_work/known" --pathspec-file-nul
    git_in commit -q -m QEMU
}

configure_tree()
{
    local cc=gcc
    ! in_root sh -c 'command -v ccache' >/dev/null || cc='ccache gcc'
    mkdir -p "$dir" "$CCACHE_DIR"
    # shellcheck disable=SC2016
    # the emulator that make builds takes modules of its own version only
    in_root "${CLEAN[@]}" bash -c 'cd "$1" && shift && exec "$@"' configure "$in_dir" \
        "$in_src/configure" --cc="$cc" "${FEATURES[@]}" \
        --with-pkgversion="$(sed -n 's/^pkgversion=//p' "$PRISTINE/.virtio-gpu-blob-source")"
}

# The targets of ninja that this step has
targets()
{
    local test
    printf '%s\n' "${MODULES[@]}"
    [ ! -d "$src/contrib/virtio-gpu-blob-doctor" ] ||
        echo contrib/virtio-gpu-blob-doctor/virtio-gpu-blob-doctor
    for test in "$src"/tests/unit/test-virtio-gpu-blob-*.c; do
        [ ! -e "$test" ] || printf 'tests/unit/%s\n' "$(basename "$test" .c)"
    done
    for test in "$src"/tests/qtest/virtio-gpu-gl-*-test.c "$src"/tests/qtest/virtio-gpu-gl-bench.c; do
        [ ! -e "$test" ] || printf 'tests/qtest/%s\n' "$(basename "$test" .c)"
    done
    [ ! -d "$src/tests/qtest/renderer" ] ||
        printf 'tests/qtest/renderer/lib%s.so\n' scripted-renderer scripted-watcher
}

# The programs and the libraries of the qtests were among what was built
qtests_built()
{
    local test
    for test in "$TOP"/tests/qtest/virtio-gpu-gl-*-test.c; do
        test -x "$dir/tests/qtest/$(basename "$test" .c)" || return 1
    done
    test -e "$dir/tests/qtest/renderer/libscripted-renderer.so"
}

build_step()
{
    local list
    mapfile -t list < <(targets)
    in_root "${CLEAN[@]}" ninja -C "$in_dir" -j "$JOBS" "${list[@]}"
}

unit_tests()
{
    local test
    for test in $(targets | grep ^tests/unit/); do
        in_root "${CLEAN[@]}" "$in_dir/$test" --tap || return 1
    done
}

# checkpatch, but for what the committer adds or knows better
style()
{
    local p=$1 log=$work/style
    in_root "${CLEAN[@]}" bash -c 'cd "$1" && perl scripts/checkpatch.pl --no-signoff --terse --no-summary "$2"' \
        style "$in_src" "$p" >"$log" 2>&1 || :
    sed 's/^.*\/\([^/]*\.patch\)/\1/' "$log" | grep -v 'added, moved or deleted file(s)' |
        grep -E '(ERROR|WARNING)' && return 1
    return 0
}

same_tree()
{
    local f
    while IFS= read -r f; do
        cmp "$src/$f" "$QEMU_SRC/$f" || return 1
    done <"$patches/files"
    # and nothing else was touched
    git_in diff --quiet HEAD || return 1
    in_root "${GIT[@]}" -C "$in_src" ls-files | LC_ALL=C sort >"$work/followed"
    LC_ALL=C sort "$patches/files" | cmp - "$work/followed"
}

# Whatever of the overlay the series leaves out runs our tests, and is not QEMU's
nothing_left_out()
{
    local rest
    LC_ALL=C sort "$patches/files" >"$work/files"
    rest=$(LC_ALL=C comm -23 "$SERIES_DIR/overlay.list" "$work/files" |
        grep -vE '^tests/.*\.(sh|py)$|^tests/unit/mutants') || :
    printf '%s\n' "$rest"
    [ -z "$rest" ]
}

check_one()
{
    local patches=$1 p name ready=0
    work=$SERIES_DIR/check-series
    src=$work/src
    dir=$work/build
    lock "$SERIES_DIR/.check-series.lock" "the check of the series"
    rm -rf "$work"
    mkdir -p "$work"
    in_work=$(alias_of "$work") in_src=$(alias_of "$src") in_dir=$(alias_of "$dir")
    check "all of the overlay is in the series" nothing_left_out || :
    pristine_tree
    say "configuring (about 1 min)"
    check "QEMU is configured" configure_tree || ready=1
    for p in "$patches"/0*.patch; do
        name=${p##*/}
        name=${name%.patch}
        [ "${name%%-*}" != 0000 ] || continue
        [ "$ready" = 0 ] || break
        check "$name applies" git_in am -q --keep-cr "$p" || break
        check "$name is in QEMU's style" style "$p" || :
        check "$name builds" build_step || :
        [ -z "$(targets | grep ^tests/unit/)" ] || check "$name passes the unit tests" unit_tests || :
    done
    check "the qtests are built" qtests_built || :
    check "the tree is the overlaid one, byte for byte" same_tree || :
}

# A path without a space in it, as the build has it
alias_of()
{
    local path=$1
    if [ -n "$("$TOP/scripts/root.sh" conf)" ]; then
        path=${path/#"$BUILD"/"$IN_BUILD"}
    fi
    printf '%s\n' "$path"
}

# The last step's qtests: its modules, test programs and scripted renderer, as
# they were built from the series. The emulator around them, in which the series
# changes nothing, is the one that make builds.
device_tests()
{
    local last
    say "the qtests, with the modules of the last step"
    run env "BLOB_DEVICE=$dir" BLOB_VARIANT= SANITIZE=0 COVERAGE=0 \
        "$TOP/tests/qtest/run-qtests.sh" > >(tee "$work/qtest.log") 2>&1 || :
    wait "$!" || :
    last=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$work/qtest.log" | tail -n 1) || :
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
    else
        failed=$((failed + 1))
    fi
}

series=() one='' qtest=1
while [ $# -gt 0 ]; do
    case $1 in
    --no-qtest) qtest=0 ;;
    --one)
        one=${2:?whose patches?}
        shift
        ;;
    10.0 | 10.2) series+=("$1") ;;
    -h | --help)
        header "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *) die "no such option: $1" "see $0 --help" ;;
    esac
    shift
done

if [ -n "$one" ]; then
    check_one "$one"
    [ "$qtest" = 0 ] || device_tests
    rm -rf "$src" "$dir"
else
    [ ${#series[@]} -gt 0 ] || series=(10.0 10.2)
    build_folder
    for s in "${series[@]}"; do
        run "$TOP/scripts/series.sh" "$s"
        tree=$("$TOP/scripts/series.sh" --tree "$s")
        more=()
        [ "$qtest" = 1 ] || more=(--no-qtest)
        say "QEMU $s"
        log=$BUILD/check-series-$s.log
        run "$tree/scripts/check-series.sh" --one "$BUILD/series-$s" "${more[@]}" > >(tee "$log") 2>&1 || :
        wait "$!" || :
        last=$(tail -n 1 "$log")
        if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
            passed=$((passed + BASH_REMATCH[1]))
            failed=$((failed + BASH_REMATCH[2]))
        else
            failed=$((failed + 1))
        fi
    done
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
