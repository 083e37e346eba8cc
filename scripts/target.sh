#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# target.sh TARGET ARGS...: what make TARGET does
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

usage()
{
    cat <<'END'
make [TARGET] [SANITIZE=1] [ARGS="..."]   (./configure --help: what to build)

To use
  all                both QEMUs: build/qemu-system-x86_64 and, without our
                     change, build/stock/qemu-system-x86_64 (the default); and
                     build/virtio-gpu-blob-doctor, which looks at a host
  demo               a Linux guest maps host buffers through ours
  modules            our virtio-gpu modules for this system's own QEMU
  deb                a package of them, and of the doctor (of arm64's, too:
                     ./configure --arch=arm64)
  bundle             an archive to try ours on any Linux, with a guest in it

To test; the last line is "N passed, N failed"
  check              check-unit, check-qtest, check-doctor and check-demo
  check-unit         each module of the code by itself
  check-qtest        the device, driven by a scripted renderer
  check-doctor       virtio-gpu-blob-doctor's report on this machine, and where
                     something is missing; each line that it prints starts
  check-demo         the demo's assertions; with ARGS=--newest: with the newest
                     virglrenderer that the distribution serves
  check-host         real kernels, real buffers, real KVM
  check-arm64        arm64 hosts: what their page tables make of a blob;
                     with ARGS=guest: Linux guests under their KVM
  check-libvirt      libvirt starts domains on our QEMU; with ARGS=--apparmor:
                     two more in an emulated host with AppArmor
  check-series       the series of patches apply, build and pass
  check-deb          the package installs, works and leaves no trace; arm64's
                     in an emulated host
  check-bundle       the archive runs in Debian 13, testing and unstable, and
                     where OpenGL, Vulkan or a writable folder is missing
  check-docs         the manual builds without a warning, its commands are right
  check-readme       the README's commands are right
  check-stock-faults which known faults the QEMU without our change has
  soak               random command sequences against a model
  coverage           lines and branches of our files that the tests reach
  fuzz               random inputs, led by what code they reach (clang)
  mutants            does the unit test notice changes to the decision? With
                     ARGS=--all: do all tests notice changes to any file?

To measure and to publish
  bench              cost of map and unmap, ours and stock
  series             the change as series of patches, a folder each

To tidy up
  update             look for a newer release of QEMU's series
  clean              remove what was built
  distclean          remove QEMU's source and the configuration too
  help               this text

SANITIZE=1 builds our QEMU with sanitizers for this run, SANITIZE=thread with
TSan; ARGS go to the script behind the target.  Downloads and the private root
live in the user's cache, ~/.cache/virtio-gpu-blob, for all clones;
scripts/root.sh remove and rm free it.
END
}

# script FILE ARGS...
script()
{
    local file=$TOP/$1
    shift
    [ -x "$file" ] || die "there is no ${file#"$TOP"/} in this tree"
    run "$file" "$@"
}

build()
{
    run "$TOP/scripts/build.sh" "$@"
}

# QEMU with the unit tests that are ours
build_unit()
{
    local test targets=()
    for test in "$TOP"/tests/unit/test-*.c; do
        targets+=("tests/unit/$(basename "$test" .c)")
    done
    build "${targets[@]}"
}

# One part of make check: its output is shown, its last line is added up
PASSED=0 FAILED=0 SKIPPED=0
part()
{
    local name=$1 log last status=0
    shift
    log=$SERIES_DIR/$name.log
    say "$name"
    # no pipe: what runs must be our child, to end with us
    "$@" > >(tee "$log") 2>&1 || status=$?
    wait "$!" || :
    last=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1) || :
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)? ]]; then
        PASSED=$((PASSED + BASH_REMATCH[1]))
        FAILED=$((FAILED + BASH_REMATCH[2]))
        SKIPPED=$((SKIPPED + ${BASH_REMATCH[4]:-0}))
        if [ "$status" != 0 ] && [ "${BASH_REMATCH[2]}" = 0 ]; then
            say "$name ended with status $status"
            FAILED=$((FAILED + 1))
        fi
    else
        say "$name ended with status $status and without its last line"
        FAILED=$((FAILED + 1))
    fi
}

total()
{
    local line="$PASSED passed, $FAILED failed"
    [ "$SKIPPED" = 0 ] || line+=", $SKIPPED skipped"
    printf '%s\n' "$line"
    [ "$FAILED" = 0 ]
}

# Not while a build uses it, and nothing that is not ours
clean()
{
    local file
    [ -e "$BUILD" ] || return 0
    ours || die "$BUILD was not made by us" "remove it by hand"
    for file in "$BUILD/.source.lock" "$BUILD"/*/.overlay.lock "$BUILD"/*/.build*.lock; do
        [ ! -e "$file" ] || lock "$file" "$BUILD"
    done
    # the mark last: what is left of a killed run can be removed, too
    : >"$BUILD/.virtio-gpu-blob"
    find "$BUILD" -mindepth 1 -maxdepth 1 ! -name .virtio-gpu-blob \
        -exec rm -rf --one-file-system -- {} +
    rm -rf --one-file-system -- "$BUILD"
}

# What runs QEMU here needs one for this system
check_arch()
{
    case $VARIANT,$1 in
    arm64,demo | arm64,check | arm64,soak | arm64,bench | arm64,mutants | arm64,fuzz | \
        arm64,check-unit | arm64,check-qtest | arm64,check-doctor | arm64,check-demo | arm64,check-host | \
        arm64,check-libvirt | arm64,check-stock-faults | \
        arm64,bundle | arm64,check-bundle)
        die "make $1 runs what was built, and this is configured for arm64" \
            "./configure without --arch=arm64, or make check-arm64"
        ;;
    esac
}

target=${1:-all}
[ $# -eq 0 ] || shift
check_arch "$target"
case $target in
all)
    if [ "$VARIANT" = arm64 ]; then
        build_unit
    else
        build
    fi
    ;;
demo)
    build
    script tests/guest/run-demo.sh "$@"
    ;;
check)
    build_unit
    part check-unit script scripts/check-unit.sh
    part check-qtest script tests/qtest/run-qtests.sh
    part check-doctor script tests/host/run-check-doctor.sh
    part check-demo script tests/guest/run-demo.sh --check
    total
    ;;
check-unit)
    build_unit
    script scripts/check-unit.sh "$@"
    ;;
check-qtest)
    build
    script tests/qtest/run-qtests.sh "$@"
    ;;
check-doctor)
    build tests/unit/test-virtio-gpu-blob-doctor
    script tests/host/run-check-doctor.sh "$@"
    ;;
check-demo)
    build
    script tests/guest/run-demo.sh --check "$@"
    ;;
mutants)
    build
    script scripts/mutants.sh "$@"
    ;;
check-stock-faults | soak)
    build
    script "tests/qtest/run-${target#check-}.sh" "$@"
    ;;
bench)
    build
    status=0
    script tests/bench/run-bench.sh "$@" || status=$?
    script scripts/plot-bench.sh || say "there is no picture of it (see above)"
    exit "$status"
    ;;
coverage)
    export COVERAGE=1 BLOB_VARIANT=gcov
    build
    script tests/qtest/run-coverage.sh "$@"
    ;;
check-host)
    build
    script scripts/root.sh need host
    script tests/host/run-check-host.sh "$@"
    ;;
fuzz) script tests/qtest/run-fuzz.sh "$@" ;;
check-arm64) script tests/host/run-check-arm64.sh "$@" ;;
check-libvirt)
    build
    script tests/libvirt/run-check-libvirt.sh "$@"
    ;;
bundle) script packaging/bundle/make-bundle.sh "$@" ;;
check-bundle) script packaging/bundle/check-bundle.sh "$@" ;;
check-deb) script scripts/deb.sh --check "$@" ;;
modules | deb | series | check-series | check-docs | check-readme)
    script "scripts/$target.sh" "$@"
    ;;
update)
    script scripts/root.sh ensure
    script scripts/source.sh update
    ;;
clean) clean ;;
distclean)
    clean
    rm -rf --one-file-system -- "$TOP"/subprojects/qemu-* "$TOP"/subprojects/.qemu-*
    rm -f "$TOP/config.sh"
    ;;
help | -h | --help) usage ;;
*) die "no such target: $target" "make help lists them" ;;
esac
