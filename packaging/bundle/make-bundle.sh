#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make-bundle.sh [--with-gl]: an archive to try our QEMU on any Linux system,
# build/virtio-gpu-blob-trial-VERSION-amd64.tar.xz; see README in it.  The same
# bytes for the same repository and the same packages in the root.
#   --with-gl   its guest has OpenGL, too, and a program for it: a larger archive
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/env.sh"
. "$TOP/tests/host/common.sh"
help_if_asked "$@"
MAX_MIB=60 gl=
for arg; do
    case $arg in
    --with-gl) gl=gl MAX_MIB=110 ;;
    *) die "no such option: $arg" "see $0 --help" ;;
    esac
done

[ -z "$VARIANT" ] || [ "$VARIANT" = bundle ] || die "the archive has no variants" \
    "./configure without --sanitize, --coverage and --arch, and no SANITIZE"
run env BLOB_VARIANT=bundle "$TOP/scripts/build.sh"
run flock "$SERIES_DIR/.build.lock" env BLOB_VARIANT= "$TOP/scripts/build.sh" --stock >"$SERIES_DIR/stock.log" 2>&1 ||
    die "the stock modules could not be built" "see $SERIES_DIR/stock.log"
[ -z "$gl" ] || run "$TOP/scripts/root.sh" need programs
OURS=$SERIES_DIR/ours-bundle
work=$SERIES_DIR/bundle.d
lock "$SERIES_DIR/.bundle.lock" "the archive"

# of_repository COMMAND...: git's word on this tree, if it is a clone
of_repository()
{
    git -c "safe.directory=$TOP" -C "$TOP" "$@" 2>/dev/null
}

# our_files: those of the repository, but for what only tests need, 0 between
our_files()
{
    { of_repository ls-files -z || (cd "$TOP" && find . -type f -printf '%P\0'); } |
        LC_ALL=C sort -z |
        grep -zEv '^(build|\.git|config\.sh|images|subprojects/(\.|qemu-)|.*corpus)' 
}

release=$(sed -n 's/^pkgversion=Debian //p' "$PRISTINE/.virtio-gpu-blob-source")
release=${release:-$(cat "$PRISTINE/VERSION")}
commit=$(of_repository rev-parse --short=10 HEAD) || commit=
SOURCE_DATE_EPOCH=$(of_repository log -1 --format=%ct) ||
    SOURCE_DATE_EPOCH=$(stat -c %Y "$PRISTINE/VERSION")
export SOURCE_DATE_EPOCH
version=${release#*:}
version=${version%%+*}${commit:+-$commit}
[ -z "$commit" ] || [ -z "$(of_repository status --porcelain --untracked-files=no)" ] || version+=-changed
name=virtio-gpu-blob-trial-$version${gl:+-$gl}-amd64
stage=$work/$name

say "collecting $name"
rm -rf "$work"
mkdir -p "$work/programs" "$stage/lib" "$stage/bin"
vulkan_programs "the archive" "$work/programs" gcc || exit 1
here=$TOP/packaging/bundle
# shellcheck disable=SC2016
in_root bash -c 'cd "$1" && shift &&
    gcc -O2 -Wall -Wextra -D_GNU_SOURCE -o probe-libs "$1/probe-libs.c" &&
    gcc -O2 -Wall -Wextra -D_GNU_SOURCE -static -o host-side "$1/host-side.c" &&
    gcc -O2 -Wall -Wextra -D_GNU_SOURCE -static -I "$2" -o guest-gpu "$1/guest-gpu.c" "$2/drm-blob.c"' \
    programs "$(inside "$work")/programs" "$here" "$TOP/tests/guest"
# their build IDs depend on the folder that they were compiled in
for program in tests/guest/virtgpu-blob tests/host/many-blobs; do
    in_root strip --remove-section=.note.gnu.build-id \
        -o "$(inside "$work")/programs/${program##*/}" "$(inside "$TOOLS")/$program"
done
{
    echo "archive $version"
    echo "qemu $release"
} >"$stage/lib/versions"
in_root "$here/collect.sh" "$(inside "$stage")" "$(inside "$OURS")" "$(inside "$STOCK_MODULES")" \
    "$(inside "$work")/programs" "$TOP" $gl

install -m 755 "$here/trial" "$stage/trial"
install -m 644 "$here/trial.sh" "$stage/lib/trial.sh"
install -m 755 "$here/qemu-system-x86_64" "$stage/bin/qemu-system-x86_64"
sed "s/@VERSION@/$version/g" "$here/README.in" >"$stage/README"
cp "$TOP/LICENSE" "$stage/licences/LICENSE.virtio-gpu-blob"
our_files | tar -C "$TOP" --null --no-recursion -T - --sort=name --owner=0 --group=0 \
    --numeric-owner --mode=go=rX,u+rw --mtime="@$SOURCE_DATE_EPOCH" \
    --transform="s,^,virtio-gpu-blob-$version/," -cf "$stage/licences/virtio-gpu-blob-source.tar"

say "packing"
chmod -R u=rwX,go=rX "$stage"
file=$BUILD/$name.tar.xz
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    --format=gnu -cf "$work/$name.tar" "$name"
# one thread: its output does not depend on the machine; the dictionary spans the
# kernel and both sides' libraries
xz -T1 --x86 --lzma2=preset=9,dict=64MiB -c "$work/$name.tar" >"$file.tmp"
rm "$work/$name.tar"
mv "$file.tmp" "$file"
printf '%s\n' "$file" >"$SERIES_DIR/bundle.name"
size=$(stat -c %s "$file")
say "$file: $((size / 1048576)) MiB, $(du -sm "$stage" | cut -f1) MiB unpacked"
[ "$size" -le $((MAX_MIB * 1048576)) ] ||
    die "the archive is larger than $MAX_MIB MiB" "see what grew: du -a $stage | sort -n"
