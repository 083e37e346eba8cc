#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# plot-bench.sh [BENCH.json [PICTURE.svg]]: draw what make bench measured,
# cost against live blobs.  Default: bench.json in the folder of this series,
# and bench.svg beside it.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

help_if_asked "$@"

json=$(realpath -m -- "${1:-$SERIES_DIR/bench.json}")
svg=$(realpath -m -- "${2:-${json%.json}.svg}")
[ -r "$json" ] || die "$json is not there" "run make bench"
[ -d "$(dirname "$svg")" ] || die "there is no folder $(dirname "$svg")"
"$TOP/scripts/root.sh" need bench

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# Data for each line of the picture, and gnuplot's commands
in_root python3 - "$json" "$tmp" <<'END'
import json
import sys

# The build as the bench names it: colour, label, and which of its cases
BUILDS = {
    "ours": ("#1f5fbf", "with this change", "answers"),
    "stock": ("#c0392b", "stock QEMU", "answers"),
    "floor": ("#777777", "one mmap() each way", "apart"),
}
KINDS = {"map+unmap": ("map and unmap", 3, 1, 7), "map": ("map", 1.5, 2, 6)}
HEAD = """set terminal svg size 760,460 dynamic font "sans-serif,14" \\
    background "#ffffff"
set title "What mapping and unmapping a blob costs"
set xlabel "blobs that are mapped already"
set ylabel "microseconds"
set logscale xy
set grid xtics ytics lc rgb "#dddddd" lt 1
set border 3 lc rgb "#444444"
set tics nomirror
set key at graph 0.99, 0.8 right top vertical spacing 1.2
set format y "%g"
"""


def costs_of(results, build, case):
    """{what: {live: microseconds}}, with the sum of map and unmap."""
    found = {}
    for r in results:
        if (r["build"], r["case"]) == (build, case) and "us" in r:
            found.setdefault(r["what"], {})[r["live"]] = r["us"]
    if "map" in found and "unmap" in found:
        found["map+unmap"] = {live: us + found["unmap"][live]
                              for live, us in found["map"].items()
                              if live in found["unmap"]}
    return found


def curves(results):
    for build, (colour, label, case) in BUILDS.items():
        found = costs_of(results, build, case)
        for what, (name, width, dash, point) in KINDS.items():
            # No cost at all has no place on a logarithmic axis
            points = sorted((live, us) for live, us
                            in found.get(what, {}).items() if us > 0)
            if points:
                yield points, (
                    'with linespoints lw %g dt %d pt %d ps 0.7 lc rgb "%s" '
                    'title "%s: %s"' % (width, dash, point, colour, label,
                                        name))


def main(source, folder):
    with open(source, encoding="utf-8") as f:
        drawn = list(curves(json.load(f)["results"]))
    lives = sorted({live for points, _ in drawn for live, _ in points})
    costs = [us for points, _ in drawn for _, us in points]
    if not costs:
        sys.exit("%s has nothing to draw" % source)
    # A logarithmic axis has no 0: it gets a place left of the first
    zero = next((live for live in lives if live), 16) / 4
    plots = []
    for points, style in drawn:
        data = "%s/%d" % (folder, len(plots))
        with open(data, "w", encoding="utf-8") as f:
            f.writelines("%g %g\n" % (live or zero, us) for live, us in points)
        plots.append('"%s" %s' % (data, style))
    ticks = ", ".join('"%s" %g' % (format(live, ","), live or zero)
                      for live in lives)
    with open(folder + "/commands", "w", encoding="utf-8") as f:
        f.write(HEAD)
        f.write("set xtics (%s)\n" % ticks)
        f.write("set xrange [%g:%g]\n" % ((lives[0] or zero) / 1.5,
                                          lives[-1] * 1.5 or zero * 2))
        f.write("set yrange [%g:%g]\n" % (min(costs) / 2, max(costs) * 2))
        f.write("plot " + ", \\\n     ".join(plots) + "\n")


main(*sys.argv[1:])
END

in_root gnuplot "$tmp/commands" >"$tmp/svg"
grep -q '</svg>' "$tmp/svg" || die "gnuplot drew nothing"
cp -- "$tmp/svg" "$svg"
say "the picture is $svg"
