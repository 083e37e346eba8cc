#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Change any of our files, one thing at a time: do the tests notice?

Statements are removed, conditions negated, comparisons and constants shifted;
what a message or a trace event says is left as it is.
The unit tests that have the file are tried first, then the device's tests with
a module that has the change.  The order is a random one; what was noticed is
kept, so that the next run goes on from there.
"""

import argparse
import bisect
import concurrent.futures
import hashlib
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import mutants

UNIT_TESTS = 'tests/unit/test-virtio-gpu-blob-'
QTESTS = 'tests/qtest/virtio-gpu-gl-%s-test'
# Those that take long come last; "reset" of mapping takes a minute by itself.
GROUPS = ['blob', 'scanout', 'region', 'command', 'buffer', 'rdm', 'decision',
          'balloon', 'fixed', 'kick', 'slot', 'reset', 'lost', 'fault', 'soak',
          'operator', 'window', 'thread', 'host', 'mapping', 'fuzz']
LEFT_OUT = ['/x86_64/virtio-gpu-gl/mapping/reset']
# Where a file has a group of its own
FIRST = {'host': 'host', 'report': 'operator', 'region': 'region',
         'rdm': 'rdm', 'alignment': 'host', 'fault': 'lost', 'loss': 'lost',
         'vcpu': 'lost', 'aside': 'slot', 'device': 'operator',
         'mapping': 'fault', 'holes': 'window', 'pending': 'kick',
         'fixed': 'fixed'}
# Seconds: for a test as it is, and with a change at least
LIMIT = 600
LIMIT_LEAST = 30

SIMPLE = re.compile(r'''
    (?!(?:return|goto|break|continue|case|default|else|do|if|for|while|switch|
          static|const|struct|typedef|extern|enum|union|g_auto\w*|trace_\w*)\b)
    [A-Za-z_(*+-][^{};]*;
''', re.VERBOSE)
DECLARATION = re.compile(r'[A-Za-z_]\w*[\s*]+\**[A-Za-z_]\w*\s*(\[.*\])?\s*'
                         r'[=;,]', re.DOTALL)
CONDITION = re.compile(r'\b(if|while) \(')
NO_CODE = re.compile(r'/\*.*?\*/|^[ \t]*#[^\n]*(?:\\\n[^\n]*)*|"(?:\\.|[^"\\])*"',
                     re.DOTALL | re.MULTILINE)


def blanked(text):
    """The text with all that is no code made blank, at the same places."""
    return NO_CODE.sub(lambda m: re.sub(r'[^\n]', ' ', m[0]), text)


def function_bodies(code):
    """(start, end) of what functions have between their braces."""
    for found in re.finditer(r'^\{$.*?^\}$', code, re.DOTALL | re.MULTILINE):
        yield found.start() + 1, found.end() - 1


def end_of_parenthesis(code, at):
    """Where the one that opens here is closed."""
    depth = 0
    for i in range(at, len(code)):
        depth += {'(': 1, ')': -1}.get(code[i], 0)
        if not depth:
            return i
    raise ValueError('a parenthesis is not closed')


def removals(code, start, end):
    """Statements: (from, to)."""
    for found in re.finditer(r'(?<=[{};:])\s+', code[start:end]):
        at = start + found.end()
        simple = SIMPLE.match(code, at, end)
        if simple and not DECLARATION.match(simple[0]):
            yield at, simple.end()


def conditions(code, start, end):
    """What is in an if's or a while's parentheses: (from, to)."""
    for found in CONDITION.finditer(code, start, end):
        yield found.end(), end_of_parenthesis(code, found.end() - 1)


def all_mutants(text):
    """All mutants: line, what became what, and the text."""
    code = blanked(text)
    for start, end in function_bodies(code):
        for a, b in removals(code, start, end):
            yield (text.count('\n', 0, a) + 1, 'removed',
                   text[:a] + ';' + text[b:])
        for a, b in conditions(code, start, end):
            yield (text.count('\n', 0, a) + 1, 'negated',
                   '%s!(%s)%s' % (text[:a], text[a:b], text[b:]))
    for line, what, mutant in mutants.mutants(text):
        # what a message says is not what the code does, nor would a text do
        if not what.startswith(('"', 'NULL ->')):
            yield line, what, mutant


def ninja_commands(build, target):
    return subprocess.run(['ninja', '-C', build, '-t', 'commands', target],
                          check=True, capture_output=True,
                          text=True).stdout.splitlines()


class Recipe:
    """How the build compiles a file and links what has it."""

    def __init__(self, build, target, source, lines):
        name = '/' + os.path.basename(source)
        self.build = build
        self.link = shlex.split(next(
            l for l in reversed(lines) if ' -o %s ' % target in l))
        self.compile = shlex.split(next(
            l for l in lines if l.endswith(name) and ' -c ' in l))

    def make(self, text, folder, out):
        """Links the mutant as @out; None, or what came of it."""
        source = os.path.join(folder, 'mutant.c')
        object_ = os.path.join(folder, 'mutant.o')
        with open(source, 'w', encoding='utf-8') as file:
            file.write(text)
        old = self.compile[self.compile.index('-o') + 1]
        words = [w for w in self.compile[:-1]
                 if w != 'ccache' and not re.match(r'-M[DQF]?$|.*\.o\.d$', w)]
        words = mutants.replaced(words, '-o', object_)
        words += ['-iquote', os.path.dirname(self.compile[-1]), '-w', source]
        if subprocess.run(words, cwd=self.build, capture_output=True,
                          check=False).returncode:
            return 'invalid'
        link = [object_ if w == old else w for w in self.link]
        if subprocess.run(mutants.replaced(link, '-o', out), cwd=self.build,
                          capture_output=True, check=False).returncode:
            return 'invalid'
        return None


def notices(words, limit, env=None):
    """Does this test fail, or take longer than that?"""
    with subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL,
                          start_new_session=True) as process:
        try:
            return process.wait(limit) != 0
        except subprocess.TimeoutExpired:
            return True
        finally:
            # a QEMU that hangs outlives the test that started it
            try:
                os.killpg(process.pid, 9)
            except ProcessLookupError:
                pass


class Build:
    """The tests there are, and which of them has what file."""

    def __init__(self, folder, emulator):
        self.folder = folder
        self.emulator = emulator
        self.commands = {}
        self.took = {}
        self.modules = [f for f in os.listdir(folder) if f.endswith('.so')]
        programs = sorted(f for f in os.listdir(folder + '/tests/unit')
                          if f.startswith(os.path.basename(UNIT_TESTS))
                          and not f.endswith('.p'))
        self.units = ['tests/unit/' + p for p in programs]
        for target in self.units + ['hw-display-virtio-gpu-gl.so']:
            self.commands[target] = ninja_commands(folder, target)

    def notices(self, name, words, env=None):
        """The first time is without a change, and tells how long it takes."""
        limit = max(5 * self.took[name], LIMIT_LEAST) if name in self.took \
            else LIMIT
        began = time.monotonic()
        failed = notices(words, limit, env)
        if name not in self.took:
            self.took[name] = time.monotonic() - began
            if failed:
                sys.exit('error: %s fails without a change' % name)
        return failed

    def check(self, sources, scratch):
        """All tests pass as it is."""
        for source in sources:
            with open(source, encoding='utf-8') as file:
                text = file.read()
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                self.by_units(text, source, folder)
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            self.by_qtests(text, source, folder)

    def recipes(self, source, targets):
        """(target, recipe) of those that compile the file."""
        found = []
        for target in targets:
            try:
                found.append((target, Recipe(self.folder, target, source,
                                             self.commands[target])))
            except StopIteration:
                pass
        return found

    def by_units(self, text, source, folder):
        recipes = self.recipes(source, self.units)
        for target, recipe in recipes:
            out = os.path.join(folder, os.path.basename(target))
            if recipe.make(text, folder, out):
                return 'invalid'
            if self.notices(target, [out]):
                return 'killed'
        return None

    def by_qtests(self, text, source, folder):
        module = 'hw-display-virtio-gpu-gl.so'
        (_, recipe), = self.recipes(source, [module])
        for name in self.modules:
            if name != module:
                os.symlink(os.path.join(self.folder, name),
                           os.path.join(folder, name))
        if recipe.make(text, folder, os.path.join(folder, module)):
            return 'invalid'
        emulator = os.path.join(folder, 'qemu-system-x86_64')
        with open(emulator, 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\nQEMU_MODULE_DIR=%s exec %s "$@"\n' %
                       (folder, self.emulator))
        os.chmod(emulator, 0o755)
        env = dict(os.environ, QTEST_QEMU_BINARY=emulator)
        for group in order(source):
            words = [os.path.join(self.folder, QTESTS % group)]
            for path in LEFT_OUT:
                words += ['-s', path]
            if self.notices(group, words, env):
                return 'killed'
        return 'survived'

    def verdict(self, text, source, scratch):
        """killed, survived, or invalid when it does not compile."""
        folder = tempfile.mkdtemp(dir=scratch)
        try:
            return (self.by_units(text, source, folder) or
                    self.by_qtests(text, source, folder))
        finally:
            shutil.rmtree(folder)


def room(source):
    return re.sub(r'virtio-gpu-blob-?|\.c$', '', os.path.basename(source))


def order(source):
    first = FIRST.get(room(source), FIRST.get(room(source).split('-')[0]))
    return [first] * bool(first) + [g for g in GROUPS if g != first]


class Memory:
    """What earlier runs found, by what was changed; one line each."""

    def __init__(self, path):
        self.path = path
        self.known = {}
        self.lock = threading.Lock()
        if path and os.path.exists(path):
            with open(path, encoding='utf-8') as lines:
                for line in lines:
                    entry = json.loads(line)
                    self.known[entry['key']] = entry['verdict']

    def keep(self, key, verdict):
        with self.lock, open(self.path, 'a', encoding='utf-8') as out:
            out.write(json.dumps({'key': key, 'verdict': verdict}) + '\n')


def read_explained(path):
    explained = {}
    with open(path, encoding='utf-8') as lines:
        for line in lines:
            if ': ' in line and not line.startswith('#'):
                what, why = line.strip().split(': ', 1)
                explained[what] = why
    return explained


class Change:
    """One mutant of one file."""

    def __init__(self, source, whole, line, what, text):
        self.source, self.line, self.text = source, line, text
        lines = whole.splitlines()
        self.what = '%s | %s | %s' % (os.path.basename(source),
                                      lines[line - 1].strip(), what)
        self.key = hashlib.sha256(text.encode()).hexdigest()


def changes_of(sources):
    found = []
    for source in sources:
        with open(source, encoding='utf-8') as file:
            whole = file.read()
        found += [Change(source, whole, *m) for m in all_mutants(whole)]
    return found


class Run:
    """All of it, and what came of each."""

    def __init__(self, build, memory, explained, deadline, scratch):
        self.build, self.memory, self.explained = build, memory, explained
        self.deadline, self.scratch = deadline, scratch
        self.counts = dict.fromkeys(
            ('killed', 'survived', 'explained', 'invalid', 'left'), 0)
        self.by_file = {}
        self.lock = threading.Lock()

    def judge(self, change):
        verdict = self.memory.known.get(change.key)
        if verdict is None:
            if time.monotonic() > self.deadline:
                return 'left'
            verdict = self.build.verdict(change.text, change.source,
                                         self.scratch)
            self.memory.keep(change.key, verdict)
        return verdict

    def count(self, change, verdict):
        if verdict == 'survived':
            why = self.explained.get(change.what)
            if why:
                print('explained, line %d: %s: %s' %
                      (change.line, change.what, why))
                verdict = 'explained'
            else:
                print('SURVIVED, line %d: %s' % (change.line, change.what))
        self.counts[verdict] += 1
        per = self.by_file.setdefault(room(change.source) or 'blob',
                                      dict.fromkeys(self.counts, 0))
        per[verdict] += 1

    def go(self, changes, jobs):
        began = last = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            tasks = [(c, pool.submit(self.judge, c)) for c in changes]
            for change, task in tasks:
                self.count(change, task.result())
                if time.monotonic() - last > 30:
                    last = time.monotonic()
                    print('  %d s: %s' % (last - began, self.line()),
                          file=sys.stderr)

    def line(self):
        return ', '.join('%d %s' % (n, word)
                         for word, n in self.counts.items() if n)

    def report(self):
        for name, per in sorted(self.by_file.items()):
            seen = per['killed'] + per['survived'] + per['explained']
            if seen:
                print('%-12s %4d tried, %3.0f %% noticed, %d explained' %
                      (name, seen, 100 * per['killed'] / seen,
                       per['explained']))
        seen = sum(self.counts[w] for w in ('killed', 'survived', 'explained'))
        if seen:
            print('all          %4d tried, %.1f %% noticed' %
                  (seen, 100 * self.counts['killed'] / seen))
        print('%d passed, %d failed, %d skipped (%d do not compile, '
              '%d for another run)' %
              (self.counts['killed'] + self.counts['explained'],
               self.counts['survived'],
               self.counts['invalid'] + self.counts['left'],
               self.counts['invalid'], self.counts['left']))
        return 1 if self.counts['survived'] or not seen else 0


def main():
    """Tries mutants until the time is over; 1 if one is not explained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--build', required=True, help='ninja\'s folder')
    parser.add_argument('--emulator', required=True,
                        help='QEMU and its first options, for a shell')
    parser.add_argument('--memory', required=True,
                        help='the file that keeps what was found')
    parser.add_argument('--explained', required=True, help='survivors that '
                        'are no fault of the tests, "file | line | change: '
                        'why"')
    parser.add_argument('--scratch', required=True, help='a folder')
    parser.add_argument('--seconds', type=int, default=900,
                        help='begin no more after this time (default 900)')
    parser.add_argument('--seed', type=int, default=0,
                        help='another order (default 0)')
    parser.add_argument('--file', action='append', default=[],
                        help='only files with this in their name')
    parser.add_argument('--jobs', type=int, default=os.cpu_count())
    parser.add_argument('--list', action='store_true',
                        help='only say what would be changed')
    parser.add_argument('sources', nargs='+')
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)

    sources = [s for s in args.sources
               if not args.file or any(f in s for f in args.file)]
    changes = changes_of(sources)
    if args.list:
        for change in changes:
            print('%d: %s' % (change.line, change.what))
        return 0
    random.Random(args.seed).shuffle(changes)
    memory = Memory(args.memory)
    # what is known costs no time
    changes.sort(key=lambda c: c.key not in memory.known)
    print('%d changes in %d files, %d of them tried before; at most %d s' %
          (len(changes), len(sources),
           bisect.bisect_left([c.key not in memory.known for c in changes],
                              True), args.seconds))
    build = Build(args.build, args.emulator)
    build.check(sources, args.scratch)
    run = Run(build, memory, read_explained(args.explained),
              time.monotonic() + args.seconds, args.scratch)
    run.go(changes, args.jobs)
    return run.report()


if __name__ == '__main__':
    sys.exit(main())
