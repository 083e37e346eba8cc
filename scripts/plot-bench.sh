#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# plot-bench.sh [BENCH.json [PICTURE.svg]]: draw what make bench measured,
# cost against live blobs.  Default: bench.json in the folder of this series,
# and bench.svg beside it.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

case ${1:-} in
-h | --help)
    sed -n 's/^# \?//p' "${BASH_SOURCE[0]}" | sed -n '3,5p'
    exit 0
    ;;
esac

json=$(realpath -m -- "${1:-$SERIES_DIR/bench.json}")
svg=$(realpath -m -- "${2:-${json%.json}.svg}")
[ -r "$json" ] || die "$json is not there" "run make bench"
[ -d "$(dirname "$svg")" ] || die "there is no folder $(dirname "$svg")"
"$TOP/scripts/root.sh" need bench

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# A column of data for each line of the picture, and gnuplot's commands
in_root python3 - "$json" "$tmp" <<'END'
import json
import sys

COLOURS = {"ours": "#1f5fbf", "stock": "#c0392b", "floor": "#777777"}
LABELS = {"ours": "with this change", "stock": "stock QEMU",
          "floor": "system calls alone"}
KINDS = {"map_us": ("map", 1, 7), "unmap_us": ("unmap", 2, 6)}
HEAD = """set terminal svg size 820,520 dynamic font "sans-serif,14" \\
    background "#ffffff"
set title "Mapping and unmapping a blob"
set xlabel "blobs that are mapped already"
set ylabel "microseconds for one command"
set logscale xy
set grid xtics ytics lc rgb "#dddddd" lt 1
set border 3 lc rgb "#444444"
set tics nomirror
set key outside right center vertical spacing 1.3
set format y "%g"
"""


def main(source, folder):
    with open(source, encoding="utf-8") as f:
        series = json.load(f)["series"]
    lives = sorted({p["live"] for s in series for p in s["points"]})
    costs = [p[k] for s in series for p in s["points"] for k in KINDS
             if p.get(k)]
    if not lives or not costs:
        sys.exit("%s has no points" % source)
    # A logarithmic axis has no 0: it gets a place left of the first
    zero = next((x for x in lives if x), 16) / 4
    places = {x: x or zero for x in lives}
    plots = []
    for s in series:
        name = s["name"]
        for key, (what, dash, point) in KINDS.items():
            # No cost at all has no place on a logarithmic axis
            points = sorted((places[p["live"]], p[key]) for p in s["points"]
                            if p.get(key))
            if not points:
                continue
            data = "%s/%d" % (folder, len(plots))
            with open(data, "w", encoding="utf-8") as f:
                f.writelines("%g %g\n" % xy for xy in points)
            plots.append(
                '"%s" with linespoints lw 2 dt %d pt %d ps 0.7 lc rgb "%s" '
                'title "%s: %s"' % (data, dash, point,
                                    COLOURS.get(name, "#2e8b57"),
                                    LABELS.get(name, name), what))
    ticks = ", ".join('"%d" %g' % (x, at) for x, at in places.items())
    with open(folder + "/commands", "w", encoding="utf-8") as f:
        f.write(HEAD)
        f.write("set xtics (%s)\n" % ticks)
        f.write("set xrange [%g:%g]\n" % (min(places.values()) / 1.5,
                                          max(places.values()) * 1.5))
        f.write("set yrange [%g:%g]\n" % (min(costs) / 2, max(costs) * 2))
        f.write("plot " + ", \\\n     ".join(plots) + "\n")


main(*sys.argv[1:])
END

in_root gnuplot "$tmp/commands" >"$tmp/svg"
grep -q '</svg>' "$tmp/svg" || die "gnuplot drew nothing"
cp -- "$tmp/svg" "$svg"
say "the picture is $svg"
