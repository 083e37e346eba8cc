#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# build.sh             build our QEMU, the stock modules and the launchers
# build.sh TARGET...   and these targets of ninja (tests, say) in our QEMU
# build.sh --stock     only the stock modules (the first form does so beside)
# build.sh --stock-emulator    and an emulator without our change, with all of
#                      its modules
# build.sh --tools     only our programs outside QEMU
#
# With BLOB_VARIANT=arm64 it is qemu-system-aarch64 with our modules, and our
# programs, for arm64: no stock modules, and no launchers, as nothing runs here.
# With BLOB_VARIANT=bundle it is our QEMU for packaging/bundle: no launchers.
# With BLOB_VARIANT=fuzz it is these targets alone, by clang, with its fuzzer
# and sanitizers.
#
# Nothing that takes long is run from a subshell: so all of it ends with us.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$TOP/scripts/cross.sh"

TARGET=x86_64
TCG=--enable-tcg
if [ "$VARIANT" = arm64 ]; then
    TARGET=aarch64
    TCG=--disable-tcg
fi
EMULATOR=qemu-system-$TARGET
DOCTOR=contrib/virtio-gpu-blob-doctor/virtio-gpu-blob-doctor

# QEMU's features: a PC with virtio-gpu-gl, and what libvirt and the tests want
FEATURES=(
    --target-list=$TARGET-softmmu
    --without-default-features
    --enable-system
    $TCG
    --enable-kvm
    --enable-modules
    --enable-opengl
    --enable-virglrenderer
    --enable-pixman
    --enable-sdl
    --enable-vnc
    --enable-virtfs
    --enable-seccomp
    --enable-slirp
    --enable-vhost-kernel
    --enable-vhost-user
    --enable-fdt
    --enable-attr
    --enable-cap-ng
    --disable-install-blobs
    --disable-download
    --disable-docs
    --disable-werror
)

# The archive's QEMU takes the host's USB devices, too
[ "$VARIANT" != bundle ] || FEATURES+=(--enable-libusb)

# The fuzzer's QEMU has the one device in it, and a display of its own; what
# leads the fuzzer is the display's code alone
if [ "$VARIANT" = fuzz ]; then
    FEATURES=(
        --target-list=$TARGET-softmmu
        --without-default-features
        --without-default-devices
        --with-devices-$TARGET=virtio-gpu-gl
        --enable-system
        --disable-tcg
        --enable-kvm
        --enable-opengl
        --enable-virglrenderer
        --enable-pixman
        --enable-fdt
        --enable-fuzzing
        --extra-cflags="-fsanitize=fuzzer-no-link -fsanitize-coverage-ignorelist=$(inside "$BUILD/fuzz-not-led-by.txt")"
        --enable-asan
        --enable-ubsan
        --disable-install-blobs
        --disable-download
        --disable-docs
        --disable-werror
    )
fi

# configure_tree SOURCE FOLDER OPTION...: paths as seen inside, when anything
# that matters to configure is another than last time
configure_tree()
{
    local src dir=$2 want in_dir cc=gcc log
    src=$(inside "$1")
    in_dir=$(inside "$dir")
    shift 2
    [ "$VARIANT" != fuzz ] || cc=clang
    [ ! -e "$BUILD/.ccache" ] || cc="ccache $cc"
    if [ -n "$CROSS" ]; then
        cc=$CROSS/cc
        set -- --cross-prefix=aarch64-linux-gnu- "$@"
    fi
    want=$(printf '%s\n' "$(cat "$PRISTINE/.virtio-gpu-blob-source")" "$src" "$cc" \
        "$(cat "$BUILD/enter.id")" "${FEATURES[@]}" "$@")
    if [ -e "$dir/build.ninja" ] && [ "$(cat "$dir/.configured" 2>/dev/null)" = "$want" ]; then
        return
    fi
    say "configuring ${dir##*/} (about 1 min)"
    rm -rf "$dir"
    mkdir -p "$dir"
    log=$dir.configure.log
    # Nothing of the caller's compiler settings may change what is built
    if ! in_root env -u CFLAGS -u CXXFLAGS -u LDFLAGS -u CPPFLAGS -u CC -u CXX -u PYTHONPATH \
        -u PYTHONHOME -u PKG_CONFIG_PATH -u MAKEFLAGS -u MAKELEVEL -u NINJA -u DESTDIR -u LD_PRELOAD \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin ${CROSS:+PKG_CONFIG="$CROSS/pkg-config"} \
        bash -c 'cd "$1" && shift && exec "$@"' configure "$in_dir" \
        "$src/configure" --cc="$cc" --with-pkgversion="$PKGVERSION" "${FEATURES[@]}" "$@" \
        >"$log" 2>&1 </dev/null; then
        tail -n 25 "$log" >&2
        die "QEMU's configure failed (see above and $log)"
    fi
    printf '%s\n' "$want" >"$dir/.configured"
}

# ninja_in FOLDER TARGET...
ninja_in()
{
    local dir=$1
    shift
    in_root env -u CFLAGS -u LDFLAGS -u MAKEFLAGS -u PYTHONPATH -u LD_PRELOAD \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        ninja -C "$(inside "$dir")" -j "$JOBS" "$@"
}

# modules_of FOLDER REGEX: the shared objects that ninja can build there
modules_of()
{
    ninja_in "$1" --quiet -t targets all |
        sed -n 's/^\([^/]*\.so\): .*/\1/p' | grep -E -- "$2" | grep -v ^test-
}

# On a terminal ninja shows one line that moves; elsewhere every 5 s is enough
progress()
{
    local line kept='' last=-5
    if [ -t 1 ]; then
        cat
        return
    fi
    while IFS= read -r line; do
        case $line in
        \[[0-9]*/[0-9]*\]*)
            kept=$line
            if [ $((SECONDS - last)) -ge 5 ]; then
                printf '%s\n' "$line"
                kept=''
                last=$SECONDS
            fi
            ;;
        *) printf '%s\n' "$line" ;;
        esac
    done
    [ -z "$kept" ] || printf '%s\n' "$kept"
}

build_stock()
{
    local list
    configure_tree "$PRISTINE" "$STOCK_MODULES"
    # the emulator is ours, the modules that differ are stock's
    mapfile -t list < <(modules_of "$STOCK_MODULES" '^hw-display-virtio-(gpu|vga)')
    [ ${#list[@]} -gt 0 ] || die "QEMU's build knows no virtio-gpu modules"
    ninja_in "$STOCK_MODULES" "${list[@]}"
}

# The whole of it: for our modules in an emulator without our change
build_stock_emulator()
{
    local list
    configure_tree "$PRISTINE" "$STOCK_MODULES"
    mapfile -t list < <(modules_of "$STOCK_MODULES" .)
    ninja_in "$STOCK_MODULES" "$EMULATOR" "${list[@]}" > >(progress)
    wait "$!" || :
}

build_ours()
{
    local list options=()
    case $VARIANT in
    asan) options=(--enable-asan --enable-ubsan) ;;
    # TSan does not know __longjmp_chk(), which TCG would come back by
    tsan) options=(--enable-tsan --extra-cflags=-D_FORTIFY_SOURCE=0) ;;
    # what is inlined has branches of its own in each place
    gcov) options=(--enable-gcov --enable-debug-info --extra-cflags=-O0) ;;
    esac
    configure_tree "$QEMU_SRC" "$OURS" "${options[@]}"
    mapfile -t list < <(modules_of "$OURS" .)
    [ ${#list[@]} -gt 0 ] || die "QEMU's build knows no modules"
    ninja_in "$OURS" "$EMULATOR" "$DOCTOR" "${list[@]}" "$@" > >(progress)
    wait "$!" || :
}

build_fuzz()
{
    # at one path in all clones, for the compiler's cache
    cp "$TOP/scripts/fuzz-not-led-by.txt" "$BUILD"
    configure_tree "$QEMU_SRC" "$OURS"
    ninja_in "$OURS" "$@" > >(progress)
    wait "$!" || :
}

build_tools()
{
    local dirs dir want options=()
    dirs=$(cd "$TOP" && for dir in tests/guest tests/host; do
        [ ! -e "$dir/meson.build" ] || echo "$dir"
    done)
    [ -n "$dirs" ] || return 0
    want=$dirs
    if [ -n "$CROSS" ]; then
        options=(--cross-file "$CROSS/meson")
        want+=$(cat "$SERIES_DIR"/cross/*)
    fi
    mkdir -p "$SERIES_DIR"
    if [ ! -e "$TOOLS/build.ninja" ] || [ "$(cat "$TOOLS/.configured" 2>/dev/null)" != "$want" ]; then
        say "configuring our programs outside QEMU"
        rm -rf "$TOOLS"
        if ! in_root env -u CFLAGS -u LDFLAGS -u PYTHONPATH \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            meson setup "${options[@]}" "$TOOLS" "$TOP" >"$TOOLS.configure.log" 2>&1; then
            tail -n 25 "$TOOLS.configure.log" >&2
            die "our programs could not be configured (see above and $TOOLS.configure.log)"
        fi
        printf '%s\n' "$want" >"$TOOLS/.configured"
    fi
    in_root ninja --quiet -C "$TOOLS" -j "$JOBS" >&2
}

# launcher FILE CONF PROGRAM LINE...: a copy of enter, which reads FILE.conf;
# PROGRAM in our build, LINEs for the configuration
launcher()
{
    local file=$1 conf=$2 program=$3
    shift 3
    mkdir -p "$(dirname "$file")"
    if ! cmp -s "$BUILD/enter" "$file"; then
        cp "$BUILD/enter" "$file.tmp"
        mv -f "$file.tmp" "$file"
    fi
    {
        echo "# Written by make; $(sed -n 's/^what=//p' "$PRISTINE/.virtio-gpu-blob-source")"
        "$TOP/scripts/root.sh" conf
        echo "program=$(inside "$OURS")/$program"
        printf '%s\n' "$@"
    } >"$conf.tmp"
    mv -f "$conf.tmp" "$conf"
}

# launcher_of FILE PROGRAM LINE...: for this variant, and as configured
launcher_of()
{
    local file=$1 configured=''
    shift
    [ "$CONFIG_SANITIZE" != 1 ] || configured=asan
    [ "$CONFIG_COVERAGE" != 1 ] || configured=gcov
    [ -z "$VARIANT" ] || launcher "$file" "$file.$VARIANT.conf" "$@"
    [ "$VARIANT" != "$configured" ] || launcher "$file" "$file.conf" "$@"
}

launchers()
{
    local where name modules
    for where in "$BUILD" "$SERIES_DIR/bin"; do
        for name in qemu-system-x86_64 stock/qemu-system-x86_64; do
            modules=$OURS
            [ "$name" = qemu-system-x86_64 ] || modules=$STOCK_MODULES
            launcher_of "$where/$name" qemu-system-x86_64 \
                "env=QEMU_MODULE_DIR=$(inside "$modules")" \
                arg=-L arg=/usr/share/qemu arg=-L arg=/usr/share/seabios
        done
        launcher_of "$where/virtio-gpu-blob-doctor" "$DOCTOR" "arg=--qemu=$where/qemu-system-x86_64"
    done
}

PKGVERSION=$(sed -n 's/^pkgversion=//p' "$PRISTINE/.virtio-gpu-blob-source" 2>/dev/null) || :
case ${1:-} in
--stock)
    build_stock
    exit
    ;;
--stock-emulator)
    lock "$SERIES_DIR/.build.lock" "the build of QEMU $SERIES"
    build_stock_emulator
    exit
    ;;
--tools)
    run "$TOP/scripts/root.sh" ensure
    mkdir -p "$SERIES_DIR"
    lock "$SERIES_DIR/.build.lock" "the build of QEMU $SERIES"
    [ "$VARIANT" != arm64 ] || cross_tools
    build_tools
    exit
    ;;
esac

build_folder
run "$TOP/scripts/root.sh" ensure
run "$TOP/scripts/root.sh" need nic ||
    say "without that the QEMU that is built wants -nic none"
free_space "$BUILD" 1500 "the build"
run "$TOP/scripts/source.sh"
run "$TOP/scripts/overlay.sh"
# the fuzzer's folder is no other's business
own=
[ "$VARIANT" != fuzz ] || own=-fuzz
lock "$SERIES_DIR/.build$own.lock" "the build of QEMU $SERIES"
if [ -n "$("$TOP/scripts/root.sh" conf)" ]; then
    touch "$BUILD/.aliased"
else
    rm -f "$BUILD/.aliased"
fi
if in_root sh -c 'command -v ccache' >/dev/null; then
    touch "$BUILD/.ccache"
    mkdir -p "$CCACHE_DIR"
else
    rm -f "$BUILD/.ccache"
fi
PKGVERSION=$(sed -n 's/^pkgversion=//p' "$PRISTINE/.virtio-gpu-blob-source")

if [ "$VARIANT" = arm64 ]; then
    cross_tools
    build_tools
    build_ours "$@"
    say "built: $OURS/$EMULATOR (QEMU $SERIES, arm64)"
    exit
fi

if [ "$VARIANT" = fuzz ]; then
    run "$TOP/scripts/root.sh" need fuzz
    build_fuzz "$@"
    exit
fi

if [ "$VARIANT" = bundle ]; then
    run "$TOP/scripts/root.sh" need bundle
    build_tools
    build_ours "$@"
    say "built: $OURS/$EMULATOR (QEMU $SERIES, for the archive)"
    exit
fi

# The stock modules build while our configure, which is one process, runs
stock_log=$SERIES_DIR/stock.log
run "$TOP/scripts/build.sh" --stock >"$stock_log" 2>&1 &
stock=$!
build_tools
build_ours "$@"
if ! wait "$stock"; then
    tail -n 25 "$stock_log" >&2
    die "the stock modules could not be built (see above and $stock_log)"
fi
launchers
say "built: $BUILD/qemu-system-x86_64 (QEMU $SERIES${VARIANT:+, $VARIANT}) and $BUILD/stock/qemu-system-x86_64"
