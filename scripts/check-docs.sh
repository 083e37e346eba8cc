#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check-docs.sh: QEMU's manual builds with our pages, none of them warns, and
# each is reached from the manual's contents
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

out=$SERIES_DIR/manual
log=$SERIES_DIR/manual.log
passed=0 failed=0

# result STATUS WHAT
result()
{
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
        echo "ok      $2"
    else
        failed=$((failed + 1))
        echo "not ok  $2"
    fi
}

# holds COMMAND...: 0 or 1, whatever set -e thinks
holds()
{
    if "$@"; then echo 0; else echo 1; fi
}

run "$TOP/scripts/root.sh" ensure
run "$TOP/scripts/root.sh" need docs
run "$TOP/scripts/source.sh"
run "$TOP/scripts/overlay.sh"
mkdir -p "$out"
say "building the manual of QEMU $SERIES (about 1 min)"
status=0
in_root sphinx-build -q -j "$JOBS" -D version="$SERIES" -D release="$SERIES" \
    -b html -d "$out/doctrees" "$(inside "$QEMU_SRC")/docs" "$(inside "$out")/html" \
    >"$log" 2>&1 </dev/null || status=$?
[ "$status" = 0 ] || tail -n 20 "$log" >&2
result "$status" "the manual builds"

while IFS= read -r page; do
    name=${page#docs/}
    grep -F "$name" "$log" >&2 || :
    result "$(holds eval '! grep -qF "$name" "$log"')" "$page has no warning"
    html=$out/html/${name%.rst}.html
    result "$(holds test -s "$html")" "$page became a page"
    result "$(holds grep -rqF --include='*.html' --exclude="${html##*/}" "${html##*/}" "$out/html")" \
        "$page is linked from another"
done < <(cd "$TOP" && find docs -name '*.rst' | LC_ALL=C sort)

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
