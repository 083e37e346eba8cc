#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a host that boot-host.sh boots with AppArmor runs, twice: first as its
# job, then again from a root that AppArmor's paths begin at.  libvirtd and its
# domains are confined by the distribution's profiles, with /run/out/rules, the
# manual's, added for domains; a last domain has an emulator that is not in
# /usr/bin.  /run/out/arguments are those of the check.
exec >>/run/out/result.log 2>&1
set -e
if [ "${1:-}" != inside ]; then
    # The first program of the host has only changed its root
    # shellcheck disable=SC2016
    exec chroot /proc/1/root /bin/busybox unshare -m /bin/busybox sh -c \
        'cd /root && mount --move . / && exec chroot . /bin/bash "$1" inside' sh "$0"
fi

dmesg -n 1
modprobe overlay || insmod "$(find "/lib/modules/$(uname -r)" -name 'overlay.ko*')"
# a guest under TCG is too slow here
modprobe kvm_amd || insmod "$(find "/lib/modules/$(uname -r)" -name 'kvm-amd.ko*')"
mount -t securityfs none /sys/kernel/security
mkdir -p /run/upper /run/scratch
n=0
for folder in /etc/apparmor.d /usr/bin /usr/lib/x86_64-linux-gnu /opt; do
    n=$((n + 1))
    mkdir "/run/upper/$n" "/run/scratch/$n"
    mount -t overlay -o "lowerdir=$folder,upperdir=/run/upper/$n,workdir=/run/scratch/$n" none "$folder"
done
# QEMU where the distribution has it, and where its profiles expect it
ours=$(sed -n 's/^ours=//p' /run/out/arguments)
here=$(sed -n 's/^here=//p' /run/out/arguments)
manual=$(sed -n 's/^manual=//p' /run/out/arguments)
modules=/usr/lib/x86_64-linux-gnu/qemu
mkdir -p "$modules" /etc/apparmor.d/abstractions/libvirt-qemu.d
cp "$ours/qemu-system-x86_64" /usr/bin/
cp "$ours"/*.so "$modules/"
cp /run/out/rules /etc/apparmor.d/abstractions/libvirt-qemu.d/virtio-gpu
other=/opt/qemu/bin
mkdir -p "$other" /opt/qemu/lib/x86_64-linux-gnu
cp "$ours/qemu-system-x86_64" "$other/"
ln -s "$modules" /opt/qemu/lib/x86_64-linux-gnu/qemu
echo "$other/qemu-system-x86_64 PUx," >/etc/apparmor.d/local/usr.sbin.libvirtd
apparmor_parser -r -T -W /etc/apparmor.d/usr.sbin.libvirtd /etc/apparmor.d/usr.lib.libvirt.virt-aa-helper
grep -q '^libvirtd (enforce)' /sys/kernel/security/apparmor/profiles
echo "ok - AppArmor confines libvirtd"

# domain NAME EMULATOR [ELEMENT]: a domain, with one element more
domain()
{
    local state=/dev/shm/$1 emulator=$2 element=${3:-}
    mkdir -p "$state"/{etc,lib,cache,log,run}
    cp /run/out/kernel /run/out/initrd "$state/"
    sed "s|<qemu:commandline>|$element&<qemu:arg value='-L'/><qemu:arg value='/usr/share/qemu'/>\\
<qemu:arg value='-L'/><qemu:arg value='/usr/share/seabios'/>\\
<qemu:env name='QEMU_MODULE_DIR' value='$modules'/>|
s|<domain type='qemu'|<domain type='kvm'|" "$here/domain.xml" >"$state.xml"
    SECURITY_DRIVER=apparmor unshare --mount --pid --fork --kill-child --mount-proc \
        bash "$here/private-daemon.sh" "$state" \
        python3 -B "$here/check-libvirt.py" --emulator "$emulator" \
        --domain "$state.xml" --state "$state" --manual "$manual" --brief --slow || :
}

domain confined /usr/bin/qemu-system-x86_64
# A virtual GPU's uevent file may be denied: there is no rule for it
if denied=$(dmesg | grep -a 'apparmor="DENIED".*profile="libvirt-' | grep -v '/uevent"'); then
    echo "not ok - no access that a domain needs is denied: $(tail -n 1 <<<"$denied")"
else
    echo "ok - no access that a domain needs is denied"
fi
domain elsewhere "$other/qemu-system-x86_64" "<seclabel type='none' model='apparmor'/>"
