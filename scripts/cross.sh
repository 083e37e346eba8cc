# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Building for arm64; to be sourced after env.sh.  cross_tools sets CROSS, a
# folder as seen in the root:
#   cc, pkg-config   look for headers and libraries in the tree of arm64 files
#   meson            tells meson so
# Empty, it is this system's own tools that are meant.
CROSS=

# write_tool NAME MODE <TEXT: whole, as another build may be using it
write_tool()
{
    local file=$SERIES_DIR/cross/$1
    cat >"$file.$$"
    chmod "$2" "$file.$$"
    mv -f "$file.$$" "$file"
}

cross_tools()
{
    local root cc
    run "$TOP/scripts/root.sh" need arm64
    run "$TOP/scripts/root.sh" arm64 >/dev/null
    root=$("$TOP/scripts/root.sh" arm64)
    mkdir -p "$SERIES_DIR/cross"
    cc="aarch64-linux-gnu-gcc --sysroot=$(printf %q "$root")"
    ! in_root sh -c 'command -v ccache' >/dev/null || cc="ccache $cc"
    CROSS=$(inside "$SERIES_DIR/cross")
    write_tool cc 755 <<END
#!/bin/sh
exec $cc "\$@"
END
    write_tool pkg-config 755 <<END
#!/bin/sh
export PKG_CONFIG_SYSROOT_DIR=$(printf %q "$root")
export PKG_CONFIG_LIBDIR=$(printf %q "$root/usr/lib/aarch64-linux-gnu/pkgconfig:$root/usr/share/pkgconfig")
exec /usr/bin/pkg-config "\$@"
END
    write_tool meson 644 <<END
[binaries]
c = '$CROSS/cc'
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
pkg-config = '$CROSS/pkg-config'

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
END
}
