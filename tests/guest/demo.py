#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The host's side of the demo: start the guest, answer its steps by looking
# into the real buffers, and compare what the guest saw with what the device
# says it decided.

import argparse
import array
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import board

# An arm64 guest's host is emulated.
SERIAL_TIMEOUT = {'x86_64': 120, 'aarch64': 240}[board.MACHINE]
# What a guest's kernel makes of the type it is told, by its own words
KERNEL_TYPES = {
    'x86_64': {'1': 'write-back', '2': 'uncached-minus',
               '3': 'write-combining'},
    'aarch64': {'1': 'normal', '2': 'device', '3': 'normal-nc'},
}


PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Failed(Exception):
    """What went wrong, for the user."""


def end_with_parent():
    """Run in a child: it ends when this program does, however that ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def pattern(seed, count):
    """The guest's pattern: count words."""
    step = 2654435761
    words = range(seed * step, (seed + count) * step, step)
    return array.array('I', [w & 0xffffffff for w in words]).tobytes()


def inverted(data):
    """The same with each bit the other one."""
    ones = (1 << 8 * len(data)) - 1
    return (int.from_bytes(data, 'little') ^ ones).to_bytes(len(data),
                                                            'little')


class Guest:
    """A guest on our QEMU, talked to over its serial line."""

    def __init__(self, args, folder):
        self.control = None
        self.trace = os.path.join(folder, 'trace.log')
        self.console = os.path.join(folder, 'console.log')
        self.monitor = os.path.join(folder, 'monitor')
        path = os.path.join(folder, 'serial')
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)
        listener.settimeout(60)
        device = '%s,blob=on,hostmem=%s,venus=on' % (args.device, args.hostmem)
        if args.policy:
            device += ',map-policy=' + args.policy
        command = [
            args.qemu, *board.options(args.accel), '-m', args.memory,
            '-nodefaults', '-no-reboot',
            '-display', 'sdl,gl=on', '-device', device,
            '-kernel', args.kernel, '-initrd', args.initrd,
            '-append', 'console=%s quiet panic=-1 blob=%s' % (
                board.CONSOLE, args.mode),
            '-chardev', 'socket,id=s,path=' + path, '-serial', 'chardev:s',
            '-D', self.trace]
        if args.late_trace:
            command += ['-S', '-chardev', 'socket,id=m,path=%s,server=on,'
                        'wait=off' % self.monitor, '-mon', 'chardev=m']
        elif not args.stock:
            command += ['-trace', 'virtio_gpu_blob*']
        env = dict(os.environ, SDL_VIDEODRIVER='offscreen',
                   XDG_RUNTIME_DIR=folder)
        if args.no_fd:
            env['LD_PRELOAD'] = args.no_fd
        self.stderr = open(os.path.join(folder, 'stderr.log'), 'w+',
                           encoding='utf-8')
        # pylint: disable=consider-using-with,subprocess-popen-preexec-fn
        self.process = subprocess.Popen(command, env=env, stderr=self.stderr,
                                        stdin=subprocess.DEVNULL,
                                        preexec_fn=end_with_parent)
        try:
            self.line, _ = listener.accept()
        except TimeoutError:
            self.stop()
            raise Failed('QEMU did not start: ' + self.errors()) from None
        self.line.settimeout(SERIAL_TIMEOUT)
        self.log = open(self.console, 'w', encoding='utf-8')
        if args.late_trace:
            self.start_traced()

    def start_traced(self):
        """Let the machine go, with the events of modules loaded by now."""
        deadline = time.monotonic() + 60
        self.control = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.control.connect(self.monitor)
                break
            except OSError:
                if time.monotonic() > deadline:
                    self.stop()
                    raise Failed('QEMU did not start: '
                                 + self.errors()) from None
                time.sleep(0.1)
        self.control.sendall(b'trace-event virtio_gpu_blob* on\ncont\n')

    def lines(self):
        """What the guest prints, line by line, until it is off."""
        rest = b''
        while True:
            try:
                data = self.line.recv(4096)
            except TimeoutError:
                raise Failed('the guest is silent for %d s'
                             % SERIAL_TIMEOUT) from None
            except ConnectionResetError:
                data = b''
            if not data:
                return
            rest += data
            while b'\n' in rest:
                line, rest = rest.split(b'\n', 1)
                text = line.decode(errors='replace').strip()
                self.log.write(text + '\n')
                self.log.flush()
                yield text

    def answer(self):
        """Let the guest go on."""
        self.line.sendall(b'go\n')

    def buffers(self):
        """The shared memory that QEMU holds: the buffers themselves."""
        folder = '/proc/%d/fd' % self.process.pid
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            try:
                if '/memfd:' in os.readlink(path):
                    yield path
            except OSError:
                continue

    def all_errors(self):
        """What QEMU said."""
        self.stderr.flush()
        self.stderr.seek(0)
        return self.stderr.read()

    def errors(self):
        """The end of it."""
        return self.all_errors().strip()[-2000:] or 'no message'

    def stop(self):
        """Leave nothing running."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def check_buffer(guest, size, seed):
    """Find the buffer with the guest's pattern; how many words are wrong."""
    want = pattern(seed, size // 4)
    for path in guest.buffers():
        with open(path, 'r+b', buffering=0) as buf:
            if buf.read(64) != want[:64]:
                continue
            buf.seek(0)
            got = buf.read(size)
            buf.seek(0)
            buf.write(inverted(want))
            if got == want:
                return 0
            return sum(got[i:i + 4] != want[i:i + 4]
                       for i in range(0, size, 4))
    return size // 4


SEEDS = {4096: 0x303, 65536: 0x404, 4 << 20: 0x505, 8 << 20: 0x505}


def fields(line):
    """key=value words of a line."""
    return dict(word.split('=', 1) for word in line.split() if '=' in word)


def read_trace(path):
    """What the device decided and mapped, by resource."""
    found = {}
    decision = re.compile(
        r'virtio_gpu_blob_decision resource (\d+) .*: (\S+), (\S+)')
    mapped = re.compile(r'virtio_gpu_blob_map resource (\d+) offset (\S+) '
                        r'size (\S+) map_info (\d+) path (\S+)')
    try:
        with open(path, encoding='utf-8', errors='replace') as trace:
            text = trace.readlines()
    except FileNotFoundError:
        return found
    for line in text:
        match = decision.search(line)
        if match:
            found.setdefault(match[1], {})['voucher'] = match[3]
        match = mapped.search(line)
        if match:
            found.setdefault(match[1], {}).update(
                offset=int(match[2], 16), size=int(match[3], 16),
                type=match[4], path=match[5])
    return found


class Tests:
    """Counted assertions."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, what, good):
        """Count one, and tell if it failed."""
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print('FAIL', what)


NAMES = {'1': 'cached', '2': 'uncached', '3': 'write-combine'}


def show(tests, blob, host, stock):
    """One line a blob, and its checks."""
    size, offset = int(blob['size']), int(blob['offset'], 16)
    if stock:
        answer = '(stock does not say)'
    else:
        answer = '%s, vouched for by %s (%s)' % (
            NAMES.get(host.get('type'), 'nothing'),
            host.get('voucher', 'nobody'), host.get('path', 'not mapped'))
    print('%-6s %8d bytes at 0x%07x: host answered %s; guest uses %s'
          % (blob['kind'], size, offset, answer, blob['type']))
    name = '%s blob of %d bytes' % (blob['kind'], size)
    kernel_types = KERNEL_TYPES[board.MACHINE]
    tests.check(name + ': what the guest wrote is in the buffer',
                blob['host-wrong'] == '0')
    tests.check(name + ': what the host wrote is in the guest',
                blob['guest-wrong'] == '0')
    tests.check(name + ': it takes unaligned accesses (%s)'
                % blob['unaligned'], blob['unaligned'] == 'right')
    if not stock:
        tests.check(name + ': the device tells where it is',
                    host.get('offset') == offset and host.get('size') == size)
        tests.check(name + ': the guest uses the type that it was told',
                    kernel_types.get(host.get('type')) == blob['type'])


def show_refusal(tests, blob, host):
    """One line for a blob that the host did not map, and its checks."""
    reason = host.get('voucher', 'without a reason')
    print('%-6s %8s bytes: host refused to map it (%s); mmap in the guest: %s'
          % (blob['kind'], blob['size'], reason, blob['errno']))
    tests.check('a refused blob has its reason', reason == 'nobody-vouches')
    tests.check('a refused blob is a plain error in the guest',
                blob['errno'] == 'EINVAL')


def check_no_fd(tests, blobs, decided):
    """The renderer maps those of Vulkan's into the window itself."""
    for blob in blobs:
        host = decided.get(blob['resource'], {})
        if blob['kind'] == 'venus':
            tests.check('venus blob of %s bytes: no fd, in the window'
                        % blob['size'], host.get('voucher') == 'renderer'
                        and host.get('path') == 'window')


def run(args, folder, tests):
    """Run the guest once; True if it came to its end."""
    guest = Guest(args, folder)
    blobs, refused, wrong, done = [], [], 0, False
    try:
        for line in guest.lines():
            if line.startswith('STEP '):
                size = int(fields(line)['size'])
                wrong = check_buffer(guest, size, SEEDS[size])
                guest.answer()
            elif line.startswith('BLOB '):
                blob = fields(line)
                if blob['kind'] == 'venus':
                    blob['host-wrong'] = str(wrong)
                blobs.append(blob)
            elif line.startswith('BENCH '):
                print(line[6:])
            elif line.startswith('REFUSED '):
                refused.append(fields(line))
            elif line.startswith('FAIL'):
                raise Failed('the guest says: ' + line)
            elif line == 'DONE':
                done = True
        try:
            guest.process.wait(30)
        except subprocess.TimeoutExpired:
            raise Failed('QEMU does not end after its guest') from None
    finally:
        guest.stop()
    if not done:
        raise Failed('the guest ended too early; QEMU says: '
                     + guest.errors())
    decided = read_trace(guest.trace)
    for blob in blobs:
        show(tests, blob, decided.get(blob['resource'], {}), args.stock)
    for blob in refused:
        show_refusal(tests, blob, decided.get(blob['resource'], {}))
    count = {'all': 5, 'useless': 5, 'virgl': 2}.get(args.mode, 0)
    tests.check('%d blobs were created' % count,
                len(blobs) + len(refused) == count)
    if args.policy == 'renderer' or args.stock:
        tests.check('no blob was refused', not refused)
    if args.no_fd:
        check_no_fd(tests, blobs, decided)


def add_options(parser):
    """What Guest is told; and the guest's mode, in args.mode."""
    parser.add_argument('--qemu', required=True)
    parser.add_argument('--kernel', required=True)
    parser.add_argument('--initrd', required=True)
    parser.add_argument('--device', default='virtio-gpu-gl-pci')
    parser.add_argument('--hostmem', default='4G')
    parser.add_argument('--memory', default='512M')
    parser.add_argument('--accel', default='tcg')
    parser.add_argument('--policy')
    parser.add_argument('--stock', action='store_true')
    parser.add_argument('--no-fd', metavar='LIBRARY',
                        help='preloaded, so that the renderer has no fd to '
                        'give, but can map at an address')
    parser.add_argument('--late-trace', action='store_true',
                        help='the trace events come with a module: switch '
                        'them on once it is loaded')


def main():
    """Parse, run, judge."""
    parser = argparse.ArgumentParser(description='run the demo\'s guest')
    parser.add_argument('--mode', default='all',
                        choices=['all', 'useless', 'virgl', 'bench'])
    add_options(parser)
    args = parser.parse_args()
    tests = Tests()
    # as an exception, so that QEMU is stopped and the folder removed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = tempfile.mkdtemp(prefix='blob-demo.')
    try:
        return judge(args, folder, tests)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def judge(args, folder, tests):
    """Run, tell, and say how it ended."""
    try:
        run(args, folder, tests)
    except Failed as err:
        tests.check(str(err), False)
    if tests.failed:
        for name in ('console.log', 'stderr.log', 'trace.log'):
            path = os.path.join(folder, name)
            if os.path.exists(path):
                print('--- the end of %s' % name)
                with open(path, encoding='utf-8', errors='replace') as log:
                    print(''.join(log.readlines()[-25:]), end='')
    if args.mode != 'bench':
        print('%d passed, %d failed' % (tests.passed, tests.failed))
    return 1 if tests.failed else 0


if __name__ == '__main__':
    sys.exit(main())
