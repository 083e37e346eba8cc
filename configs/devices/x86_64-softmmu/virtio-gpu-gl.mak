# SPDX-License-Identifier: GPL-2.0-or-later
#
# A PC with virtio-gpu-gl and little else: for --without-default-devices

CONFIG_I440FX=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_GPU=y
