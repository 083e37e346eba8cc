#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# link-modules.sh SOURCE BUILD OUT MODULE...: the modules as a distribution's
# emulator can load them.  Our trace events are compiled into our emulator; for
# another one the gl module brings them, as a group of its own, and what else it
# lacks (virtio-gpu-blob-stock.c).  STRIP names another strip.
set -euo pipefail

[ $# -ge 4 ] || { sed -n '4,/^[^#]\|^$/s/^# \?//p' "$0" >&2; exit 1; }
stock=$(cd "$(dirname "$0")" && pwd)/virtio-gpu-blob-stock.c
source=$1 build=$2 out=$3
shift 3
gl=hw-display-virtio-gpu-gl.so
group=virtio_gpu_blob
cd "$build"

# tracetool FORMAT FILE
tracetool()
{
    python3 "$source/scripts/tracetool.py" --backend=log --group=$group \
        --format="$1" drop-in.events "$2"
}

grep -E "^virtio_gpu_(blob|virgl)_" "$source/hw/display/trace-events" >drop-in.events
tracetool h trace-$group.h
tracetool c trace-$group.c

# As ninja compiles their neighbour and links the module, with two objects more
object=lib${gl%.so}.a.p/hw_display_virtio-gpu-blob.c.o
neighbour=$(ninja -t commands "$object" | tail -n 1)
read -ra words <<<"$neighbour"
compile=()
for ((i = 0; i < ${#words[@]}; i++)); do
    case ${words[i]} in
    -MD) ;;
    -MQ | -MF | -o | -c) i=$((i + 1)) ;;
    *) compile+=("${words[i]}") ;;
    esac
done
# in place of ccache: its cache is not worth two small files
[ "${compile[0]}" != ccache ] || compile=("${compile[@]:1}")
"${compile[@]}" -o trace-$group.o -c trace-$group.c
"${compile[@]}" -o stock-$group.o -c "$stock"

read -ra words <<<"$(ninja -t commands "$gl" | tail -n 1)"
link=()
for ((i = 0; i < ${#words[@]}; i++)); do
    case ${words[i]} in
    -o)
        link+=(-o "$out/$gl")
        i=$((i + 1))
        ;;
    "$object") link+=("$object" trace-$group.o stock-$group.o) ;;
    *) link+=("${words[i]}") ;;
    esac
done
"${link[@]}"

for module; do
    [ "$module" = $gl ] || cp -- "$module" "$out/$module"
    "${STRIP:-strip}" --strip-unneeded -- "$out/$module"
    chmod 644 -- "$out/$module"
done
