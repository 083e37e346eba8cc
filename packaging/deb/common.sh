# SPDX-License-Identifier: GPL-2.0-or-later
set -e
package=qemu-virtio-gpu-blob
folder=@FOLDER@
modules='@MODULES@'
stamp=@STAMP@
version=@VERSION@
