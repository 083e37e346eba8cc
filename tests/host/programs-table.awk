# SPDX-License-Identifier: GPL-2.0-or-later
#
# What check-programs.py measured, lines "accel build what which value": ours
# beside stock and the newest QEMU, and where it is of a blob's pages, in parts of what the guest's
# own memory takes or gives in the same run.

BEGIN {
    FS = "\t"
    unit["life"] = " us"; unit["touch"] = " ns a page"; unit["copy"] = " MiB/s"
    unit["first"] = " ms"; unit["frames"] = " a second"; unit["unfinished"] = " s"
    name["life"] = "allocated, mapped, written, freed, so many held"
    name["touch"] = "first touch"
    name["first"] = "a program with one frame"
}
{
    key = $1 FS $3 FS $4
    if (!(key in seen)) {
        seen[key] = 1
        order[++n] = key
    }
    value[key, $2] = $5
}

function cell(key, build,    words, own, text)
{
    if (!((key, build) in value)) {
        return "-"
    }
    split(key, words, FS)
    own = words[1] FS words[2] FS "own"
    text = value[key, build] unit[words[2]]
    if (words[3] != "own" && value[own, build] > 0) {
        text = text sprintf(" (%.2f)", value[key, build] / value[own, build])
    }
    return text
}

END {
    printf "%-4s %-48s %-14s  %-26s %-26s %s\n", "", "", "", "ours", "stock", "newest"
    for (i = 1; i <= n; i++) {
        split(order[i], words, FS)
        printf "%-4s %-48s %-14s  %-26s %-26s %s\n", words[1],
               words[2] in name ? name[words[2]] : words[2], words[3],
               cell(order[i], "ours"), cell(order[i], "stock"),
               cell(order[i], "peer")
    }
}
