#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In a guest: vulkaninfo and vk-check on Mesa's Venus driver.
# vulkan-job.sh POLICY VK-CHECK [refused]; writes /run/out/result.log. The third
# word says that the host refuses to map memory that the device allocated, as
# under policy strict. PATIENCE is how many seconds each program may take.

set -uo pipefail

policy=$1 check=$2 refused=${3:-}
[ "$policy" != strict ] || refused=refused
passed=0 failed=0
mkdir -p /run/out
exec >/run/out/result.log 2>&1

verdict()
{
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
        echo "ok - $policy: $2"
    else
        failed=$((failed + 1))
        echo "FAILED - $policy: $2"
    fi
}

. "$(dirname "$0")/venus.sh"

timeout "${PATIENCE:-60}" vulkaninfo --summary >/run/out/vulkaninfo.log 2>&1
status=$?
name=$(sed -n 's/.*deviceName *= //p' /run/out/vulkaninfo.log | head -1)
echo "$policy: vulkaninfo ends with $status, device: ${name:-none}"
[ "$status" = 0 ] && [[ $name == *Venus* ]]
verdict $? "vulkaninfo shows Venus"

timeout "${PATIENCE:-90}" "$check" >/run/out/vk-check.log 2>&1
status=$?
sed "s/^/$policy: /" /run/out/vk-check.log
grep -q '^device: .*Venus' /run/out/vk-check.log
verdict $? "the memory tried is that of Venus"
if [ -n "$refused" ]; then
    [ "$status" = 2 ] && grep -q 'map refused, error' /run/out/vk-check.log
    verdict $? "what is refused ends in a Vulkan error (status $status)"
else
    [ "$status" = 0 ]
    verdict $? "results computed in mapped memory are right (status $status)"
fi
[ "$status" != 124 ]
verdict $? "nothing hangs"

dmesg >/run/out/dmesg.log && ! grep -q 'blocked for more than' /run/out/dmesg.log
verdict $? "no task of the guest is stuck"
echo "$passed passed, $failed failed"
