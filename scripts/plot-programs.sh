#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# plot-programs.sh [PROGRAMS.tsv [PICTURE.svg]]: draw what programs in a guest
# feel, as make check-host ARGS=programs measured it.  Default: programs.tsv in
# the folder of this series, and programs.svg beside it.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

help_if_asked "$@"

tsv=$(realpath -m -- "${1:-$SERIES_DIR/programs.tsv}")
svg=$(realpath -m -- "${2:-${tsv%.tsv}.svg}")
[ -s "$tsv" ] || die "$tsv is not there" "run make check-host ARGS=programs"
[ -d "$(dirname "$svg")" ] || die "there is no folder $(dirname "$svg")"
"$TOP/scripts/root.sh" need bench

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# gnuplot's commands: a chart for each of these, with a group of bars a row
in_root python3 - "$tsv" >"$tmp/commands" <<'END'
import sys

BARS = [("kvm", "ours", "#1f5fbf", "KVM, with this change"),
        ("kvm", "stock", "#c0392b", "KVM, stock QEMU"),
        ("kvm", "peer", "#2e8b57", "KVM, newest QEMU"),
        ("tcg", "ours", "#9dbce8", "TCG, with this change"),
        ("tcg", "stock", "#e6aaa3", "TCG, stock QEMU"),
        ("tcg", "peer", "#a9d6bb", "TCG, newest QEMU")]
CHARTS = [("ms to allocate, map, write and free, so many held (no bar: not tried, refused or stuck)", "life",
           ["0", "250", "500", "2000"], 1e-3),
          ("time of first touch and copies, in times the guest's own memory", "part",
           ["touch", "into", "out of", "within"], 1),
          ("frames a second", "frames", ["GL", "Vulkan"], 1)]
HEAD = """set terminal svg size 960,720 dynamic font "sans-serif,14" \\
    background "#ffffff"
set multiplot layout 3,1
set style fill solid border -1
set style data histograms
set style histogram clustered gap 1
set border 3 lc rgb "#444444"
set tics nomirror
set grid ytics lc rgb "#dddddd" lt 1
set key outside right top spacing 1.2
set rmargin at screen 0.73
set format y "%g"
set boxwidth 0.9
"""


# where a scale is of powers
MARKS = ["%ge%d" % (n, power) for power in range(-2, 5) for n in (1, 2, 5)]


def read(path):
    """{(accel, build, what, which): value}, of what is a number"""
    found = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            *key, value = line.rstrip("\n").split("\t")
            try:
                found[tuple(key)] = float(value)
            except ValueError:
                pass
    for (accel, build, what, which), value in list(found.items()):
        own = found.get((accel, build, what, "own"))
        if own and which.endswith("blob") and value:
            # what is dearer than the guest's own memory is above one
            part = value / own if what == "touch" else own / value
            row = "touch" if what == "touch" else which[:-len(" the blob")]
            found[accel, build, "part", row] = part
    return found


def chart(found, title, what, rows, scale):
    values = {(row, bar[:2]): found.get((*bar[:2], what, row))
              for row in rows for bar in BARS}
    rows = [row for row in rows if any(values[row, b[:2]] for b in BARS)]
    seen = [v * scale for v in values.values() if v]
    if not seen:
        return
    print('set title "%s" offset 0,-0.5' % title)
    # a hundred times more would hide the rest
    log = max(seen) > 20 * min(seen)
    print("set logscale y" if log else "unset logscale y")
    print("set ytics (%s)" % ", ".join(MARKS) if log else "set ytics auto")
    print("set yrange [%g:%g]" % (min(seen) / 3 if log else 0,
                                  max(seen) * 1.2))
    print("$data << END")
    for row in rows:
        print('"%s"' % row, *("%g" % (values[row, bar[:2]] * scale)
                              if values[row, bar[:2]] else "NaN"
                              for bar in BARS))
    print("END")
    plots = ['$data using %d:xtic(1) lc rgb "%s" title "%s"' %
             (n + 2, bar[2], bar[3]) for n, bar in enumerate(BARS)
             if any(values[row, bar[:2]] for row in rows)]
    print("plot " + ", \\\n     ".join(plots))
    # said once, for all of them
    print("unset key")


found = read(sys.argv[1])
print(HEAD)
for words in CHARTS:
    chart(found, *words)
END

in_root gnuplot "$tmp/commands" >"$tmp/svg"
grep -q '</svg>' "$tmp/svg" || die "gnuplot drew nothing"
cp -- "$tmp/svg" "$svg"
say "the picture is $svg"
