#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# private-daemon.sh [--session] STATE COMMAND ARGS...: run COMMAND with a libvirtd
# of its own, which keeps everything in STATE.  To be called in mount and process
# name spaces of their own; the daemon ends with them.  With --session both run
# as an ordinary user.
set -euo pipefail

session=
if [ "$1" = --session ]; then
    session=1
    shift
fi
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
if [ -n "$session" ]; then
    as=(setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all --)
    export HOME=$state/home XDG_RUNTIME_DIR=/run/user/nobody LIBVIRT_DEFAULT_URI=qemu:///session
    unset XDG_CONFIG_HOME XDG_CACHE_HOME
    log=$HOME/.cache/libvirt
    options=()
    mkdir -p "$XDG_RUNTIME_DIR" "$HOME/.config/libvirt" "$log"
    echo 'seccomp_sandbox = 0' >"$HOME/.config/libvirt/qemu.conf"
    chown -R nobody:nogroup "$state" /run/virtio-gpu-blob /run/user/nobody
else
    as=()
    export HOME=/root LIBVIRT_DEFAULT_URI=qemu:///system
    unset XDG_RUNTIME_DIR XDG_CONFIG_HOME XDG_CACHE_HOME
    log=$state/log
    options=(--config /etc/libvirt/libvirtd.conf)
    cat >/etc/libvirt/qemu.conf <<END
seccomp_sandbox = 0
user = "root"
group = "root"
security_driver = "${SECURITY_DRIVER:-none}"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
END
    cat >/etc/libvirt/libvirtd.conf <<'END'
auth_unix_rw = "none"
auth_unix_ro = "none"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
END
fi

"${as[@]}" /usr/sbin/libvirtd "${options[@]}" </dev/null >"$log/libvirtd.out" 2>&1 &
daemon=$!
for ((i = 0; ; i++)); do
    "${as[@]}" virsh -q version >/dev/null 2>&1 && break
    if [ $i -ge 100 ] || ! kill -0 "$daemon" 2>/dev/null; then
        tail -n 20 "$log"/libvirtd.* >&2 || :
        echo "not ok - libvirtd starts"
        exit 1
    fi
    sleep 0.2
done
echo "ok - libvirtd starts${session:+ as an ordinary user}"

status=0
"${as[@]}" "$@" || status=$?
kill "$daemon" 2>/dev/null || :
wait "$daemon" || :
exit "$status"
