#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# private-daemon.sh STATE COMMAND ARGS...: run COMMAND with a libvirtd of its
# own, which keeps everything in STATE.  To be called in mount and process name
# spaces of their own; the daemon ends with them.
set -euo pipefail

state=$1
shift

# What happens here is not the system's business
mount --make-rprivate /
mount -t tmpfs -o mode=755 none /run
# without control groups there is nothing that must be tidied up
[ ! -d /sys/fs/cgroup ] || mount -t tmpfs none /sys/fs/cgroup
mkdir -p -m 700 /run/virtio-gpu-blob /run/libvirt
for pair in lib:/var/lib cache:/var/cache log:/var/log etc:/etc; do
    mkdir -p "${pair#*:}/libvirt" 2>/dev/null || :
    mount --bind "$state/${pair%%:*}" "${pair#*:}/libvirt"
done
cp -P "$state/kernel" "$state/initrd" /run/virtio-gpu-blob/

# The sandbox would forbid virglrenderer to start its server for Venus
cat >/etc/libvirt/qemu.conf <<'END'
seccomp_sandbox = 0
user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
END
cat >/etc/libvirt/libvirtd.conf <<'END'
auth_unix_rw = "none"
auth_unix_ro = "none"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
END

export LIBVIRT_DEFAULT_URI=qemu:///system HOME=/root
unset XDG_RUNTIME_DIR XDG_CONFIG_HOME XDG_CACHE_HOME
/usr/sbin/libvirtd --config /etc/libvirt/libvirtd.conf </dev/null >"$state/log/libvirtd.out" 2>&1 &
daemon=$!
for ((i = 0; ; i++)); do
    virsh -q version >/dev/null 2>&1 && break
    if [ $i -ge 100 ] || ! kill -0 "$daemon" 2>/dev/null; then
        tail -n 20 "$state/log/libvirtd.out" "$state/log/libvirtd.log" >&2 || :
        echo "not ok - libvirtd starts"
        exit 1
    fi
    sleep 0.2
done
echo "ok - libvirtd starts"

status=0
"$@" || status=$?
kill "$daemon" 2>/dev/null || :
wait "$daemon" || :
exit "$status"
