# SPDX-License-Identifier: GPL-2.0-or-later
"""The board of a guest that has this machine's architecture."""

import platform

MACHINE = platform.machine()

# The board and its serial line, as QEMU and the guest's kernel call them
BOARD, CONSOLE = {
    'x86_64': ('q35', 'ttyS0'),
    'aarch64': ('virt,gic-version=3', 'ttyAMA0'),
}[MACHINE]


def options(accel):
    """QEMU's options: the board, and a processor for this accelerator."""
    return ['-machine', BOARD, '-accel', accel,
            '-cpu', 'host' if accel == 'kvm' else 'max']
