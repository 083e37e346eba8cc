# SPDX-License-Identifier: GPL-2.0-or-later
set -e
package=qemu-virtio-gpu-blob
folder=/usr/lib/x86_64-linux-gnu/qemu
modules='@MODULES@'
stamp=@STAMP@
version=@VERSION@
