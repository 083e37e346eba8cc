#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# programs-guest.sh memory|frames PATIENCE WORDS...: in a guest that has nothing but
# its initramfs: vk-bench with these words, or a Vulkan and a GL program of the
# distribution's, each for so many seconds at most.  Lines
# "what<tab>which<tab>value", as vk-bench's: "frames" are a second; "first" is in
# ms from a program's start to its end, but for all frames except the first.

part=$1 patience=$2
shift 2
lib=/usr/lib/x86_64-linux-gnu
export VK_DRIVER_FILES=/usr/share/vulkan/icd.d/virtio_icd.json GBM_BACKENDS_PATH=$lib
export MESA_SHADER_CACHE_DISABLE=true XDG_RUNTIME_DIR=/run HOME=/run
mkdir -p /run

say()
{
    printf '%s\t%s\t%s\n' "$@"
}

# What is stuck in the kernel cannot be ended: then all ends
bounded()
{
    local watch status=0
    { sleep "$patience"; say unfinished "${1##*/}" "$patience"; echo "STEP end 124"; } >/dev/console &
    watch=$!
    "$@" || status=$?
    kill "$watch"
    return $status
}

# frames WHICH DRAWN PROGRAM...: DRAWN is the ms it draws, or -N: N frames
frames()
{
    local which=$1 drawn=$2 start=${EPOCHREALTIME/./} ms
    shift 2
    if ! bounded "$@" >/run/log 2>&1; then
        say refused "$which" "$(sed -n '/[Ee]rror/{p;q}' /run/log)"
        return
    fi
    ms=$(((${EPOCHREALTIME/./} - start) / 1000))
    awk -v OFS='\t' -v which="$which" -v ms=$ms -v drawn="$drawn" '
        sub(/.*FrameTime: */, "") && $1 + 0 > 0 && $1 < 1e9 {
            printf "frames\t%s\t%.2f\n", which, 1000 / $1
            printf "first\t%s\t%.0f\n", which,
                ms + $1 - (drawn < 0 ? -drawn * $1 : drawn > $1 ? drawn : $1)
            exit
        }' /run/log
}

if [ "$part" = memory ]; then
    bounded vk-bench "$@"
else
    frames GL -4 glmark2-es2-drm --off-screen -b build:nframes=4:duration=100
    frames Vulkan 20000 vkmark --winsys=headless "--winsys-dir=$lib" --size=320x240 \
        -b vertex:duration=20
fi
