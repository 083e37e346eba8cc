# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the scripts that boot hosts share; to be sourced after env.sh.  Sets
# HERE, and counts in passed, failed and skipped.

HERE=$TOP/tests/host
passed=0 failed=0 skipped=0
# Options of boot-host.sh, and the QEMU that it boots with: "NAME=VALUE..." and
# the command
HOST=()
EMULATOR=()

# count LINE WHAT: adds up a last line
count()
{
    local line=$1
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)? ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
        skipped=$((skipped + ${BASH_REMATCH[4]:-0}))
    else
        failed=$((failed + 1))
        echo "FAILED - $2: it gave no result"
    fi
}

skip()
{
    echo "skipped - $1: $2"
    skipped=$((skipped + 1))
}

# A path as seen in the root
inside()
{
    local path=$1
    if [ -e "$BUILD/.aliased" ]; then
        path=${path/#"$BUILD"/"$IN_BUILD"}
    fi
    printf '%s\n' "$path"
}

quote()
{
    printf '%q ' "$@"
}

# vulkan_programs STEP FOLDER CC...: compiles them into that folder
vulkan_programs()
{
    local step=$1 dir=$2
    shift 2
    mkdir -p "$dir"
    # shellcheck disable=SC2016
    if ! run "$TOP/scripts/in-root.sh" bash -c '
            here=$1 dir=$2
            shift 2
            cc=("$@" -O2 -Wall -Wextra -I "$dir") &&
            glslangValidator -V --vn shader -o "$dir/vk-check.spv.h" "$here/vk-check.comp" &&
            "${cc[@]}" -o "$dir/vk-check" "$here/vk-check.c" -lvulkan &&
            "${cc[@]}" -o "$dir/vk-bench" "$here/vk-bench.c" -lvulkan' \
            vk-programs "$HERE" "$(inside "$dir")" "$@" >"$dir/vk-programs.log" 2>&1; then
        tail -n 10 "$dir/vk-programs.log"
        echo "FAILED - $step: its programs do not compile"
        count "0 passed, 1 failed"
        return 1
    fi
}

# linked_image TREE TRIPLET DIR IMAGE FILE...: those files and all that they are
# linked with, and folders as they are in TREE, in front of an image, by DIR: a
# root that is served to a guest takes it minutes.  What is not compressed comes
# first
linked_image()
{
    # shellcheck disable=SC2016
    in_root bash -c '
        set -euo pipefail
        tree=${1%/} lib=$1/usr/lib/$2 out=$3 image=$4 need=()
        shift 4
        rm -rf "$out"
        mkdir -p "$out/i"/{bin,lib,lib64,"${lib#"$tree"}"}
        for file; do
            if [ -d "$file" ]; then
                mkdir -p "$(dirname "$out/i${file#"$tree"}")"
                cp -r "$file" "$out/i${file#"$tree"}"
            else
                need+=("$file")
            fi
        done
        while [ ${#need[@]} -gt 0 ]; do
            found=()
            for file in "${need[@]}"; do
                [ ! -e "$out/${file##*/}" ] || continue
                cp -L "$file" "$out/"
                while read -r name; do
                    found+=("$lib/$name")
                done < <(readelf -d "$file" | sed -n "s/.*(NEEDED).*\[\(.*\)\]/\1/p")
            done
            need=("${found[@]}")
        done
        for file in "$out"/*; do
            case ${file##*/} in
            i) ;;
            ld-linux-x86*) mv "$file" "$out/i/lib64/" ;;
            ld-linux-*) mv "$file" "$out/i/lib/" ;;
            *.so*) mv "$file" "$out/i${lib#"$tree"}/" ;;
            *) mv "$file" "$out/i/bin/" ;;
            esac
        done
        cd "$out/i"
        find . | cpio -o -H newc -R 0:0 2>/dev/null | cat - "$image" >"$image.tmp"
        mv "$image.tmp" "$image"' linked "$@"
}

# boot DIR SECONDS [QEMU-OPTION...] <PROGRAM
# Boots, runs the program, counts what its result.log says
boot()
{
    local dir=$1 bound=$2 name rc=0
    name=$(basename "$dir")
    shift 2
    rm -rf "$dir"
    mkdir -p "$dir"
    {
        echo "cd $(quote "$HERE")"
        echo "export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1"
        echo "export MESA_SHADER_CACHE_DISABLE=true"
        echo "mkdir -p /run/t; ulimit -n 16384"
        cat
        echo "rc=\$?; cp /run/t/*.log /run/t/*.err /run/out/ 2>/dev/null; exit \$rc"
    } >"$dir/job"
    say "$name (at most $bound s)"
    run "$TOP/scripts/in-root.sh" env SDL_VIDEODRIVER=offscreen \
        "$HERE/boot-host.sh" --out="$(inside "$dir")" --job=/run/out/job \
        --timeout="$bound" --name="$name" "${HOST[@]}" -- env "${EMULATOR[@]}" "$@" || rc=$?
    if [ ! -s "$dir/result.log" ]; then
        echo "FAILED - $name: its machine ended with $rc and gave no result"
        failed=$((failed + 1))
        return
    fi
    grep -Ev '^(ok ([0-9]+ )?- |1\.\.|[0-9]+ passed)' "$dir/result.log" || :
    count "$(tail -n 1 "$dir/result.log")" "$name"
    echo "$name: $(tail -n 1 "$dir/result.log")"
}

# Programs on stdin, one a line: their output in one, their results added up
together()
{
    local n=0 line
    while IFS= read -r line; do
        [ -n "$line" ] || continue
        echo "{ $line; } >>/run/t/all.out 2>&1"
        n=$((n + 1))
    done
    cat <<JOB
busybox awk -v programs=$n '
    /^[0-9]+ passed, [0-9]+ failed/ {
        n++; passed += \$1; failed += \$3; skipped += \$5; next
    }
    { print }
    END {
        if (n != programs) {
            print "FAILED - " programs - n " programs gave no result"
            failed += programs - n
        }
        print passed + 0 " passed, " failed + 0 " failed, " \
            skipped + 0 " skipped"
    }' /run/t/all.out >/run/out/result.log
JOB
}
