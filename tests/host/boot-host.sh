#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Boot a host of our own under TCG, with the folder we run in as its root, and
# run a program in it. To be called where the programs are (scripts/in-root.sh).

set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)

usage()
{
    cat <<USAGE
Usage: ${0##*/} --out=DIR --job=PROGRAM [options] -- QEMU [QEMU-OPTIONS...]

  --out=DIR       /run/out of the host: results, console.log; must be empty
  --job=PROGRAM   what the host runs, by its absolute path
  --kernel=FILE   default: the distribution's newest in /boot
  --modules=VER   kernel version whose modules it needs (default: of the
                  distribution's kernel; none when --kernel is given)
  --tree=DIR      another kernel: DIR/boot/vmlinuz-VER, DIR/lib/modules/VER
  --timeout=SEC   give up after this long (default 300)
  --memory=SIZE   default 4G
  --append=WORDS  more for the kernel's command line
  --arm64=TREE    an arm64 host, --kernel is its Image; its system is TREE, a
                  folder of ours, and all else is there as it is here
  --with=DIR      a copy of DIR is there, too, in the host's memory: in /run/with
  --cpu=MODEL     an arm64 host's processor (default max)
  --processors=N  default: 1, of an arm64 host 2
  --name=TEXT     how messages call it
USAGE
}

out= job= kernel= modules= tree=/ timeout=300 memory=4G append= name=host
arm64= with= cpu=max processors=
while [ $# -gt 0 ]; do
    case $1 in
    --out=*) out=${1#*=} ;;
    --job=*) job=${1#*=} ;;
    --kernel=*) kernel=${1#*=} ;;
    --modules=*) modules=${1#*=} ;;
    --tree=*) tree=${1#*=} ;;
    --timeout=*) timeout=${1#*=} ;;
    --memory=*) memory=${1#*=} ;;
    --append=*) append=${1#*=} ;;
    --arm64=*) arm64=${1#*=} ;;
    --with=*) with=$(realpath -- "${1#*=}") ;;
    --cpu=*) cpu=${1#*=} ;;
    --processors=*) processors=${1#*=} ;;
    --name=*) name=${1#*=} ;;
    --help|-h) usage; exit 0 ;;
    --) shift; break ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done
if [ -z "$out" ] || [ -z "$job" ] || [ $# -eq 0 ]; then
    usage >&2
    exit 2
fi

die()
{
    echo "$name: $*" >&2
    if [ -s "$out/console.log" ]; then
        echo "$name: the end of its console:" >&2
        tail -n 30 "$out/console.log" | sed 's/^/  | /' >&2
    fi
    exit 1
}

if [ -z "$kernel" ]; then
    kernel=$(find "${tree%/}/boot" -name 'vmlinuz-*' | sort -V | tail -1)
    [ -n "$kernel" ] || die "no kernel in ${tree%/}/boot: install linux-image-amd64"
    modules=${modules:-${kernel##*/vmlinuz-}}
fi
[ -r "$kernel" ] || die "no kernel $kernel"
mkdir -p "$out"

tmp=$(mktemp -d "${TMPDIR:-/tmp}/host.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
needed=(virtio_pci 9pnet_virtio 9p)
# What init loads from its root is not there for another kernel, and some
# packages do not tell what is built in
if [ "$tree" != / ]; then
    needed=()
    for m in virtio_pci 9pnet_virtio 9p udmabuf vgem system_heap kvm_amd; do
        if /sbin/modinfo -b "$tree" -k "$modules" "$m" >/dev/null 2>&1; then
            needed+=("$m")
        else
            echo "$name: no module $m for its kernel: built in, or not there" >&2
        fi
    done
fi
if [ -n "$arm64" ]; then
    needed=()
    append+=" tree=$arm64"
    export BUSYBOX=$arm64/usr/bin/busybox
fi
MODULES_ROOT=$tree "$HERE/make-initramfs.sh" "$tmp/initramfs" "$HERE/init" "${modules:--}" \
    "${needed[@]}" || die "no initramfs"
if [ -n "$with" ]; then
    # what is not compressed comes first
    (cd "${with%/*}" && find "${with##*/}" | cpio -o -H newc 2>/dev/null) |
        cat - "$tmp/initramfs" >"$tmp/both" || die "no copy of $with"
    mv "$tmp/both" "$tmp/initramfs"
    append+=" with=${with##*/}"
fi

#
# The machine
#

# One processor: guests start sooner, as there is no other to wait for.
# The kernel measures its TSC twice. When the first result is off, as it is on a
# busy machine, KVM lets guests without a running TSC start, and their timers
# never fire: the tolerance is more than the 1 % that the second may correct.
board=(-M q35,kernel-irqchip=split -cpu max -smp "${processors:-1}")
console=ttyS0
# Here a guest's processor may be busy while QEMU is asked
if [ -n "$arm64" ]; then
    board=(-M virt,virtualization=on,gic-version=3 -cpu "$cpu" -smp "${processors:-2}")
    console=ttyAMA0
fi
args=(
    "${board[@]}" -m "$memory"
    -accel tcg,thread=multi
    -nodefaults -no-user-config -no-reboot
    -serial "file:$out/console.log"
    -kernel "$kernel" -initrd "$tmp/initramfs"
    -append "console=$console panic=-1 quiet loglevel=4 kvm.tsc_tolerance_ppm=20000 job=$job $append"
    -fsdev local,id=root,path=/,security_model=none,readonly=on,multidevs=remap
    -device virtio-9p-pci,fsdev=root,mount_tag=root
    -fsdev "local,id=out,path=${out//,/,,},security_model=none"
    -device virtio-9p-pci,fsdev=out,mount_tag=out
)
case " $* " in
*" -display "*) ;;
*) args+=(-display none) ;;
esac

rm -f "$out/status"
start=$SECONDS
setpriv --pdeathsig TERM -- timeout --signal=TERM --kill-after=10 "$timeout" "$@" "${args[@]}" \
    </dev/null >"$out/outer.log" 2>&1 || rc=$?
case ${rc:-0} in
0) ;;
124|137) die "not done after $timeout s" ;;
*) tail -5 "$out/outer.log" >&2; die "the outer QEMU failed (${rc})" ;;
esac
grep -a 'host: step' "$out/console.log" >&2 && die "it did not come up"
[ -s "$out/status" ] || die "its program said nothing about its end"
echo "$name: done in $((SECONDS - start)) s" >&2
exit "$(cat "$out/status")"
