# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# In a guest: its virtio GPU, and Mesa's Venus for all that follows; to be
# sourced.

# a console on the display is drawn by the host's processor, all the time
modprobe drm_kms_helper fbdev_emulation=0
modprobe virtio-gpu
for _ in $(seq 50); do
    [ ! -e /sys/module/virtio_gpu ] || break
    sleep 0.1
done
udev=/sys/class/drm
for _ in $(seq 50); do
    ls -d $udev/card*/device/driver >/dev/null 2>&1 &&
        readlink $udev/card*/device/driver | grep -q virtio_gpu && break
    sleep 0.1
done

export VK_DRIVER_FILES=/usr/share/vulkan/icd.d/virtio_icd.json
export MESA_SHADER_CACHE_DISABLE=true
