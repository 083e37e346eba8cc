#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# in-root.sh COMMAND ARGS...: run a command where we build and run, with this
# tree, the caller's files, working directory and environment at hand.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

case ${1:-} in
'' | -h | --help)
    header "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac
[ -x "$BUILD/enter" ] && [ -e "$BUILD/enter.conf" ] || run "$TOP/scripts/root.sh" ensure
exec "$BUILD/enter" "$BUILD/enter.conf" "$@"
