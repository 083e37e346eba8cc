#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run-mutants.sh: change the decision, one operator or constant at a time; the
# unit test must notice each change.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

help_if_asked "$@"

test=tests/unit/test-virtio-gpu-blob-decision
run "$TOP/scripts/build.sh" "$test"
say "changing the decision"
in_root python3 "$TOP/tests/unit/mutants.py" --jobs "$JOBS" --build "$OURS" \
    --source "$TOP/hw/display/virtio-gpu-blob-decision.c" --test "$test" \
    --explained "$TOP/tests/unit/mutants-explained.txt"
