#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# clang-unit.sh FOLDER JOBS TEST...: in the root: build unit tests once more with
# clang, as FOLDER/clang/TEST.  What they test and the tests themselves are
# compiled by it; QEMU's libraries are those that ninja built in FOLDER.
set -euo pipefail

[ $# -ge 3 ] || { sed -n '4,/^[^#]\|^$/s/^# \?//p' "$0" >&2; exit 1; }
cd "$1"
jobs=$2
shift 2
rm -rf clang
mkdir clang
for test; do
    mkdir "clang/$test.p"
    # gcc's commands for its own objects, and the last: the program's
    ninja -t commands "tests/unit/$test" |
        grep -E -- " -o tests/unit/$test(\.p/| )" |
        sed -E "s#^(ccache )?gcc #\1clang -Wno-unknown-warning-option #
                s# tests/unit/$test(\.p/| )# clang/$test\1#g" >"clang/$test.commands"
    grep -e ' -c ' "clang/$test.commands"
done | tr '\n' '\0' | xargs -0 -P "$jobs" -I{} sh -c '{}'
for test; do
    grep -v -e ' -c ' "clang/$test.commands"
done | tr '\n' '\0' | xargs -0 -P "$jobs" -I{} sh -c '{}'
