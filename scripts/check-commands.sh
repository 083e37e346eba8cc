# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What check-readme.sh and check-docs.sh share; to be sourced behind env.sh.
# Each check prints a line and is counted: good, bad, skip, and finish, which
# prints the last line.

PASSED=0 FAILED=0 SKIPPED=0
good()
{
    PASSED=$((PASSED + 1))
    printf 'ok - %s\n' "$1"
}

bad()
{
    FAILED=$((FAILED + 1))
    printf 'not ok - %s: %s\n' "$1" "$2"
}

skip()
{
    SKIPPED=$((SKIPPED + 1))
    printf 'skip - %s: %s\n' "$1" "$2"
}

finish()
{
    local last="$PASSED passed, $FAILED failed"
    [ "$SKIPPED" = 0 ] || last+=", $SKIPPED skipped"
    printf '%s\n' "$last"
    [ "$FAILED" = 0 ]
}

# A scratch folder, from which build/ and scripts/ are seen as from this tree
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
ln -s "$BUILD" "$tmp/build"
ln -s "$TOP/scripts" "$tmp/scripts"
mkdir "$tmp/DIR"

render_node()
{
    compgen -G '/dev/dri/renderD*' >/dev/null
}

# start_qemu COMMAND: its exit status; 124 if it runs until it is stopped
start_qemu()
{
    local status=0
    (cd "$tmp" && SDL_VIDEODRIVER=offscreen timeout --kill-after=5 5 bash -c "$1" \
        >"$tmp/qemu.out" 2>&1 </dev/null) || status=$?
    echo "$status"
}

# check_qemu NAME COMMAND: QEMU accepts all options if it still runs after some
# seconds.  The build machine need not have what the options need: KVM, memory,
# a desktop, a render node.
check_qemu()
{
    local what=$1 command=$2 status file note='' headless
    if [ ! -x "$BUILD/qemu-system-x86_64" ]; then
        skip "$what" "QEMU is not built"
        return
    fi
    # shellcheck disable=SC2013
    for file in $(grep -oE '[A-Za-z0-9_-]+\.(img|qcow2|iso|raw)' <<<"$command"); do
        truncate -s 1M "$tmp/$file"
    done
    command=$(sed -E 's/-accel kvm/-accel tcg/; s/-cpu host/-cpu max/; s/-m [0-9]+G/-m 512M/; s/,size=[0-9]+G/,size=512M/
        s/-vnc 127\.0\.0\.1:0/&,to=99/' <<<"$command")
    headless='-display egl-headless[^ ]* -vnc [^ ]*'
    if [[ $command =~ $headless ]] && ! render_node; then
        status=$(start_qemu "$command")
        if [ "$status" = 124 ] || ! grep -qiE 'render node|egl' "$tmp/qemu.out"; then
            bad "$what" "without a render node: status $status, $(tail -n 1 "$tmp/qemu.out")"
            return
        fi
        command=${command/"${BASH_REMATCH[0]}"/-display sdl,gl=on}
        note=' (with SDL: there is no render node here)'
    fi
    status=$(start_qemu "$command")
    if [ "$status" = 124 ]; then
        good "$what$note"
    elif [ "$status" = 0 ] && grep -qE -- '(-version|help)( |$)' <<<"$command"; then
        good "$what"
    else
        bad "$what" "status $status, $(tail -n 1 "$tmp/qemu.out")"
    fi
}

# check_monitor COMMAND...: a machine's monitor knows each
check_monitor()
{
    local line
    if [ ! -x "$BUILD/qemu-system-x86_64" ]; then
        skip "the monitor's commands" "QEMU is not built"
        return
    fi
    for line; do
        { sleep 2; printf '%s\n' "$line" quit; } |
            SDL_VIDEODRIVER=offscreen XDG_RUNTIME_DIR=$tmp timeout 20 \
                "$BUILD/qemu-system-x86_64" -accel tcg -m 256M -S -vga none -display sdl,gl=on \
                -device virtio-gpu-gl-pci,id=gpu0,blob=on,hostmem=256M \
                -monitor stdio >"$tmp/monitor.out" 2>&1 || :
        if grep -qE '^(Error|unknown command)|: Property' "$tmp/monitor.out" ||
            ! grep -q '^[]"}0-9]' "$tmp/monitor.out"; then
            bad "(qemu) $line" "$(tail -n 2 "$tmp/monitor.out" | head -n 1)"
        else
            good "(qemu) $line"
        fi
    done
}

# It looks at this machine, whatever that has; the command that it prints starts
check_doctor()
{
    local what=$1 status=0 command
    shift
    "$@" >"$tmp/doctor.out" 2>&1 || status=$?
    if [ "$status" -le 2 ] && grep -q '^✓ kernel: ' "$tmp/doctor.out"; then
        good "$what"
    else
        bad "$what" "it ends with $status: $(tail -n 1 "$tmp/doctor.out")"
        return
    fi
    command=$(awk '/^QEMU \(/ { getline; found = 1; next }
        found && /^$/ { exit }
        found { sub(/\\$/, ""); printf "%s", $0 }' "$tmp/doctor.out" | tr -s ' ')
    [ -z "$command" ] || check_qemu "what it prints: $command" "$command"
}

# c_text: C on stdin as one line, its strings merged and each %... a %s
c_text()
{
    tr '\n' ' ' | sed -E 's/%"[[:space:]]*PRI[a-z]+[0-9]+[[:space:]]*"/%s/g; s/"[[:space:]]+"//g'
}

# check_refusals FILE: each refusal in a file is one that QEMU prints, in the
# words of the code: its form, and one of the reasons with its cause and remedy
check_refusals()
{
    local text form want name code
    code=$(cat hw/display/virtio-gpu-blob*.c | c_text | tr -s ' ')
    form=$(grep -oE '"virtio-gpu: blob resource ([^"\]|\\.)*is not mapped ([^"\]|\\.)*"' <<<"$code" |
        head -n 1 | sed 's/^"//; s/"$//; s/\\"/"/g')
    # The last is the cause and the remedy
    form=${form%\%s}'%s; %s'
    want="qemu-system-x86_64: warning: $(sed -E 's/[][().*+?|^${}]/\\&/g; s/%s/(.+)/g' <<<"$form")"
    while read -r text; do
        name="the refusal in ${1##*/}"
        if [[ ! $text =~ ^$want$ ]]; then
            bad "$name" "the code prints $form"
        elif ! grep -qF "$(printf '"%s", "%s", "%s" }' "${BASH_REMATCH[@]:7:3}")" <<<"$code"; then
            bad "$name" "the code has no reason ${BASH_REMATCH[7]} with those words"
        else
            good "$name is what the code prints"
        fi
    done < <(awk '
        function flush() { if (text ~ /^qemu-system.*is not mapped \(/) print text; text = "" }
        /^[[:space:]]*$/ || /^```/ { flush(); next }
        { gsub(/^[[:space:]]+/, ""); text = text (text == "" ? "" : " ") $0 }
        END { flush() }
    ' "$1")
}
