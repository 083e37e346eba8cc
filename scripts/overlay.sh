#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# overlay.sh: a copy of QEMU's source with the series' hook patches applied and
# our files laid over it.  Only files whose content changed are written, so
# that ninja builds again just what must be.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

OVERLAID=(hw include contrib tests/unit tests/qtest tests/bench docs configs)

patch_dir=$TOP/subprojects/packagefiles/qemu-$SERIES
manifest=$SERIES_DIR/overlay.list
stage=$SERIES_DIR/overlay.tmp
id_file=.virtio-gpu-blob-source

# The copy, made anew when the source is another one
copy_source()
{
    cmp -s "$PRISTINE/$id_file" "$QEMU_SRC/$id_file" && return
    free_space "$SERIES_DIR" 1000 "the copy of QEMU's source"
    say "copying QEMU's source"
    rm -rf "$QEMU_SRC" "$QEMU_SRC.tmp" "$manifest"
    run cp -a --reflink=auto -- "$PRISTINE" "$QEMU_SRC.tmp"
    mv "$QEMU_SRC.tmp" "$QEMU_SRC"
}

# Names of the files that a patch changes or makes
touched_by()
{
    sed -n 's#^+++ b/\([^\t]*\).*#\1#p' "$@" | LC_ALL=C sort -u
}

stage_patched()
{
    local patches=("$patch_dir"/*.patch) p f log
    [ -e "${patches[0]}" ] || return 0
    touched_by "${patches[@]}" >"$stage.touched"
    while IFS= read -r f; do
        [ ! -e "$PRISTINE/$f" ] || (cd "$PRISTINE" && cp --parents -- "$f" "$stage/")
    done <"$stage.touched"
    log=$stage.log
    for p in "${patches[@]}"; do
        if ! in_root patch -d "$stage" -p1 --fuzz=0 --force --no-backup-if-mismatch --reject-file=- <"$p" >"$log" 2>&1; then
            {
                echo "error: ${p#"$TOP"/} does not apply to $(sed -n 's/^what=//p' "$PRISTINE/$id_file")"
                awk '/^patching file|^can.t find file/ { file = $0 }
                     /FAILED|can.t find file|malformed/ {
                         if (file != shown) { print "       " file; shown = file }
                         if ($0 != file) { print "         " $0 }
                     }
                     /^(patch|enter|error)[: ]/ { print "       " $0 }' "$log"
                echo "       These hooks are for QEMU $SERIES as Debian ships it; the supported series"
                echo "       are 10.0 and 10.2, each with hooks of its own"
            } >&2
            exit 1
        fi
    done
    find "$stage" -name '*.orig' -delete
}

stage_ours()
{
    local dir
    for dir in "${OVERLAID[@]}"; do
        [ -d "$TOP/$dir" ] || continue
        (cd "$TOP" && find "$dir" -type f ! -name '*~' ! -name '.*' ! -name '*.orig' ! -name '*.rej' \
            ! -name '*.pyc' ! -name '#*' -print0 | xargs -0 -r cp --parents -t "$stage" --)
    done
}

install_stage()
{
    local f n=0
    (cd "$stage" && find . -type f -printf '%P\n' | LC_ALL=C sort) >"$manifest.new"
    touch "$manifest"
    # until all is in place, whatever is or was ours counts as ours
    LC_ALL=C sort -u "$manifest" "$manifest.new" >"$manifest.both"
    LC_ALL=C comm -23 "$manifest" "$manifest.new" >"$manifest.gone"
    mv "$manifest.both" "$manifest"
    while IFS= read -r f; do
        cmp -s "$stage/$f" "$QEMU_SRC/$f" && continue
        mkdir -p "$(dirname "$QEMU_SRC/$f")"
        cp -- "$stage/$f" "$QEMU_SRC/$f.tmp"
        mv "$QEMU_SRC/$f.tmp" "$QEMU_SRC/$f"
        n=$((n + 1))
    done <"$manifest.new"
    while IFS= read -r f; do
        if [ -e "$PRISTINE/$f" ]; then
            cmp -s "$PRISTINE/$f" "$QEMU_SRC/$f" && continue
            cp -- "$PRISTINE/$f" "$QEMU_SRC/$f"
        else
            rm -f -- "$QEMU_SRC/$f"
        fi
        n=$((n + 1))
    done <"$manifest.gone"
    mv "$manifest.new" "$manifest"
    rm -f "$manifest.gone"
    [ "$n" = 0 ] || say "overlay: $n files of QEMU $SERIES changed"
}

[ -e "$PRISTINE/$id_file" ] || run "$TOP/scripts/source.sh"
mkdir -p "$SERIES_DIR"
lock "$SERIES_DIR/.overlay.lock" "the overlay"
rm -rf "$stage"
mkdir -p "$stage"
copy_source
stage_patched
stage_ours
install_stage
rm -rf "$stage" "$stage.log" "$stage.touched"
