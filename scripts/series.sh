#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# series.sh [--signoff] [SERIES]...   the change as series of patches for git am,
#                                     made from the same files as the overlay,
#                                     for each supported release, in folders:
#                                     build/series-SERIES/NAME
# series.sh --tree SERIES             print a copy of this repository that is
#                                     configured for SERIES
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

COPIED=(configure meson.build Makefile LICENSE scripts packaging hw include contrib tests docs configs)

# A series that is not the configured one is worked on in a copy of this tree,
# so that nothing configured here changes
tree_for()
{
    local series=$1 tree=$BUILD/series.d/$1 f
    if [ "$series" = "$SERIES" ]; then
        printf '%s\n' "$TOP"
        return
    fi
    mkdir -p "$tree/subprojects"
    for f in "${COPIED[@]}" subprojects/packagefiles; do
        rm -rf "${tree:?}/$f"
        cp -a -- "$TOP/$f" "$tree/$f"
    done
    {
        printf '%s=%q\n' SERIES "$series" BUILD_DIR "$tree/build" QEMU_SOURCE '' \
            SOURCE_CACHE "$SOURCE_CACHE" ROOT_MODE "$ROOT_MODE" MIRROR "$MIRROR" \
            CONFIG_SANITIZE 0 CONFIG_COVERAGE 0 CONFIG_JOBS "$CONFIG_JOBS"
    } >"$tree/config.sh"
    mkdir -p "$tree/build"
    printf '%s\n' "$tree"
}

# The author of a commit of ours, for want of one the user
author()
{
    git -C "$TOP" log -1 --format="$1" 2>/dev/null || :
}

# write_kernel FOLDER AUTHOR: the kernel's half, for the list of dma-buf
write_kernel()
{
    local out=$1 author=$2 text=$TOP/packaging/series/kernel.txt list p n=0
    list=("$TOP"/tests/host/linux-6.12/0*.patch)
    mkdir -p "$out"
    {
        printf 'From: %s\nSubject: [PATCH 0/%d] ' "$author" "${#list[@]}"
        cat "$text"
        echo
        for p in "${list[@]}"; do
            n=$((n + 1))
            sed -E "s|^From: .*|From: $author|; s|^(Subject: \[PATCH)\]|\1 $n/${#list[@]}]|" "$p" >"$out/${p##*/}"
            printf '  %s\n  ' "$(sed -n 's/^Subject: \[PATCH\] //p' "$p")"
            grep -E '^ [0-9]+ files? changed' "$p"
        done
    } >"$out/0000-cover-letter.patch"
}

write_one()
{
    local out=$1 name email date options=()
    shift
    run "$TOP/scripts/root.sh" ensure
    run "$TOP/scripts/source.sh"
    run "$TOP/scripts/overlay.sh"
    name=$(author %an) email=$(author %ae) date=$(author %aI)
    [ $# -eq 0 ] || options=("${@/#/--option=}")
    # in the root: there is git and python, whatever this system has
    run "$TOP/scripts/in-root.sh" python3 "$TOP/packaging/series.py" \
        --pristine "$PRISTINE" --overlaid "$QEMU_SRC" \
        --list "$SERIES_DIR/overlay.list" --steps "$TOP/packaging/series" \
        --hooks "$TOP/subprojects/packagefiles/qemu-$SERIES" \
        --out "$out" --release "$SERIES" \
        --name "${name:-${USER:-root}}" --email "${email:-${USER:-root}@localhost}" \
        --date "${date:-2000-01-01T00:00:00Z}" "${options[@]}"
    write_kernel "$out/kernel" "${name:-${USER:-root}} <${email:-${USER:-root}@localhost}>"
    say "$(wc -l <"$out/order") series, $(find "$out" -name '0*.patch' ! -name '0000-*' ! -path '*/kernel/*' | wc -l) patches: $out, for $(sed -n 's/^what=//p' "$PRISTINE/.virtio-gpu-blob-source")"
}


series=()
options=()
while [ $# -gt 0 ]; do
    case $1 in
    --signoff) options+=(--signoff) ;;
    --tree)
        tree_for "${2:?which series?}"
        exit
        ;;
    --write)
        shift
        write_one "$@"
        exit
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
[ ${#series[@]} -gt 0 ] || series=(10.0 10.2)
build_folder
for s in "${series[@]}"; do
    tree=$(tree_for "$s")
    run "$tree/scripts/series.sh" --write "$BUILD/series-$s" "${options[@]}"
done
