#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Change any of our files, one thing at a time: do the tests notice?

Statements are removed, conditions negated, comparisons and constants shifted;
what a message or a trace event says is left as it is.
The unit tests that have the file are tried first, then the device's tests with
a module that has the change: those alone that come by the line, as gcov has it,
and those first that notice most of this file's changes in the least time.  The
order is a random one, as many of each file as of another; what was noticed is
kept, so that the next run goes on from there.

A test that fails must pass without the change; where it took long to fail, it
may have been the machine: then it must pass fast now, or fail twice.
"""

import argparse
import bisect
import collections
import concurrent.futures
import copy
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
QTEST = re.compile(r'virtio-gpu-gl-[a-z-]+-test$')
MODULE = 'hw-display-virtio-gpu-gl.so'
# What a file's changes are likely to break
FIRST = {'host': ['decision'], 'report': ['operator'], 'region': ['region'],
         'lost': ['lost'], 'device': ['operator', 'decision'],
         'renderer': ['region'], 'exporter': ['decision'],
         'vma': ['window'], 'window': ['window'], 'buffer': ['decision']}
# Seconds: for a test as it is, and with a change at least; and what may have
# been a command that was not answered in time
LIMIT = 600
LIMIT_LEAST = 20
LONG = 9

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


def function_of(text, line):
    """The lines of the function that has this one, up to this one."""
    for start, end in function_bodies(blanked(text)):
        first = text.count('\n', 0, start) + 1
        if first <= line <= text.count('\n', 0, end) + 1:
            return range(first, line + 1)
    return range(0)


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


# QEMU's standard files are open: 0 is no file descriptor of ours
FD = re.compile(r'((fd|fds\[\w+\]|info|kept)( = .*)?\)*) '
                r'(<= 0|> 0|< 1|>= 1)\b')
ROOM = re.compile(r'\bg_new0?\(\w+, 2\)|^\s+char \w+\[\d+\];$|'
                  r'\bsizeof\([^()]*\[1\]\)')


def is_the_same(line, what, mutant):
    """Nothing can show it: one more of what is enough, or such a name."""
    text = mutant.splitlines()[line - 1]
    old, new = what.split(' -> ')
    return (old == new or
            what[0].isdigit() and ROOM.search(text) or
            what in ('0 -> 1', '< -> <=', '>= -> >') and FD.search(text))


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
        if not what.startswith(('"', 'NULL ->')) and \
                not is_the_same(line, what, mutant):
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
        compile_ = shlex.split(next(
            l for l in lines if l.endswith(name) and ' -c ' in l))
        self.object = compile_[compile_.index('-o') + 1]
        # nothing that is compiled here is in the target's own folder
        own = re.compile(r'-M[DQF]?$|.*\.o\.d$|-g$|-I%s\.p$' % target)
        self.compile = [w for w in compile_[:-1]
                        if w != 'ccache' and not own.match(w)]
        self.compile += ['-iquote', os.path.dirname(compile_[-1]), '-w']

    def counting(self):
        """The same, so that it counts which lines are run."""
        words = ['-O0' if w == '-O2' else w for w in self.compile]
        recipe = copy.copy(self)
        recipe.compile = words + ['--coverage']
        return recipe

    def compiled(self, text, folder):
        """The mutant's object, from before where one was compiled alike."""
        words = mutants.replaced(self.compile, '-o', '')
        base = os.path.join(folder, hashlib.sha256(
            '\0'.join(words).encode()).hexdigest()[:16])
        if not os.path.exists(base + '.c'):
            with open(base + '.c', 'w', encoding='utf-8') as file:
                file.write(text)
            words = mutants.replaced(self.compile, '-o', base + '.o')
            subprocess.run(words + [base + '.c'], cwd=self.build,
                           capture_output=True, check=False)
        return base + '.o'

    def make(self, text, folder, out):
        """Links the mutant as @out; None, or what came of it."""
        object_ = self.compiled(text, folder)
        if not os.path.exists(object_):
            return 'invalid'
        link = [object_ if w == self.object else w for w in self.link]
        if subprocess.run(mutants.replaced(link, '-o', out), cwd=self.build,
                          capture_output=True, check=False).returncode:
            return 'invalid'
        return None


def fails(words, limit, env=None):
    """Does this test fail, or take longer than that; and how long it took."""
    began = time.monotonic()
    with subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL,
                          start_new_session=True) as process:
        try:
            failed = process.wait(limit) != 0
        except subprocess.TimeoutExpired:
            failed = True
        finally:
            # a QEMU that hangs outlives the test that started it
            try:
                os.killpg(process.pid, 9)
            except ProcessLookupError:
                pass
    return failed, time.monotonic() - began


class Reach:
    """Which case comes by which lines of the module's files of ours.

    It is kept, and asked anew of a case whose program is another.
    """

    def __init__(self, build, sources, path):
        self.build, self.sources, self.path = build, sources, path
        self.lines = {}
        self.code = {}
        self.stamp = hashlib.sha256()
        for source in sources:
            with open(source, 'rb') as file:
                self.stamp.update(file.read())

    def key(self, case):
        return '%s %s %d' % (case.name, self.stamp.hexdigest()[:16],
                             os.stat(case.words[0]).st_mtime)

    def read(self):
        if os.path.exists(self.path):
            with open(self.path, encoding='utf-8') as file:
                known = json.load(file)
            self.lines = {k: known['lines'][k]
                          for k in map(self.key, self.build.cases)
                          if k in known['lines']}
            self.code = known['code'] if self.lines else {}

    def find(self, scratch, jobs):
        """Runs the cases that are not known."""
        self.read()
        todo = [c for c in self.build.cases if self.key(c) not in self.lines]
        if not todo:
            return
        print('%d cases are run to see what they come by' % len(todo))
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            self.make(folder)
            with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
                list(pool.map(lambda c: self.run(c, folder), todo))
        with open(self.path, 'w', encoding='utf-8') as file:
            json.dump({'lines': self.lines, 'code': self.code}, file)

    def make(self, folder):
        """A module that counts in all files, at once."""
        objects = {}
        for source in self.sources:
            (_, recipe), = self.build.recipes(source, [MODULE])
            with open(source, encoding='utf-8') as file:
                text = file.read()
            at = os.path.join(folder, os.path.basename(source))
            os.mkdir(at)
            objects[recipe.object] = recipe.counting().compiled(text, at)
        link = [objects.get(w, w) for w in recipe.link]
        subprocess.run(mutants.replaced(link + ['-lgcov'], '-o',
                                        os.path.join(folder, MODULE)),
                       cwd=self.build.folder, check=True, capture_output=True)
        self.build.link_modules(folder)

    def run(self, case, folder):
        env = self.build.environment(folder)
        counts = tempfile.mkdtemp(dir=folder)
        env['GCOV_PREFIX'] = counts
        failed, _ = fails(case.words, LIMIT, env)
        lines = {}
        for source in self.sources:
            name = os.path.basename(source)
            code = self.count(folder + '/' + name, counts + folder + '/' + name)
            lines[name] = sorted(n for n in code if code[n])
            if code:
                self.code[name] = sorted(code)
        shutil.rmtree(counts)
        # of one that was killed, or has no QEMU of its own, nothing is known
        if not failed and any(lines.values()):
            self.lines[self.key(case)] = lines

    @staticmethod
    def count(notes, counts):
        """How often each line with code in it is run, in one file."""
        if not os.path.isdir(counts):
            return {}
        data = next(f for f in os.listdir(counts) if f.endswith('.gcda'))
        base = data.split('.')[0]
        shutil.copy('%s/%s.gcno' % (notes, base), counts)
        out = subprocess.run(['gcov', '-t', '-j', data], cwd=counts,
                             check=True, capture_output=True, text=True).stdout
        code = collections.Counter()
        for file in json.loads(out)['files']:
            if file['file'].endswith(base + '.c'):
                for line in file['lines']:
                    code[line['line_number']] += line['count']
        return code

    def comes_by(self, case, source, lines):
        """Does it run the last of these lines that has code in it?"""
        name = os.path.basename(source)
        code = [n for n in self.code.get(name, []) if n in lines]
        known = self.lines.get(self.key(case))
        return not known or not code or code[-1] in known[name]


class Test:
    """A unit test's program, or one case of a qtest's."""

    def __init__(self, name, words, env, memory):
        self.name, self.words, self.env = name, words, env
        self.memory = memory
        self.trusted = False

    def took(self):
        return self.memory.times.get(self.name)

    def passes_as_it_is(self):
        failed, took = fails(self.words, LIMIT, self.env)
        if failed:
            print('error: %s fails without a change' % self.name)
        else:
            self.memory.keep_time(self.name, took)
            self.trusted = True
        return not failed

    def notices(self, words, env=None):
        if self.took() is None and not self.passes_as_it_is():
            return False
        limit = max(5 * self.took(), LIMIT_LEAST)
        failed, took = fails(words, limit, env)
        if not failed:
            return False
        if took < self.took() + LONG and self.trusted:
            return True
        if not self.passes_as_it_is():
            return False
        return (took < LONG or took > 4 * self.took() or
                fails(words, limit, env)[0])


class Build:
    """The tests there are, and which of them has what file."""

    def __init__(self, folder, emulator, memory, scratch, only_units):
        self.folder = folder
        self.only_units = only_units
        self.write_emulator(scratch, emulator)
        self.memory = memory
        self.commands = {}
        self.modules = [f for f in os.listdir(folder) if f.endswith('.so')]
        programs = sorted(f for f in os.listdir(folder + '/tests/unit')
                          if f.startswith(os.path.basename(UNIT_TESTS))
                          and not f.endswith('.p'))
        self.units = ['tests/unit/' + p for p in programs]
        for target in self.units + ([] if only_units else [MODULE]):
            self.commands[target] = ninja_commands(folder, target)
        self.unit_tests = {u: Test(u, [os.path.join(folder, u)], None, memory)
                           for u in self.units}
        self.cases = [] if only_units else self.all_cases()
        self.reach = None

    def all_cases(self):
        """Those of the qtests."""
        env = self.environment(self.folder)
        found = []
        for program in sorted(os.listdir(self.folder + '/tests/qtest')):
            if not QTEST.match(program):
                continue
            program = os.path.join(self.folder, 'tests/qtest', program)
            out = subprocess.run([program, '-l'], env=env, check=True,
                                 capture_output=True, text=True).stdout
            for path in re.findall(r'^(?:# )?(/\S+)', out, re.MULTILINE):
                found.append(Test(path, [program, '-p', path], env,
                                  self.memory))
        return found

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
        recipes.sort(key=lambda r: self.unit_tests[r[0]].took() or LIMIT_LEAST)
        for target, recipe in recipes:
            out = os.path.join(folder, os.path.basename(target))
            if recipe.make(text, folder, out):
                return 'invalid', None
            if self.unit_tests[target].notices([out]):
                return 'killed', target
        return None

    def write_emulator(self, folder, command):
        """Once: what another thread's child has open cannot be executed."""
        self.emulator = os.path.join(folder, 'qemu-system-x86_64')
        with open(self.emulator, 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\nexec %s "$@"\n' % command)
        os.chmod(self.emulator, 0o755)

    def environment(self, modules):
        """With an emulator that takes its modules from there."""
        return dict(os.environ, QTEST_QEMU_BINARY=self.emulator,
                    QEMU_MODULE_DIR=modules)

    def link_modules(self, folder):
        """All but the one that is made there."""
        for name in self.modules:
            if name != MODULE:
                os.symlink(os.path.join(self.folder, name),
                           os.path.join(folder, name))

    def by_qtests(self, change, folder, most):
        text, source = change.text, change.source
        (_, recipe), = self.recipes(source, [MODULE])
        self.link_modules(folder)
        if recipe.make(text, folder, os.path.join(folder, MODULE)):
            return 'invalid', None
        env = self.environment(folder)
        began = time.monotonic()
        for case in self.order(change):
            if most and time.monotonic() - began > most:
                break
            if case.notices(case.words, env):
                return 'killed', case.name
        return 'survived', None

    def order(self, change):
        """What notices most in the least time comes first."""
        source = change.source
        name = os.path.basename(source)
        first = FIRST.get(room(source), FIRST.get(room(source).split('-')[0], []))
        kills = self.memory.kills

        def worth(case):
            return ((kills[name][case.name] + 0.02 * kills[None][case.name] +
                     0.3 * (case.name.split('/')[3] in first) + 0.01) / (case.took() or 1))
        cases = [c for c in self.cases
                 if self.reach.comes_by(c, source, change.lines)]
        return sorted(cases, key=worth, reverse=True)

    def verdict(self, change, scratch, most):
        """killed (and by what), survived, or invalid: it does not compile."""
        folder = tempfile.mkdtemp(dir=scratch)
        try:
            found = self.by_units(change.text, change.source, folder)
            if found or self.only_units:
                return found or ('survived', None)
            return self.by_qtests(change, folder, most)
        finally:
            shutil.rmtree(folder)


def room(source):
    return re.sub(r'virtio-gpu-blob-?|\.c$', '', os.path.basename(source))


class Memory:
    """What earlier runs found, by what was changed; one line each."""

    def __init__(self, path):
        self.path = path
        self.known = {}
        self.times = {}
        self.kills = collections.defaultdict(collections.Counter)
        self.lock = threading.Lock()
        if os.path.exists(path):
            with open(path, encoding='utf-8') as lines:
                for line in lines:
                    self.learn(json.loads(line))

    def learn(self, entry):
        if 'test' in entry:
            self.times[entry['test']] = entry['seconds']
            return
        self.known[entry['key']] = entry['verdict']
        if entry.get('by'):
            for name in (entry['what'].split(' | ')[0], None):
                self.kills[name][entry['by']] += 1

    def keep(self, **entry):
        with self.lock, open(self.path, 'a', encoding='utf-8') as out:
            self.learn(entry)
            out.write(json.dumps(entry) + '\n')

    def keep_time(self, test, seconds):
        self.keep(test=test, seconds=round(seconds, 2))


class Change:
    """One mutant of one file."""

    def __init__(self, source, whole, line, what, text):
        self.source, self.line, self.text = source, line, text
        self.lines = function_of(whole, line)
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


def fair(changes, seed):
    """In a random order, one of each file, then a second one of each, ..."""
    random.Random(seed).shuffle(changes)
    seen = collections.Counter()

    def turn(change):
        seen[change.source] += 1
        return seen[change.source]
    return sorted(changes, key=turn)


class Run:
    """All of it, and what came of each."""

    def __init__(self, build, memory, explained, args):
        self.build, self.memory, self.explained = build, memory, explained
        self.scratch, self.most, self.again = args.scratch, args.each, args.again
        self.deadline = time.monotonic() + args.seconds
        self.counts = dict.fromkeys(
            ('killed', 'survived', 'explained', 'invalid', 'left'), 0)
        self.by_file = {}
        self.lock = threading.Lock()

    def judge(self, change):
        verdict = self.memory.known.get(change.key)
        if verdict is None or (verdict == 'survived' and self.again and
                               change.what not in self.explained):
            if time.monotonic() > self.deadline:
                return verdict or 'left'
            verdict, by = self.build.verdict(change, self.scratch, self.most)
            self.memory.keep(key=change.key, verdict=verdict, by=by,
                             what=change.what)
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
    parser.add_argument('--change', action='append', default=[],
                        help='only what --list shows with this in it')
    parser.add_argument('--each', type=int, default=0,
                        help='a change has survived the qtests after so many '
                        'seconds (default: after all of them)')
    parser.add_argument('--again', action='store_true',
                        help='try again what survived before')
    parser.add_argument('--jobs', type=int, default=os.cpu_count())
    parser.add_argument('--units', action='store_true',
                        help='only by the unit tests')
    parser.add_argument('--list', action='store_true',
                        help='only say what would be changed')
    parser.add_argument('sources', nargs='+')
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)

    sources = [s for s in args.sources
               if not args.file or any(f in s for f in args.file)]
    changes = changes_of(sources)
    if args.change:
        changes = [c for c in changes if any(t in c.what for t in args.change)]
    if args.list:
        for change in changes:
            print('%d: %s' % (change.line, change.what))
        return 0
    memory = Memory(args.memory)
    changes = fair(changes, args.seed)
    # what is known costs no time
    changes.sort(key=lambda c: c.key not in memory.known)
    print('%d changes in %d files, %d of them tried before; at most %d s' %
          (len(changes), len(sources),
           bisect.bisect_left([c.key not in memory.known for c in changes],
                              True), args.seconds))
    build = Build(args.build, args.emulator, memory, args.scratch,
                  args.units)
    if not args.units:
        build.reach = Reach(build, args.sources, args.memory + '.reach')
        build.reach.find(args.scratch, args.jobs)
    run = Run(build, memory, mutants.read_explained(args.explained), args)
    run.go(changes, args.jobs)
    return run.report()


if __name__ == '__main__':
    sys.exit(main())
