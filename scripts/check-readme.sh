#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check-readme.sh [FILE]: are the commands in README.md right?  What is short is
# run, in a scratch folder; of what builds, installs or removes, the target, the
# options and the files are looked up.  XML must be what make check-libvirt
# tests, a refusal what the code prints, and links and paths must lead somewhere.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$(dirname "${BASH_SOURCE[0]}")/check-commands.sh"

help_if_asked "$@"
readme=$(realpath -- "${1:-$TOP/README.md}")
cd "$TOP"

# The code blocks: "KIND text" for each logical line, KIND is sh or xml.
# Blocks indented by four and fenced ones count; of a fence that says
# "console" only what follows "$ ", and none of one that says "text".
blocks()
{
    awk '
    function put(line) {
        sub(/[[:space:]]+$/, "", line)
        if (line ~ /\\$/) { held = held substr(line, 1, length(line) - 1); return }
        line = held line
        held = ""
        gsub(/[[:space:]]+/, " ", line)
        sub(/^ /, "", line)
        if (line == "" || line ~ /^#/) return
        if (kind == "") kind = line ~ /^</ ? "xml" : "sh"
        if (kind == "console") {
            if (line !~ /^\$ /) return
            print "sh " substr(line, 3)
        } else if (kind != "text") print kind " " line
    }
    /^```/ {
        fenced = !fenced
        kind = fenced ? substr($0, 4) : ""
        if (kind ~ /^(bash|shell|sh)$/) kind = "sh"
        next
    }
    fenced { put($0); next }
    # an indented block starts behind an empty line, outside of lists
    /^- |^[0-9]+\. / { list = 1 }
    /^[^ ]/ && !/^- |^[0-9]+\. / { list = 0 }
    /^    / && !list && (empty || block) { block = 1; put(substr($0, 5)); empty = 0; next }
    /^[[:space:]]*$/ { empty = 1; next }
    { empty = 0; block = 0; kind = "" }
    ' "$readme"
}

# The scripts that target.sh has for a target
scripts_of()
{
    awk -v target="$1" '
    $0 ~ "(^|[| ])" target "( \\||\\))" { found = 1 }
    found
    /;;/ { if (found) exit }' scripts/target.sh |
        grep -oE '(scripts|tests)/[^ "]+\.sh' |
        sed "s|\\\$target|$1|; s|\\\${target#check-}|${1#check-}|" || :
}

make_target()
{
    local target=$1 file
    make -n "$target" >/dev/null 2>&1 || { echo "make knows no such target"; return; }
    scripts/target.sh help | grep -qE "^  $target " || { echo "make help does not list it"; return; }
    for file in $(scripts_of "$target"); do
        [ -x "$file" ] || echo "there is no $file"
    done
}

check_make()
{
    local what=$1 word why='' targets=0
    shift
    for word; do
        case $word in
        *=* | -*) continue ;;
        esac
        targets=$((targets + 1))
        why+=$(make_target "$word")
    done
    [ "$targets" != 0 ] || [ $# != 0 ] || why=$(make_target all)
    if [ -n "$why" ]; then
        bad "$what" "$why"
    else
        good "$what"
    fi
}

# With a copy of configure, which writes beside itself
check_configure()
{
    local what=$1 out args=() word
    shift
    rm -rf "$tmp/configure.d"
    mkdir "$tmp/configure.d"
    cp configure "$tmp/configure.d/"
    cp -r scripts "$tmp/configure.d/"
    echo 10.0.0 >"$tmp/DIR/VERSION"
    : >"$tmp/DIR/configure"
    for word; do
        case $word in
        *=DIR) word=${word%DIR}$tmp/DIR ;;
        *=../*) word=${word%%=*}=$tmp/DIR ;;
        *=URI) word=${word%URI}http://example.org/debian ;;
        esac
        args+=("$word")
    done
    if out=$(cd "$tmp/configure.d" && ./configure "${args[@]}" 2>&1); then
        good "$what"
    else
        bad "$what" "$(head -n 1 <<<"$out")"
    fi
}

check_in_root()
{
    local what=$1
    shift
    [ "${1:-}" != COMMAND ] || set -- true
    if (cd "$tmp" && scripts/in-root.sh "$@") >/dev/null 2>"$tmp/err" </dev/null; then
        good "$what"
    else
        bad "$what" "$(tail -n 1 "$tmp/err")"
    fi
}

# SCRIPT ARGS...: there, and the word behind it is one that it knows
check_script()
{
    local what=$1 file=$2 word=${3:-}
    if [ ! -x "$file" ]; then
        bad "$what" "there is no $file"
    elif [ "$word" = --help ] && ! "$file" --help >/dev/null; then
        bad "$what" "it fails"
    elif [ -n "$word" ] && ! grep -qE -- "(^|[ |(])${word%%=*}([ )|=]|\$)" "$file"; then
        bad "$what" "$file does not know $word"
    else
        good "$what"
    fi
}

# Each file of this tree that a command of the system names
check_files()
{
    local what=$1 word why=''
    shift
    for word; do
        case $word in
        -* | /* | *[*~]* | */build/* | build/* | ./build/*) ;;
        tests/* | scripts/* | docs/* | ./tests/* | packaging/*)
            [ -e "$word" ] || why+="there is no $word; "
            ;;
        esac
    done
    if [ -n "$why" ]; then
        bad "$what" "$why"
    else
        good "$what"
    fi
}

check_command()
{
    local what=$1 command=$1 words=()
    command=${command%% # *}
    command=${command#sudo }
    mapfile -t words < <(xargs printf '%s\n' <<<"$command")
    while [[ ${words[0]:-} =~ ^[A-Za-z_]+= ]]; do
        words=("${words[@]:1}")
    done
    case ${words[0]:-} in
    make) check_make "$what" "${words[@]:1}" ;;
    ./configure) check_configure "$what" "${words[@]:1}" ;;
    *build/qemu-system-x86_64 | *build/stock/qemu-system-x86_64) check_qemu "$what" "$command" ;;
    *build/virtio-gpu-blob-doctor) check_doctor "$what" "${words[@]}" ;;
    scripts/in-root.sh) check_in_root "$what" "${words[@]:1}" ;;
    scripts/*.sh | tests/*.sh | ./scripts/*.sh) check_script "$what" "${words[@]}" ;;
    virsh | virt-xml-validate | apt | apt-get | dpkg | git | cd | cp | rm | qemu-system-x86_64)
        check_files "$what" "${words[@]:1}"
        ;;
    *) bad "$what" "this check does not know ${words[0]:-it}" ;;
    esac
}

check_xml()
{
    local line=$1
    case $line in
    *...* | '<domain '* | '</domain>' | '<emulator>'* | '<devices>' | '</devices>' | '<!--'*) return ;;
    esac
    if sed 's/^ *//' tests/libvirt/domain.xml | grep -qxF -- "$line"; then
        good "$line"
    else
        bad "$line" "tests/libvirt/domain.xml has no such line"
    fi
}

# Links, pictures and what stands in back quotes, outside of code blocks
check_names()
{
    local name why
    while read -r name; do
        case $name in
        '' | *://* | '#'*) continue ;;
        esac
        if [ -e "$(dirname "$readme")/${name%%#*}" ]; then
            good "link to $name"
        else
            bad "link to $name" "it leads nowhere"
        fi
    done < <(grep -oE '\]\([^) ]+' "$readme" | sed 's/^](//')
    while read -r name; do
        case $name in
        'make '*)
            name=${name#make }
            why=$(make_target "${name%% *}")
            if [ -z "$why" ]; then
                good "make $name"
            else
                bad "make $name" "$why"
            fi
            ;;
        *[\*\<\$\ ]* | /* | build/* | *://*) ;;
        hw/* | include/* | subprojects/* | tests/* | docs/* | scripts/* | packaging/*)
            if [ -e "$name" ]; then
                good "$name"
            else
                bad "$name" "there is no such file"
            fi
            ;;
        esac
    done < <(grep -v '^    ' "$readme" | grep -oE '`[^`]+`' | tr -d '`' | sort -u)
}

while read -r kind line; do
    case $kind in
    sh)
        while read -r command; do
            check_command "$command"
        done < <(sed 's/ && /\n/g' <<<"$line")
        ;;
    xml) check_xml "$line" ;;
    *) bad "$line" "a code block of an unknown kind, $kind" ;;
    esac
done < <(blocks)
check_refusals "$readme"
check_names
[ "$PASSED" != 0 ] || bad "$readme" "no commands found"
finish
