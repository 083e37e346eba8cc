#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# record-packages.sh ROOT: tell ROOT's dpkg that the packages in its apt's cache,
# whose files have been extracted there, are installed, and empty that cache.
# Their scripts have not run, as they are another processor's.
set -euo pipefail

[ $# = 1 ] || { sed -n '4,/^[^#]\|^$/s/^# \?//p' "$0" >&2; exit 1; }
root=$1
db=$root/var/lib/dpkg
cache=$root/var/cache/apt/archives

# The control file $1 of a package, as the database has it
status_of()
{
    sed '/^Package:/a Status: install ok installed' "$1"
    echo
}

# record FILE: one package
record()
{
    local deb=$1 control=$db/control.tmp name file
    rm -rf "$control"
    dpkg-deb --control "$deb" "$control"
    name=$(sed -n 's/^Package: //p' "$control/control")
    ! grep -q '^Multi-Arch: same' "$control/control" ||
        name+=:$(sed -n 's/^Architecture: //p' "$control/control")
    status_of "$control/control" >>"$db/status"
    # who waits for others' files would wait for his own script
    rm -f "$control/control" "$control/triggers"
    for file in "$control"/*; do
        [ ! -e "$file" ] || mv "$file" "$db/info/$name.${file##*/}"
    done
    rmdir "$control"
    dpkg-deb --fsys-tarfile "$deb" | tar -t |
        sed 's|^\./*|/|; s|\(.\)/$|\1|; s|^/$|/.|' >"$db/info/$name.list"
}

: >"$db/status"
rm -f "$db/arch"
echo 1 >"$db/info/format"
for deb in "$cache"/*.deb; do
    record "$deb"
done
# as base-passwd does
for file in passwd group; do
    cp "$root/usr/share/base-passwd/$file.master" "$root/etc/$file"
done
rm -rf "${cache:?}"/*.deb "$root"/var/cache/apt/*.bin "$root"/var/lib/apt/lists/*
