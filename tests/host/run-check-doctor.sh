#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make check-doctor: virtio-gpu-blob-doctor's report on this machine, and where
# libraries, programs or limits are missing. Nothing is changed. Each command
# line that it prints starts, those of the unit test's hosts too.

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/env.sh"

help_if_asked "$@"
run "$TOP/scripts/in-root.sh" timeout --kill-after=10 600 \
    python3 -B "$TOP/tests/host/check-doctor.py" --here \
    --stock="$BUILD/stock/qemu-system-x86_64" \
    --unit="$(inside "$OURS")/tests/unit/test-virtio-gpu-blob-doctor" -- \
    "$(inside "$OURS")/contrib/virtio-gpu-blob-doctor/virtio-gpu-blob-doctor" \
    --qemu="$BUILD/qemu-system-x86_64"
