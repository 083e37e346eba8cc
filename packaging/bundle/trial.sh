# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=dash
#
# trial.sh FOLDER LIBC OPTION...: for ./trial, in busybox's shell, whose own
# tools come before the system's.

here=$1 libc=$2
shift 2

usage()
{
    cat <<'END'
./trial [OPTION]...      try virtio-gpu's blobs on this system
./trial --qemu -- ARGS   run the QEMU in this folder, with QEMU's arguments

  --headless      no window, though there is a display
  --tcg           no KVM, though it may be used
  --stock         the device of QEMU without our change, to compare with; for
                  --qemu, too, before it
  --no-gpu        leave the GPU alone: OpenGL and Vulkan by the processor
  --time=SECONDS  how long all of it may take; 120 unless told
  --help          this text

It says what it found, and writes report/report.txt and report/report.json.
Exit status: 0 it works, 1 with limits, 2 it does not work or could not be
tried, 3 this system or the command line is not one to try it with.
END
}

die()
{
    printf 'trial: %s\n' "$1" >&2
    exit 3
}

# Sets LIBRARIES: folders of libraries that QEMU gets beside the system's own.
# Those behind its own are for what it does not load
find_libraries()
{
    local behind
    behind=$(unset LD_LIBRARY_PATH && "$here/lib/probe-libs" "$here"/lib/behind-drivers/* "$here"/lib/behind/*) ||
        behind=
    MISSING=$behind
    LIBRARIES=$here/lib/ours${behind:+:$behind}
}

# It starts with these libraries, each symbol found
starts()
{
    LD_BIND_NOW=1 emulator -machine none -device virtio-gpu-gl-pci,help >/dev/null 2>"$1"
}

# Where the system's libraries are too old, ours go first; never drivers' own
prefer_ours()
{
    local dir
    for dir in "$here"/lib/behind/*; do
        LIBRARIES=$LIBRARIES:$dir
    done
}

with_libraries()
{
    LD_LIBRARY_PATH=$LIBRARIES${CALLERS_LIBRARIES:+:$CALLERS_LIBRARIES} \
        QEMU_MODULE_DIR=$here/lib/${stock:-modules} RENDER_SERVER_EXEC_PATH=$here/lib/virgl_render_server \
        exec "$@"
}

emulator()
{
    (with_libraries "$here/lib/qemu-system-x86_64" -L "$here/firmware" "$@")
}

headless='' tcg='' no_gpu='' stock='' limit=120
CALLERS_LIBRARIES=${LD_LIBRARY_PATH:-}
while [ $# -gt 0 ]; do
    case $1 in
    --qemu)
        shift
        [ "${1:-}" != -- ] || shift
        find_libraries
        starts /dev/null || prefer_ours
        with_libraries "$here/lib/qemu-system-x86_64" -L "$here/firmware" "$@"
        ;;
    --headless) headless=1 ;;
    --tcg) tcg=1 ;;
    --stock) stock='stock-modules' ;;
    --no-gpu) no_gpu=1 ;;
    --time=*)
        limit=${1#*=}
        case $limit in
        '' | *[!0-9]* | ?????*) die "--time=$limit is no number of seconds" ;;
        esac
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) die "no such option: $1; see ./trial --help" ;;
    esac
    shift
done

umask 022
tmp=$(mktemp -d "${TMPDIR:-/tmp}/virtio-gpu-blob-trial.XXXXXX") ||
    die "no folder can be made in ${TMPDIR:-/tmp}: set TMPDIR to a folder that you may write"
pid='' helpers=''
cleanup()
{
    # shellcheck disable=SC2086 # each is a number
    [ -z "$pid$helpers" ] || kill -9 $pid $helpers 2>/dev/null
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# What drivers cache and write at home stays here
XAUTHORITY=${XAUTHORITY:-${HOME:-}/.Xauthority}
real_home=${HOME:-} real_user=$(id -un 2>/dev/null) real_name=$(uname -n)
export XAUTHORITY HOME="$tmp" XDG_CACHE_HOME="$tmp" XDG_CONFIG_HOME="$tmp" XDG_DATA_HOME="$tmp"
export MESA_SHADER_CACHE_DISABLE=true __GL_SHADER_DISK_CACHE=0
[ -n "${XDG_RUNTIME_DIR:-}" ] || export XDG_RUNTIME_DIR="$tmp"
# A blob of shared memory keeps a file open
files=$(ulimit -H -n)
case $files in
unlimited | ??????*) files=65536 ;;
esac
ulimit -n "$files" 2>/dev/null
for file in facts gpus runs blobs times troubles decisions checks said doctor.json text; do
    : >"$tmp/$file"
done

now()
{
    local up rest
    read -r up rest </proc/uptime
    echo "${up%.*}${up#*.}0"
}
started=$(now)
left()
{
    echo $((limit - ($(now) - started) / 1000))
}

say()
{
    printf '%s\n' "$*"
    printf '%s\n' "$*" >>"$tmp/text"
}
fact() { printf '%s\t%s\n' "$1" "$2" >>"$tmp/facts"; }
took() { printf '%s\t%s\n' "$1" "$2" >>"$tmp/times"; }
# trouble WHAT HELP
trouble()
{
    say "! $1: $2"
    printf '%s\t%s\n' "$1" "$2" >>"$tmp/troubles"
}
# check GOOD WHAT: GOOD is 1 or 0
check()
{
    printf '%s\n' "$1" >>"$tmp/checks"
    [ "$1" = 1 ] || trouble "wrong: $2" "this is a fault: send the report"
}
# equal GOT WANT WHAT
equal()
{
    if [ "$1" = "$2" ]; then
        check 1 "$3"
    else
        check 0 "$3 ($1, not $2)"
    fi
}
# field NAME LINE: the value of a word NAME=VALUE
field()
{
    local word
    for word in $2; do
        case $word in
        "$1"=*)
            printf '%s\n' "${word#*=}"
            return
            ;;
        esac
    done
}
# after WORD LINE: the word that follows it
after()
{
    local word last=
    for word in $2; do
        if [ "$last" = "$1" ]; then
            printf '%s\n' "$word"
            return
        fi
        last=$word
    done
}

# No names of users, folders and machines
anonymous()
{
    local quoted name
    {
        printf '%s\tTRIAL\n%s\tTMP\n' "$here" "$tmp"
        case $real_home in
        ?*/?*) printf '%s\tHOME\n' "$real_home" ;;
        esac
        for name in "$real_user,USER" "$real_name,HOST"; do
            case ${name%,*} in
            '' | root | ? | ?? | localhost) ;;
            *) printf '\\b%s\\b\t%s\n' "${name%,*}" "${name##*,}" ;;
            esac
        done
    } | while IFS='	' read -r quoted name; do
        quoted=$(printf '%s' "$quoted" | sed 's/[].[*^$!]/\\&/g')
        printf 's!%s!%s!g\n' "$quoted" "$name"
    done >"$tmp/anonymous.sed"
    # of any length where the doctor has it: a short one may be a part of words
    case $real_user in
    '' | root) ;;
    *)
        quoted=$(printf '%s' "$real_user" | sed 's/[].[*^$!\]/\\&/g')
        printf 's!%s%s\\b!\\1USER!g\n' '\(the user \)' "$quoted" \
            '\(usermod -aG [^ ]* \)' "$quoted" '\(setfacl -m u:\)' "$quoted" >>"$tmp/anonymous.sed"
        ;;
    esac
    cat >>"$tmp/anonymous.sed" <<'END'
s!/home/[^/[:space:]"',:]*!/home/USER!g
s!/run/user/[0-9]*!/run/user/UID!g
s!/\(media\|mnt\|srv\|opt\|root\|tmp\)/[^[:space:]"',:)]*!/\1/...!g
END
    sed -f "$tmp/anonymous.sed"
}

host_facts()
{
    local name value dir driver
    while read -r name value; do
        fact "version-$name" "$value"
    done <"$here/lib/versions"
    fact os "$(. /etc/os-release 2>/dev/null && printf '%s' "${PRETTY_NAME:-}")"
    fact kernel "$(uname -r)"
    [ -z "$stock" ] || fact device stock
    fact libc "$libc"
    fact cpu "$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)"
    fact missing-libraries "$(printf '%s' "$MISSING" | tr : '\n' | sed 's|.*/||' | tr '\n' ' ' | sed 's/ $//')"
    if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
        fact kvm usable
    elif [ -e /dev/kvm ]; then
        fact kvm "no access"
    else
        fact kvm absent
    fi
    [ -z "${WAYLAND_DISPLAY:-}${DISPLAY:-}" ] || fact session "${WAYLAND_DISPLAY:+wayland }${DISPLAY:+x11}"
    for dir in /sys/class/drm/renderD*; do
        [ -e "$dir/device" ] || continue
        driver=$(readlink "$dir/device/driver")
        driver=${driver##*/}
        value=no
        [ ! -r "/dev/dri/${dir##*/}" ] || [ ! -w "/dev/dri/${dir##*/}" ] || value=yes
        echo "driver=$driver vendor=$(cat "$dir/device/vendor" 2>/dev/null) device=$(cat "$dir/device/device" 2>/dev/null)" \
            "version=$(cat "/sys/module/$driver/version" 2>/dev/null) usable=$value" >>"$tmp/gpus"
        say "GPU: $driver $(cat "$dir/device/vendor" "$dir/device/device" 2>/dev/null | tr '\n' ' ')"
        [ $value = yes ] || trouble "/dev/dri/${dir##*/} may not be opened" \
            "add yourself to its group (ls -l /dev/dri), log in again"
    done
    [ -s "$tmp/gpus" ] || say "GPU: none that this system has a render node for"
    say "System: $(awk -F '\t' '$1 == "os" || $1 == "kernel" { printf "%s%s", n++ ? ", Linux " : "", $2 }' "$tmp/facts"), glibc $libc"
}

# doctor OPTION...
doctor()
{
    with_libraries timeout 30 "$here/lib/virtio-gpu-blob-doctor" --timeout=8 \
        --hostmem=4G "--qemu=$here/bin/qemu-system-x86_64" "$@"
}

run_doctor()
{
    local begin status
    say ""
    say "Looking at this system"
    begin=$(now)
    (doctor --json) >"$tmp/doctor.json" 2>"$tmp/doctor.err"
    status=$?
    took doctor $(($(now) - begin))
    fact doctor-status $status
    if [ $status -gt 2 ]; then
        trouble "the doctor ended with status $status" "send the report"
        head -n 5 "$tmp/doctor.err" >>"$tmp/said"
        : >"$tmp/doctor.json"
        return
    fi
    # for reading: its lines, without the options and the XML
    (doctor) 2>/dev/null | sed '/^$/,$d; s/^/  /' >"$tmp/doctor.txt"
    cat "$tmp/doctor.txt"
    cat "$tmp/doctor.txt" >>"$tmp/text"
}

# Which drivers QEMU and its render server have loaded; files' names only
note_drivers()
{
    local process
    for process in "$pid" $(cat "/proc/$pid/task/"*/children 2>/dev/null); do
        sed -n 's!.*/\(lib\(gallium-\|vulkan_\|nvidia-\|EGL_\|GLX_\)[^/]*\)$!\1!p' "/proc/$process/maps" 2>/dev/null
    done | sort -u >>"$tmp/drivers"
}

wrong=0
# on_line LINE: of the guest's
on_line()
{
    local size seed result
    case $1 in
    "UP "*) up=1 ;;
    "GPU "*) fact "guest-${1#GPU }" "" ;;
    "TASK "*)
        task=${1#TASK }
        case $task in
        blobs) say "  ... buffers of both kinds, written and compared on both sides" ;;
        virgl) say "  ... buffers of OpenGL" ;;
        many:*) say "  ... ${task#*:} buffers at once" ;;
        vulkan) say "  ... a Vulkan program" ;;
        picture:*) say "  ... a picture${window:+ in the window}" ;;
        gl:*) say "  ... an OpenGL program${window:+ in the window}" ;;
        esac
        note_drivers
        ;;
    "ENDED "*)
        took "$(printf '%s' "$1" | cut -d ' ' -f 2 | cut -d : -f 1)$suffix" "${1##* }"
        ended "$1"
        note_drivers
        task=
        ;;
    "STEP written "*)
        size=$(field size "$1")
        case $size in
        4096) seed=0x303 ;;
        65536) seed=0x404 ;;
        *) seed=0x505 ;;
        esac
        result=$("$here/lib/host-side" "$pid" buffer "$size" $seed)
        wrong=$(field wrong "$result")
        [ "$(field found "$result")" = 1 ] || wrong=$size
        go_on
        ;;
    "STEP mapped "*)
        result=$("$here/lib/host-side" "$pid" many 16384)
        equal "$(after mapped "$1"),$(after wrong "$1")" "$many,0" "$many buffers mapped at once"
        equal "$(field found "$result"),$(field wrong "$result")" "$many,0" \
            "the host finds them with what the guest wrote"
        took map-us "$(after us "$1")"
        go_on
        ;;
    "STEP checked "* | "STEP again "*)
        equal "$(after wrong "$1")" 0 "the guest finds in $many buffers what the host wrote"
        go_on
        ;;
    "STEP unmapped "*)
        equal "$(after wrong "$1")" 0 "$many buffers keep their contents"
        took unmap-us "$(after us "$1")"
        go_on
        ;;
    "STEP end "*) finished=1 ;;
    "STEP "*) go_on ;;
    "STOPPED "*) trouble "the guest mapped no more than ${1#STOPPED at }" \
        "raise this system's limits: vm.max_map_count, ulimit -n" ;;
    "BLOB kind=venus "*) echo "$1 host-wrong=$wrong" | sed 's/^BLOB //; s/ host-wrong=0 / /' >>"$tmp/run.blobs" ;;
    "BLOB "* | "REFUSED "*) echo "$1" | sed 's/^BLOB //; s/^REFUSED /refused=yes /' >>"$tmp/run.blobs" ;;
    "device: "*)
        fact vulkan-device "${1#device: }"
        say "      ${1#device: }"
        ;;
    "memory type "*)
        say "      $1"
        case $1 in
        *" 0 words wrong") check 1 vulkan ;;
        *" words wrong") check 0 "Vulkan computes in $1" ;;
        *) trouble "$1" "the buffer is one that cannot be mapped safely, see decisions" ;;
        esac
        ;;
    "GL "*)
        fact "gl-$(printf '%s' "${1#GL }" | sed 's/=.*//; y/GLRENDVSIOFP_/glrendvsiofp-/')" "${1#*=}"
        say "      ${1#GL }"
        case $1 in
        *FPS=*) check 1 gl ;;
        esac
        ;;
    # VK_ERROR_INCOMPATIBLE_DRIVER: Venus found none behind it
    "vulkan: no device" | "vulkan: instance: error -9") trouble "this system has no driver for Vulkan that Venus can use" \
        "$(vulkan_help)" ;;
    "vulkan: "*) trouble "$1" "see what vulkaninfo says on this system" ;;
    "PICTURE "*) say "      ${1#PICTURE }" && fact picture "${1#PICTURE }" && check 1 picture ;;
    "FAIL"*) trouble "the guest: ${1#FAIL }" "see what QEMU said, in the report" ;;
    *) echo "$1" >>"$tmp/console" ;;
    esac
}

vulkan_help()
{
    if grep -q '^driver=nvidia' "$tmp/gpus"; then
        echo "users report that NVIDIA's needs virglrenderer 1.2; this archive has $(sed -n 's/^virglrenderer //p' "$here/lib/versions")"
    else
        echo "install it, for Mesa's: mesa-vulkan-drivers (Debian, Fedora), vulkan-radeon or vulkan-intel (Arch)"
    fi
}

# ended LINE
ended()
{
    local status=${1% *}
    status=${status##* }
    case $task,$status in
    vulkan,[0-3]) ;;
    *,0) ;;
    *)
        check 0 "${task%%:*} ended with status $status"
        ;;
    esac
}

go_on()
{
    echo go >&6
}

# run ACCELERATOR DISPLAY POLICY TASK...: sets outcome to complete, refused (QEMU did
# not start), silent (the guest did not), broken or late
run()
{
    local accel=$1 display=$2 policy=$3 line patience tasks device begin dead=0 status=0
    shift 3
    tasks=$(printf ',%s' "$@")
    up='' finished='' task='' window=''
    suffix=
    [ "$policy" = safe ] || suffix=-$policy
    rm -f "$tmp/in" "$tmp/out" "$tmp/lines" "$tmp/trace"
    : >"$tmp/run.blobs"
    mkfifo "$tmp/in" "$tmp/out" "$tmp/lines"
    exec 6<>"$tmp/in" 7<>"$tmp/out" 8<>"$tmp/lines"
    # A read that times out loses what it has of a line. So none does: whole
    # lines come through this pipe, each by one write, and a word every 2 s
    (while read -r line; do printf '%s\n' "$line"; done <&7 >&8) &
    helpers=$!
    (while sleep 2; do echo TICK; done >&8) &
    helpers="$helpers $!"
    device=virtio-gpu-gl-pci,blob=on,hostmem=4G,venus=on
    [ -n "$stock" ] || device=$device,map-policy=$policy
    set -- -machine q35 -accel "$accel" -m 1G -smp 1 -nodefaults -no-reboot -no-user-config \
        -kernel "$here/guest/vmlinuz" -initrd "$here/guest/initrd" \
        -append "console=ttyS0 quiet panic=-1 iomem=relaxed run=/bin/guest-tasks$tasks" \
        -chardev stdio,id=s,signal=off -serial chardev:s -name trial
    [ -n "$stock" ] || set -- "$@" -trace 'virtio_gpu_blob*' -D "$tmp/trace"
    case $accel in
    kvm) set -- "$@" -cpu host ;;
    *) set -- "$@" -cpu max ;;
    esac
    case $display in
    window) set -- "$@" -display sdl,gl=on && window=1 ;;
    egl) set -- "$@" -display egl-headless ;;
    offscreen) set -- "$@" -display sdl,gl=on ;;
    plain)
        set -- "$@" -display none
        device=virtio-gpu-pci
        ;;
    esac
    set -- "$@" -device "$device"
    [ ! -e "$here/guest/gl" ] || set -- "$@" -m 2G \
        -drive "file=$(printf '%s' "$here/guest/gl" | sed 's/,/,,/g'),format=raw,if=virtio,readonly=on"
    begin=$(now)
    (
        exec 6>&- 7>&- 8>&-
        # left to itself, SDL would take the last of its drivers, which shows nothing
        case $display in
        window) export SDL_VIDEODRIVER="${SDL_VIDEODRIVER:-x11,wayland}" ;;
        offscreen) export SDL_VIDEODRIVER=offscreen ;;
        esac
        [ -z "$no_gpu" ] || export LIBGL_ALWAYS_SOFTWARE=1 VK_LOADER_DRIVERS_SELECT='*lvp*'
        with_libraries "$here/lib/qemu-system-x86_64" -L "$here/firmware" "$@"
    ) <"$tmp/in" >"$tmp/out" 2>"$tmp/err" &
    pid=$!
    patience=30
    [ "$accel" = kvm ] || patience=$((limit / 2))
    outcome=
    while [ -z "$outcome" ]; do
        read -r line <&8
        if [ "$line" != TICK ]; then
            on_line "$(printf '%s' "$line" | tr -d '\r')"
            [ -z "$finished" ] || outcome=complete
        elif ! kill -0 "$pid" 2>/dev/null; then
            # what it printed at last may be on its way
            dead=$((dead + 1))
            [ $dead -lt 2 ] || outcome=broken
            [ -n "$up" ] || [ -z "$outcome" ] || outcome=refused
        fi
        if [ -z "$outcome" ]; then
            [ "$(left)" -gt 0 ] || outcome=late
            [ -n "$up" ] || [ $((($(now) - begin) / 1000)) -lt $patience ] || outcome=silent
        fi
    done
    if [ $outcome = complete ]; then
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.5
        done
    fi
    if kill "$pid" 2>/dev/null; then
        sleep 1
        kill -9 "$pid" 2>/dev/null
    fi
    wait "$pid" 2>/dev/null || status=$?
    # shellcheck disable=SC2086 # each is a number
    kill $helpers 2>/dev/null
    pid='' helpers=''
    exec 6>&- 7>&- 8>&-
    took "guest-$accel-$display$suffix" $(($(now) - begin))
    echo "accel=$accel display=$display policy=$policy outcome=$outcome status=$status" >>"$tmp/runs"
    # what it repeats is said once
    sed 's/^[^ ]*qemu-system-x86_64: //' "$tmp/err" | sort -u | head -n 15 >"$tmp/err.short"
    cat "$tmp/err.short" >>"$tmp/said"
    note_decisions
}

# The device's own account of the run's blobs
note_decisions()
{
    local line resource found type told exporter
    touch "$tmp/trace"
    sed -n 's/.*virtio_gpu_blob_decision resource [0-9]* context [0-9]* //p' "$tmp/trace" >>"$tmp/decisions"
    sed -n "s/.*virtio_gpu_blob_vm .*guest's cache type //p" "$tmp/trace" | tail -n 1 |
        while read -r line; do fact "guest-cache-type" "$line"; done
    while read -r line; do
        resource=$(field resource "$line")
        found=$(awk -v res="$resource" '
            $0 ~ "virtio_gpu_blob_decision resource " res " " {
                result = $0
                sub(/.*policy [a-z]*: /, "", result)
                exporter = $0
                sub(/.* exporter "/, "", exporter)
                sub(/".*/, "", exporter)
            }
            $0 ~ "virtio_gpu_blob_map resource " res " " { info = $0; sub(/.*map_info /, "", info); path = $NF }
            END {
                split(result, word, ", ")
                split(info, n, " ")
                if (exporter == "-") { exporter = "" }
                print "answer=" word[1] " reason=" word[2] " exporter=" exporter " info=" n[1] + 0 " path=" path
            }' "$tmp/trace")
        [ -z "$stock" ] || found="answer=mapped reason=stock"
        echo "$line $found" >>"$tmp/blobs"
        type=$(field type "$line") exporter=$(field exporter "$found")
        if [ -n "$(field refused "$line")" ]; then
            say "      $(field kind "$line") $(field size "$line") bytes: refused, $(field reason "$found")${exporter:+ (of $exporter)}"
            continue
        fi
        say "      $(field kind "$line") $(field size "$line") bytes: $(field answer "$found") by $(field reason "$found")${exporter:+ (of $exporter)}; the guest maps it $type"
        equal "$(field host-wrong "$line")" 0 "words that differ on the host"
        equal "$(field guest-wrong "$line")" 0 "words that differ in the guest"
        equal "$(field unaligned "$line")" right "unaligned accesses"
        [ -z "$stock" ] || continue
        case $(field info "$found") in
        1) told=write-back ;;
        2) told=uncached-minus ;;
        3) told=write-combining ;;
        *) told=nothing ;;
        esac
        equal "$type" "$told" "the cache type in the guest"
    done <"$tmp/run.blobs"
}

# of_qemu: its last word
of_qemu()
{
    local line
    line=$(tail -n 1 "$tmp/err.short" | cut -c 1-200)
    printf '%s\n' "${line:-it said nothing}"
}

displays()
{
    local node
    [ -n "$headless" ] || [ -z "${WAYLAND_DISPLAY:-}${DISPLAY:-}" ] || echo window
    for node in /dev/dri/renderD*; do
        if [ -z "$no_gpu" ] && [ -r "$node" ] && [ -w "$node" ]; then
            echo egl
            break
        fi
    done
    echo offscreen plain
}

# explain ACCELERATOR DISPLAY: why it did not start
explain()
{
    case $2 in
    window) trouble "no window with OpenGL ($(of_qemu))" "it goes on without; ./trial --headless does so at once" ;;
    egl) trouble "the GPU does not do for OpenGL without a window ($(of_qemu))" \
        "is its driver's EGL and GBM installed? it goes on by the processor" ;;
    offscreen) trouble "there is no OpenGL here that QEMU can use ($(of_qemu))" \
        "install EGL and its driver, for Mesa's: libegl1 libgl1-mesa-dri (Debian, Ubuntu), mesa-libEGL mesa-dri-drivers (Fedora), mesa (Arch)" ;;
    plain) trouble "QEMU does not start ($(of_qemu))" "send the report" ;;
    esac
}

run_guest()
{
    local accels=tcg accel display seconds=2
    [ -n "$tcg" ] || [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ] || accels="kvm tcg"
    [ -n "$tcg" ] || [ "$accels" != tcg ] || trouble "KVM may not be used" \
        "switch virtualization on in the firmware, or add yourself to the group kvm; it goes on without, slower"
    many=1000
    gl=
    [ ! -e "$here/guest/gl" ] || gl=gl:10
    for display in $(displays); do
        for accel in $accels; do
            say ""
            say "A Linux guest, $accel, display: $display"
            [ "$display" != window ] || seconds=12
            if [ "$display" = plain ]; then
                run $accel plain safe picture:1
            else
                run $accel "$display" safe blobs many:$many vulkan picture:$seconds $gl
            fi
            case $outcome in
            complete | broken | late) break 2 ;;
            silent)
                if [ "$accel" = kvm ]; then
                    trouble "under KVM the guest does not start" "is this system a virtual machine itself? it goes on without KVM"
                    accels=tcg
                    continue
                fi
                trouble "the guest does not start in time" "stop what else runs, or ./trial --time=600"
                break 2
                ;;
            refused)
                case $(cat "$tmp/err.short") in
                *[kK][vV][mM]*)
                    if [ "$accel" = kvm ]; then
                        trouble "KVM does not work ($(of_qemu))" "it goes on without, slower"
                        accels=tcg
                        continue
                    fi
                    ;;
                esac
                explain "$accel" "$display"
                break
                ;;
            esac
        done
    done
    case $outcome in
    broken) check 0 "QEMU ended while its guest ran, at ${task:-its start} ($(of_qemu))" ;;
    late) trouble "the time was over at ${task:-the guest}" "stop what else runs, or ./trial --time=600" ;;
    esac
    if grep -q 'refused=yes' "$tmp/blobs"; then
        trouble "$(grep -c 'refused=yes' "$tmp/blobs") kinds of buffers may not be mapped with map-policy=safe" \
            "a newer kernel may tell their cache type; map-policy=renderer takes the renderer's word"
    fi
    if grep -q 'refused=yes kind=virgl' "$tmp/blobs" && [ "$outcome" = complete ]; then
        if [ "$(left)" -lt 25 ]; then
            trouble "no time to try the refused buffers with map-policy=renderer" "./trial --time=600"
            return
        fi
        say ""
        say "Once more with map-policy=renderer, for what was refused"
        run "$accel" "$display" renderer virgl
        case $outcome in
        complete) ;;
        late) trouble "the time was over at ${task:-the guest}" "stop what else runs, or ./trial --time=600" ;;
        *) check 0 "the second run: $outcome ($(of_qemu))" ;;
        esac
    fi
}

# The report, of the files that hold its parts
json()
{
    awk -F '\t' -v verdict="$verdict" '
        function quoted(s,   i, c, out) {
            for (i = 1; i <= length(s); i++) {
                c = substr(s, i, 1)
                out = out (c == "\"" || c == "\\" ? "\\" c : c < " " ? " " : c)
            }
            return "\"" out "\""
        }
        function number(s) { return s ~ /^-?[0-9]+$/ ? s : quoted(s) }
        function object(line,   n, i, word, at, out) {
            n = split(line, word, " ")
            for (i = 1; i <= n; i++) {
                at = index(word[i], "=")
                out = out (out == "" ? "" : ", ") quoted(substr(word[i], 1, at - 1)) ": " number(substr(word[i], at + 1))
            }
            return "{" out "}"
        }
        function each(file, how,   line, out, f) {
            while ((getline line < file) > 0) {
                split(line, f, "\t")
                out = out (out == "" ? "" : ",") "\n    "
                if (how == "object") { out = out object(line) }
                else if (how == "text") { out = out quoted(line) }
                else if (how == "trouble") { out = out "{\"what\": " quoted(f[1]) ", \"help\": " quoted(f[2]) "}" }
                else { out = out quoted(f[1]) ": " number(f[2]) }
            }
            return out
        }
        BEGIN {
            tmp = ARGV[1]
            print "{"
            print "  \"report\": 1,"
            print "  \"verdict\": " quoted(verdict) ","
            print "  \"facts\": {" each(tmp "/facts.tidy", "pair") "\n  },"
            print "  \"gpus\": [" each(tmp "/gpus", "object") "\n  ],"
            print "  \"drivers\": [" each(tmp "/drivers.tidy", "text") "\n  ],"
            print "  \"runs\": [" each(tmp "/runs", "object") "\n  ],"
            print "  \"blobs\": [" each(tmp "/blobs", "object") "\n  ],"
            print "  \"decisions\": [" each(tmp "/decisions.tidy", "text") "\n  ],"
            print "  \"milliseconds\": {" each(tmp "/times", "pair") "\n  },"
            print "  \"failures\": [" each(tmp "/troubles", "trouble") "\n  ],"
            print "  \"qemu-said\": [" each(tmp "/said", "text") "\n  ],"
            while ((getline line < (tmp "/doctor.json")) > 0) { doctor = doctor (doctor == "" ? "" : "\n  ") line }
            print "  \"doctor\": " (doctor == "" ? "null" : doctor)
            print "}"
        }' "$tmp"
}

write_report()
{
    local dir=$here/report
    touch "$tmp/drivers"
    sort -u "$tmp/drivers" >"$tmp/drivers.tidy"
    sort "$tmp/decisions" | uniq -c | sed 's/^ *\([0-9]*\) /\1 x /' >"$tmp/decisions.tidy"
    # "guest-key=value" of the guest is a pair, too
    sed 's/^\(guest-[a-z0-9]*\)=\(.*\)	$/\1	\2/' "$tmp/facts" | awk -F '\t' '!seen[$1]++' >"$tmp/facts.tidy"
    if ! mkdir -p "$dir" 2>/dev/null || ! touch "$dir/report.txt" 2>/dev/null; then
        dir=$(mktemp -d "${TMPDIR:-/tmp}/virtio-gpu-blob-report.XXXXXX") || return
    fi
    json | anonymous >"$dir/report.json"
    {
        cat "$tmp/text"
        echo
        echo "Facts"
        sed 's/^/  /; s/	/: /' "$tmp/facts.tidy"
        sed 's/^/  gpu: /' "$tmp/gpus"
        sed 's/^/  driver file: /' "$tmp/drivers.tidy"
        echo "Decisions"
        sed 's/^/  /' "$tmp/decisions.tidy"
        echo "Milliseconds"
        sed 's/^/  /; s/	/: /' "$tmp/times"
        echo "QEMU said"
        sed 's/^/  /' "$tmp/said"
    } | anonymous >"$dir/report.txt"
    echo
    echo "The report is $dir/report.txt, and for programs $dir/report.json."
    echo "Please send both to the issue tracker of the repository that this archive was made from."
}

say "virtio-gpu blobs: a trial, $(sed -n 's/^archive //p' "$here/lib/versions")"
find_libraries
host_facts
if ! starts "$tmp/err"; then
    prefer_ours
    fact libraries "ours first"
    starts "$tmp/err" || trouble "QEMU does not load ($(head -n 1 "$tmp/err"))" "send the report"
fi
run_doctor
run_guest
good=$(grep -c 1 "$tmp/checks")
bad=$(grep -c 0 "$tmp/checks")
fact checks-passed "$good"
fact checks-failed "$bad"
say ""
if [ "$bad" -gt 0 ]; then
    verdict="does not work" code=2
    say "Verdict: it does not work here as it should: $bad of $((good + bad)) checks failed."
elif [ ! -s "$tmp/blobs" ]; then
    verdict="not tried" code=2
    say "Verdict: buffers of a GPU could not be tried here; the lines with ! say why."
elif [ -s "$tmp/troubles" ]; then
    verdict="works with limits" code=1
    say "Verdict: it works here, with limits; the lines with ! name them. All $good checks passed."
else
    verdict=works code=0
    say "Verdict: it works here. All $good checks passed."
fi
if grep -qiE '^guest-renderer=.*(llvmpipe|softpipe|swrast)' "$tmp/facts"; then
    say "No GPU was tried: the processor drew."
    fact gpu-tried no
fi
took all $(($(now) - started))
write_report
exit $code
