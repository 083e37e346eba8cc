#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check-series.sh [--qtest] [--features] [--from NAME] [SERIES]...
#                          apply the series of patches to QEMU as it was
#                          released: each fix alone, with a test that fails
#                          without it, and the features one on the other, with
#                          the tests that they add; their sizes and style, too
#
#   --features   do not check the fixes
#   --from NAME  nor the features before this one
#   --qtest      run all qtests with what the last patch gives, too; "make
#                check-qtest" does so with the same files
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
# Lists have a name a line, which may have spaces in it
IFS=$'\n'

# Lines of a patch, and lines of a fix and of the query outside of tests and docs
PATCH_MAX=1200
FIX_MAX=150
QUERY_MAX=1500

MODULES=(accel-qtest-x86_64.so ui-sdl.so ui-opengl.so hw-display-virtio-gpu.so hw-display-virtio-gpu-gl.so
    hw-display-virtio-gpu-pci.so hw-display-virtio-gpu-pci-gl.so
    hw-display-virtio-vga.so hw-display-virtio-vga-gl.so)
FEATURES=(--target-list=x86_64-softmmu --without-default-features --enable-system
    --enable-tcg --enable-kvm --enable-modules --enable-opengl --enable-virglrenderer
    --enable-pixman --enable-sdl --enable-vhost-user --enable-vhost-kernel --enable-fdt
    --disable-install-blobs --disable-download --disable-docs --enable-werror)
CLEAN=(env -u CFLAGS -u CXXFLAGS -u LDFLAGS -u CPPFLAGS -u CC -u CXX -u PYTHONPATH
    -u PYTHONHOME -u PKG_CONFIG_PATH -u MAKEFLAGS -u MAKELEVEL -u NINJA -u DESTDIR
    -u LD_PRELOAD -u GIT_DIR -u GIT_WORK_TREE -u GIT_INDEX_FILE CCACHE_NOHASHDIR=1 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
GIT=("${CLEAN[@]}" GIT_CONFIG_GLOBAL=/dev/null
    GIT_CONFIG_NOSYSTEM=1 git -c user.name=check -c user.email=check@localhost
    -c core.excludesFile= -c advice.detachedHead=false -c safe.directory='*')

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

# git_in TREE ARGUMENT...
git_in()
{
    local tree=$1
    shift
    in_root "${GIT[@]}" -C "$in_work/$tree/src" "$@"
}

# patches_of FOLDER, and of these those that do and do not touch tests alone
patches_of()
{
    find "$patches/$1" -name '0*.patch' ! -name '0000-*' | LC_ALL=C sort
}

is_test()
{
    ! sed -n 's#^+++ b/##p' "$1" | grep -qvE '^(tests/|MAINTAINERS)'
}

# touches REGEX PATCH: a file whose name begins so, outside of docs
touches()
{
    sed -n 's#^[-+]\{3\} [ab]/##p' "$2" | grep -vE '^(docs/|MAINTAINERS)' | grep -qE "^($1)"
}

tests_of()
{
    local p
    for p in $(patches_of "$1"); do
        ! is_test "$p" || printf '%s\n' "$p"
    done
}

fixes_of()
{
    local p
    for p in $(patches_of "$1"); do
        is_test "$p" || printf '%s\n' "$p"
    done
}

# pristine_tree TREE: QEMU as it was released, where only what the series touch
# is followed
pristine_tree()
{
    local tree=$1 src=$work/$1/src
    say "copying QEMU's source ($tree)"
    rm -rf "${work:?}/$tree"
    mkdir -p "$work/$tree"
    # git replaces files, so that the links to the others cost nothing
    run cp -al -- "$PRISTINE" "$src" 2>/dev/null || {
        rm -rf "$src"
        run cp -a --reflink=auto -- "$PRISTINE" "$src"
    }
    rm -rf "$src/.git" "$src/.pc"
    git_in "$tree" init -q
    # two tests are added at the same place of a list: keep both
    echo 'tests/qtest/meson.build merge=union' >"$src/.git/info/attributes"
    (cd "$src" && while IFS= read -r f; do
        [ ! -e "$f" ] || printf '%s\0' "$f"
    done <"$patches/files") >"$work/known"
    git_in "$tree" add -f --pathspec-from-file="$in_work/known" --pathspec-file-nul
    git_in "$tree" commit -q -m QEMU
    git_in "$tree" tag stock
}

# configure_tree TREE: the compiler's cache has what another tree or clone built
configure_tree()
{
    local tree=$1 cc=gcc
    ! in_root sh -c 'command -v ccache' >/dev/null || cc='ccache gcc'
    mkdir -p "$work/$tree/build" "$CCACHE_DIR"
    # shellcheck disable=SC2016
    # the emulator that make builds takes modules of its own version only
    in_root "${CLEAN[@]}" bash -c 'cd "$1" && shift && exec "$@"' configure "$in_work/$tree/build" \
        "$in_work/$tree/src/configure" --cc="$cc" "${FEATURES[@]}" \
        --with-pkgversion="$(sed -n 's/^pkgversion=//p' "$PRISTINE/.virtio-gpu-blob-source")"
}

# ninja_in TREE TARGET...
ninja_in()
{
    local tree=$1
    shift
    in_root "${CLEAN[@]}" ninja -C "$in_work/$tree/build" -j "$JOBS" "$@"
}

# The test programs that a tree has, as targets of ninja
test_targets()
{
    local src=$work/$1/src test
    for test in "$src"/tests/unit/test-virtio-gpu-blob-*.c; do
        [ ! -e "$test" ] || printf 'tests/unit/%s\n' "$(basename "$test" .c)"
    done
    for test in "$src"/tests/qtest/virtio-gpu-gl-*-test.c "$src"/tests/bench/virtio-gpu-gl-bench.c; do
        [ ! -e "$test" ] || printf 'tests/qtest/%s\n' "$(basename "$test" .c)"
    done
    [ ! -e "$src/tests/qtest/renderer/meson.build" ] ||
        printf 'tests/qtest/renderer/lib%s.so\n' scripted-renderer scripted-watcher
}

# Those that the build knows: it does not know one that is in parts, for instance
known_targets()
{
    test_targets "$1" | while IFS= read -r target; do
        ! grep -q "^build $target:" "$work/$1/build/build.ninja" || printf '%s\n' "$target"
    done
}

emulator_targets()
{
    printf '%s\n' qemu-system-x86_64 "${MODULES[@]}"
}

build_emulator()
{
    local list
    mapfile -t list < <(emulator_targets)
    ninja_in product "${list[@]}"
}

# build_all: the emulator, the programs and the tests that the tree has
build_all()
{
    local list
    ninja_in product build.ninja || return 1
    mapfile -t list < <(emulator_targets; known_targets product)
    [ ! -d "$work/product/src/contrib/virtio-gpu-blob-doctor" ] ||
        ! grep -q '^build contrib/virtio-gpu-blob-doctor/virtio-gpu-blob-doctor:' "$work/product/build/build.ninja" ||
        list+=(contrib/virtio-gpu-blob-doctor/virtio-gpu-blob-doctor)
    ninja_in product "${list[@]}"
}

build_tests()
{
    local list
    ninja_in tests build.ninja || return 1
    mapfile -t list < <(test_targets tests)
    ninja_in tests "${list[@]}"
}

unit_tests()
{
    local test
    for test in $(known_targets product | grep ^tests/unit/); do
        in_root "${CLEAN[@]}" "$in_work/product/build/$test" --tap || return 1
    done
}

# In the end each test program is built
all_known()
{
    diff <(test_targets product) <(known_targets product)
}

# checkpatch, but for what the committer adds; that MAINTAINERS has each new file
# was checked when the series was written
style()
{
    local p=$1 log=$work/style
    in_root "${CLEAN[@]}" bash -c 'cd "$1" && perl scripts/checkpatch.pl --no-signoff --terse --no-summary "$2"' \
        style "$in_work/product/src" "$p" >"$log" 2>&1 || :
    # a corpus is data, and has no place for a licence
    sed 's/^.*\/\([^/]*\.patch\)/\1/' "$log" | grep -v 'added, moved or deleted file(s)' |
        grep -v "\.corpus' need 'SPDX" | grep -E '(ERROR|WARNING)' && return 1
    return 0
}

# changed PATCH...: added and removed lines outside of tests and docs
changed()
{
    awk '/^diff --git / { ours = $4 !~ /^b\/(tests\/|docs\/|MAINTAINERS)/; hunk = 0 }
         /^@@ / { hunk = 1; next }
         /^-- $/ { hunk = 0 }
         hunk && ours && /^[-+]/ { n++ }
         END { print n + 0 }' "$@"
}

sizes()
{
    local p n folder kind bad=0
    while IFS=' ' read -r folder kind; do
        for p in $(patches_of "$folder"); do
            n=$(sed -n '/^diff --git/,$p' "$p" | wc -l)
            [ "$n" -le "$PATCH_MAX" ] || {
                echo "$folder/${p##*/} has $n lines"
                bad=1
            }
        done
        if [ "$folder" = query ]; then
            mapfile -t list < <(patches_of "$folder")
            n=$(changed "${list[@]}")
            if [ "$n" -gt "$QUERY_MAX" ] || [ "${#list[@]}" -gt 10 ]; then
                echo "$folder changes $n lines, in ${#list[@]} patches"
                bad=1
            fi
        fi
        [ "$kind" = fix ] || continue
        mapfile -t list < <(fixes_of "$folder")
        n=$(changed "${list[@]}")
        if [ "$n" -gt "$FIX_MAX" ] || [ "${#list[@]}" -gt 3 ]; then
            echo "$folder changes $n lines, in ${#list[@]} patches"
            bad=1
        fi
    done < <(cat "$patches/order" && echo kernel kernel)
    return "$bad"
}

same_tree()
{
    (cd "$work/product/src" && sha256sum --quiet -c "$patches/sums") || return 1
    # and nothing else was touched
    git_in product diff --quiet HEAD || return 1
    in_root "${GIT[@]}" -C "$in_work/product/src" ls-files | LC_ALL=C sort >"$work/followed"
    sed 's/^[0-9a-f]*  //' "$patches/sums" | LC_ALL=C sort | cmp - "$work/followed"
}

# Whatever of the overlay the series leave out runs our tests, and is not QEMU's
nothing_left_out()
{
    local rest
    LC_ALL=C sort "$patches/files" >"$work/files"
    rest=$(LC_ALL=C comm -23 "$SERIES_DIR/overlay.list" "$work/files" |
        grep -vE '^tests/.*\.(sh|py)$') || :
    printf '%s\n' "$rest"
    [ -z "$rest" ]
}

# An emulator for libqtest, with the modules beside it
emulator()
{
    {
        echo '#!/bin/sh'
        printf 'export QEMU_MODULE_DIR=%q\n' "$in_work/product/build"
        printf 'exec %q -L /usr/share/qemu -L /usr/share/seabios "$@"\n' "$in_work/product/build/qemu-system-x86_64"
    } >"$work/qemu-system-x86_64"
    chmod +x "$work/qemu-system-x86_64"
}

in_test()
{
    QTEST_QEMU_BINARY=$in_work/qemu-system-x86_64 XDG_RUNTIME_DIR=$scratch/xdg \
        TMPDIR=$scratch/tmp MALLOC_PERTURB_='' in_root "$@"
}

# qtests TREE EXPECTED SECONDS NAME...: the cases of these programs of a tree,
# several at once; each must give what is expected, "ok|skip" or "not ok"
qtests()
{
    local tree=$1 expected=$2 limit=$3 name program
    shift 3
    for name in "$@"; do
        program=$in_work/$tree/build/tests/qtest/$name
        in_test "$program" -l | awk -v program="$program" \
            '{ sub(/^# /, "") } /^\// { printf "%s%c%s%c", program, 0, $0, 0 }'
    done >"$work/cases"
    mkdir -p "$work/log"
    in_test xargs -0 -r -n 2 -P "$JOBS" -a "$in_work/cases" setpriv --pdeathsig TERM -- \
        bash "$TOP/tests/qtest/run-case.sh" "$limit" "$in_work/log" >"$work/results" 2>"$work/said" || :
    cat "$work/said" "$work/results"
    [ -s "$work/results" ] && ! grep -qvE "^($expected)$(printf '\t')" "$work/results"
}

# fail NAME...: these programs fail; a race may need some more tries for that
fail()
{
    local try
    for try in 1 2 3 4 5; do
        qtests tests 'not ok' 60 "$@" && return
        echo "try $try"
    done
    return 1
}

# qtest_names FOLDER...: the test programs that their patches add
qtest_names()
{
    local folder p
    for folder in "$@"; do
        for p in $(tests_of "$folder"); do
            sed -n 's#^+++ b/tests/qtest/\(virtio-gpu-gl-.*-test\)\.c$#\1#p' "$p"
        done
    done
}

# folders KIND: a regular expression
folders()
{
    awk -v kind="^($1)\$" '$2 ~ kind { print $1 }' "$patches/order"
}

am()
{
    local tree=$1 p
    shift
    for p in "$@"; do
        git_in "$tree" am -q -3 --keep-cr "$p" || {
            git_in "$tree" am --abort
            return 1
        }
    done
}

# The test client and the scripted renderer; and in their tree the tests of all
# fixes at once
# shellcheck disable=SC2046
check_tests()
{
    local folder p list
    for folder in $(folders tests); do
        for p in $(patches_of "$folder"); do
            check "$folder/${p##*/} applies" am tests "$p" || return 1
            check "$folder/${p##*/} is in QEMU's style" style "$p" || :
        done
    done
    git_in tests tag client
    for folder in $(folders fix); do
        for p in $(tests_of "$folder"); do
            check "$folder/${p##*/} applies" am tests "$p" || :
            check "$folder/${p##*/} is in QEMU's style" style "$p" || :
        done
    done
    check "the test programs build" build_tests || return 1
    mapfile -t list < <(qtest_names $(folders tests))
    check "the client's test passes" qtests tests "ok|skip" 120 "${list[@]}" || :
    for folder in $(folders fix); do
        mapfile -t list < <(qtest_names "$folder")
        [ "${#list[@]}" = 0 ] ||
            check "$folder: the test fails without the fix" fail "${list[@]}" || :
    done
}

check_fix()
{
    local folder=$1 p list
    git_in product checkout -q -f --detach stock
    for p in $(fixes_of "$folder"); do
        check "$folder/${p##*/} applies to QEMU as it is" am product "$p" || return 0
        check "$folder/${p##*/} is in QEMU's style" style "$p" || :
        check "$folder/${p##*/} builds" build_emulator || return 0
    done
    mapfile -t list < <(qtest_names "$folder")
    [ "${#list[@]}" = 0 ] || check "$folder: the test passes" qtests tests "ok|skip" 120 "${list[@]}" || :
}

# The client, the scripted renderer and all fixes, for the features
# shellcheck disable=SC2046
together()
{
    local folder
    git_in product checkout -q -f --detach stock
    for folder in $(folders tests); do
        am product $(patches_of "$folder") || return 1
    done
    for folder in $(folders 'fix|stable'); do
        if [ -d "$patches/together/$folder" ]; then
            am product $(patches_of "together/$folder") || return 1
        else
            am product $(fixes_of "$folder") || return 1
        fi
    done
}

# own_tests FOLDER: those of its test programs that are in packaging/series; they
# are small, and run after each later series again
own_tests()
{
    local name
    for name in $(qtest_names "$1"); do
        [ ! -e "$TOP/packaging/series/$1/$name.c" ] || printf '%s\n' "$name"
    done
}

check_features()
{
    local folder p name own=() list
    check "tests and fixes apply one on the other" together || return 0
    [ -n "$from" ] || check "tests and fixes build together" build_all || return 0
    for folder in $(folders feature); do
        [ "$folder" != "$from" ] || from=''
        if [ -n "$from" ]; then
            # shellcheck disable=SC2046
            am product $(patches_of "$folder") || return 0
            mapfile -t -O "${#own[@]}" own < <(own_tests "$folder")
            continue
        fi
        for p in $(patches_of "$folder"); do
            name=$folder/${p##*/}
            name=${name%.patch}
            check "$name applies" am product "$p" || return 0
            check "$name is in QEMU's style" style "$p" || :
            ! touches '' "$p" || check "$name builds" build_all || :
            ! touches 'hw/|tests/unit/' "$p" || [ -z "$(known_targets product | grep ^tests/unit/)" ] ||
                check "$name passes the unit tests" unit_tests || :
        done
        mapfile -t list < <(qtest_names "$folder" | grep -vxF "$(own_tests "$folder")")
        mapfile -t -O "${#own[@]}" own < <(own_tests "$folder")
        list+=("${own[@]}")
        [ "${#list[@]}" = 0 ] || check "$folder: the tests pass" qtests product "ok|skip" 240 "${list[@]}" || :
    done
    check "all test programs are built" all_known || :
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

check_one()
{
    local folder start=$SECONDS
    work=$SERIES_DIR/check-series
    lock "$SERIES_DIR/.check-series.lock" "the check of the series"
    rm -rf "$work"
    mkdir -p "$work"
    # a copy, so that "make series" can run at the same time
    cp -r -- "$1" "$work/patches"
    patches=$work/patches
    in_work=$(alias_of "$work")
    export CCACHE_BASEDIR=$in_work
    # LD_PRELOAD and libqtest know no spaces
    scratch=$(mktemp -d /tmp/virtio-gpu-gl.XXXXXX)
    trap 'rm -rf -- "$scratch"' EXIT
    mkdir -m 700 "$scratch/xdg" "$scratch/tmp"
    check "all of the overlay is in the series" nothing_left_out || :
    check "no patch has more than $PATCH_MAX lines, no fix more than $FIX_MAX, the query no more than $QUERY_MAX" \
        sizes || :
    pristine_tree product
    [ "$features" = 1 ] || pristine_tree tests
    emulator
    say "configuring (about 2 min)"
    check "QEMU is configured" configure_tree product || return 0
    if [ "$features" = 0 ]; then
        check "QEMU is configured for the tests" configure_tree tests || return 0
        say "building QEMU as it was released"
        check "QEMU builds" build_emulator || return 0
        check_tests || return 0
        for folder in $(folders fix); do
            check_fix "$folder"
        done
        say "the features ($(((SECONDS - start) / 60)) min so far)"
    fi
    check_features
    # in this shell, whose children's time it is
    times >"$work/times"
    say "$(((SECONDS - start) / 60)) min, user and system time of the processors $(tail -n 1 "$work/times")"
}

# The last step's qtests: its modules, test programs and scripted renderer, as
# they were built from the series. The emulator around them is the one that make
# builds.
device_tests()
{
    local last
    say "the qtests, with the modules of the last step"
    run env "BLOB_DEVICE=$work/product/build" BLOB_VARIANT= SANITIZE=0 COVERAGE=0 \
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

series=() checks=() more=() one='' qtest=0 features=0 from=''
while [ $# -gt 0 ]; do
    case $1 in
    --qtest) qtest=1 ;;
    --no-qtest) qtest=0 ;;
    --features) features=1 ;;
    --from)
        features=1 from=${2:?which folder?}
        shift
        ;;
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
    rm -rf "$work/product" "$work/tests"
else
    [ ${#series[@]} -gt 0 ] || series=(10.0 10.2)
    build_folder
    [ "$qtest" = 0 ] || more+=(--qtest)
    [ "$features" = 0 ] || more+=(--features)
    [ -z "$from" ] || more+=(--from "$from")
    # Two at once: much of the time is that of one process, or spent waiting
    trap 'kill $(jobs -p) 2>/dev/null || :' EXIT
    for s in "${series[@]}"; do
        run "$TOP/scripts/series.sh" "$s"
        tree=$("$TOP/scripts/series.sh" --tree "$s")
        prefix=''
        [ ${#series[@]} = 1 ] || prefix="$s  "
        say "QEMU $s"
        run "$tree/scripts/check-series.sh" --one "$BUILD/series-$s" "${more[@]}" \
            > >(tee "$BUILD/check-series-$s.log" | sed -u "s/^/$prefix/") 2>&1 &
        checks+=("$!")
    done
    for check in "${checks[@]}"; do
        wait "$check" || :
    done
    trap - EXIT
    # what tee has to write
    sleep 1
    for s in "${series[@]}"; do
        last=$(tail -n 1 "$BUILD/check-series-$s.log")
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
