#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Change our files, one thing at a time: do the tests notice?

Statements are removed, conditions negated, operators and constants replaced by
their neighbours.  The unit tests that have the file are tried first, then the
device's tests with a module that has the change, and of these first those that
notice most of this file's changes in the least time.  The order of changes is a
random one, as many of each file as of another.  What came of a change is kept,
so that the next run goes on from there.

A test that fails must pass without the change; if it took long to fail, it must
fail twice, as the machine may have been busy.  What the options mean is said by
mutants.sh, which passes them on.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time

UNITS = 'tests/unit/'
QTESTS = 'tests/qtest/'
MODULE = 'hw-display-virtio-gpu-gl.so'
# What changes to a file are likely to break
LIKELY = {'host': 'decision', 'report': 'operator', 'region': 'region',
          'lost': 'lost', 'device': 'operator decision window',
          'renderer': 'region',
          'exporter': 'decision', 'vma': 'window', 'window': 'window region',
          'buffer': 'decision', 'failure': 'failures map', 'fence': 'failures',
          'resource': 'lifetime region',
          'blob': 'map lifetime region decision operator'}
# Seconds: for a test as it is, and with a change at least; and what may have
# been a command that was not answered in time
LIMIT, LIMIT_LEAST, LONG = 600, 20, 9

NO_CODE = re.compile(r'/\*.*?\*/|^[ \t]*#[^\n]*(?:\\\n[^\n]*)*|"(?:\\.|[^"\\])*"',
                     re.DOTALL | re.MULTILINE)
BODY = re.compile(r'^\{$.*?^\}$', re.DOTALL | re.MULTILINE)
STATEMENT = re.compile(r'''
    (?!(?:return|goto|break|continue|case|default|else|do|if|for|while|switch|
          static|const|struct|typedef|extern|enum|union|g_auto\w*|trace_\w*)\b)
    [A-Za-z_(*+-][^{};]*;
''', re.VERBOSE)
DECLARATION = re.compile(r'[A-Za-z_]\w*[\s*]+\**[A-Za-z_]\w*\s*(\[.*\])?\s*[=;,]',
                         re.DOTALL)
CONDITION = re.compile(r'\b(?:if|while) (\()')
TOKEN = re.compile(r'(?P<number>\b\d\w*\b)|(?P<word>\b[A-Za-z_]\w*\b)|'
                   r'(?P<op>&&|\|\||[=!<>]=|->|<<|>>|\+\+|--|[-+%<>!])')
OPERATORS = {
    '&&': ['||'], '||': ['&&'], '==': ['!='], '!=': ['=='],
    '<': ['<=', '>='], '<=': ['<', '>'], '>': ['>=', '<='],
    '>=': ['>', '<'], '!': [''], '%': ['/'], '-': ['+'], '+': ['-'],
}
# A constant becomes its neighbour among those of the file that begin alike.
FAMILY = re.compile(r'(VIRTIO_GPU_(?:MAP_CACHE|MAP_POLICY|BLOB_BACKING|RESP_ERR|'
                    r'BLOB_VOUCHER|EXPORTER|BLOB)_)(?!_)[A-Z0-9_]+$')
# What nothing can show: one more of what is enough, or 0 for a descriptor,
# which QEMU's standard files have
SAME = re.compile(r'\bg_new0?\(\w+, 2\)|^\s+char \w+\[.*\];$|\bsizeof\([^()]*\[1\]\)|'
                  r'(fd|fds\[\w+\]|info|kept)( = .*)?\)* (<= 0|> 0|< 1|>= 1)\b')


def blanked(text):
    """The text with all that is no code made blank, at the same places."""
    return NO_CODE.sub(lambda m: re.sub(r'[^\n]', ' ', m[0]), text)


def end_of_parenthesis(code, at):
    """Where the one that opens here is closed."""
    depth = 0
    for i in range(at, len(code)):
        depth += {'(': 1, ')': -1}.get(code[i], 0)
        if not depth:
            return i
    raise ValueError('a parenthesis is not closed')


def replacements(match, peers):
    """What to put in a token's place, one at a time."""
    token = match[0]
    if match['op']:
        return OPERATORS.get(token, [])
    if match['number']:
        digits = token.rstrip('uUlL')
        return [str(int(digits, 0) + 1) + token[len(digits):]]
    if token in ('true', 'false'):
        return ['false' if token == 'true' else 'true']
    family = FAMILY.match(token)
    like = peers[family[1]] if family else [token]
    return [like[(like.index(token) + 1) % len(like)]] if len(like) > 1 else []


def edits(text):
    """(from, to, what comes there, what is said of it)"""
    code = blanked(text)
    peers = collections.defaultdict(list)
    for word in sorted(set(re.findall(r'\w+', code))):
        if FAMILY.match(word):
            peers[FAMILY.match(word)[1]].append(word)
    for body in BODY.finditer(code):
        for space in re.finditer(r'(?<=[{};:])\s+', body[0][:-1]):
            at = body.start() + space.end()
            simple = STATEMENT.match(code, at, body.end())
            if simple and not DECLARATION.match(simple[0]):
                yield at, simple.end(), ';', 'removed'
        for found in CONDITION.finditer(code, body.start(), body.end()):
            at, end = found.end(), end_of_parenthesis(code, found.start(1))
            yield at, end, '!(%s)' % text[at:end], 'negated'
    for match in TOKEN.finditer(code):
        for new in replacements(match, peers):
            yield (*match.span(), new,
                   '%s -> %s' % (match[0], new or 'nothing'))


class Change:
    """One mutant of one file."""

    def __init__(self, source, whole, start, end, new, what):
        self.source, self.file = source, os.path.basename(source)
        self.text = whole[:start] + new + whole[end:]
        self.line = whole.count('\n', 0, start) + 1
        self.what = '%s | %s | %s' % (
            self.file, whole.splitlines()[self.line - 1].strip(), what)
        self.key = hashlib.sha256(self.text.encode()).hexdigest()

    def shows(self):
        """False for what no test could notice"""
        line = self.text.splitlines()[self.line - 1]
        return ' -> ' not in self.what or not SAME.search(line)


def changes_of(sources, seed):
    """In a random order, one of each file, then a second one of each, ..."""
    found = []
    for source in sources:
        with open(source, encoding='utf-8') as file:
            whole = file.read()
        found += [Change(source, whole, *e) for e in edits(whole)]
    random.Random(seed).shuffle(found)
    seen = collections.Counter()
    turns = {}
    for change in found:
        turns[change] = seen[change.source]
        seen[change.source] += 1
    return sorted(filter(Change.shows, found), key=turns.get)


def fails(words, limit, env):
    """Does this test fail, or take longer than that; and how long it took."""
    began = time.monotonic()
    with subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
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


class Test:
    """A unit test's program, or one case of a qtest's."""

    def __init__(self, name, words, env):
        self.name, self.words, self.env = name, words, env
        self.took = None

    def notices(self, words, env):
        """Does it fail with the change, and not without it?"""
        if self.took is None:
            failed, self.took = fails(self.words, LIMIT, self.env)
            if failed:
                print('error: %s fails without a change' % self.name)
                self.took = 0
        if not self.took:
            return False
        limit = max(5 * self.took, LIMIT_LEAST)
        failed, took = fails(words, limit, env)
        return failed and (took < self.took + LONG or
                           fails(words, limit, env)[0])


class Build:
    """How ninja builds programs, the tests there are, and who runs what."""

    def __init__(self, args):
        self.folder, self.scratch = args.build, args.scratch
        self.emulator = os.path.join(args.scratch, 'qemu-system-x86_64')
        with open(self.emulator, 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\nexec %s "$@"\n' % args.emulator)
        os.chmod(self.emulator, 0o755)
        self.modules = [f for f in os.listdir(self.folder) if f.endswith('.so')]
        self.units = [Test(UNITS + name, [self.folder + '/' + UNITS + name], None)
                      for name in sorted(os.listdir(self.folder + '/' + UNITS))
                      if re.match(r'test-virtio-gpu-blob-[a-z-]+$', name)]
        self.cases = [] if args.units else list(self.all_cases())
        targets = [unit.name for unit in self.units]
        self.commands = {t: self.ninja_commands(t)
                         for t in targets + ([] if args.units else [MODULE])}
        self.objects = {}

    def ninja_commands(self, target):
        """All that ninja would run for it."""
        return subprocess.run(['ninja', '-C', self.folder, '-t', 'commands', target],
                              check=True, capture_output=True,
                              text=True).stdout.splitlines()

    def environment(self, modules):
        """With an emulator that takes its modules from there."""
        return dict(os.environ, QTEST_QEMU_BINARY=self.emulator,
                    QEMU_MODULE_DIR=modules)

    def all_cases(self):
        """Those of the qtests."""
        env = self.environment(self.folder)
        for name in sorted(os.listdir(self.folder + '/' + QTESTS)):
            if re.match(r'virtio-gpu-gl-[a-z-]+-test$', name):
                program = self.folder + '/' + QTESTS + name
                out = subprocess.run([program, '-l'], env=env, check=True,
                                     capture_output=True, text=True).stdout
                for path in re.findall(r'^(?:# )?(/\S+)', out, re.MULTILINE):
                    yield Test(path, [program, '-p', path], env)

    def recipe(self, target, source):
        """How it compiles the file, its object, how it links; None: it has it not"""
        name = '/' + os.path.basename(source)
        lines = self.commands[target]
        compile_ = next((shlex.split(l) for l in lines
                         if l.endswith(name) and ' -c ' in l), None)
        if not compile_:
            return None
        link = shlex.split(next(l for l in reversed(lines)
                                if ' -o %s ' % target in l))
        # nothing that is compiled here is in the target's own folder
        own = re.compile(r'-M[DQF]?$|.*\.o\.d$|-g$|ccache$|-I%s\.p$' % target)
        at = compile_.index('-o')
        words = [w for w in compile_[:at] + compile_[at + 2:-1]
                 if not own.match(w)]
        return (words + ['-iquote', os.path.dirname(compile_[-1]), '-w'],
                compile_[at + 1], link)

    def run(self, words):
        """False if it fails."""
        return not subprocess.run(words, cwd=self.folder, check=False,
                                  capture_output=True).returncode

    def compile(self, words, text, folder):
        """The object, from before if one was compiled alike; None: it is invalid"""
        base = os.path.join(folder, hashlib.sha256(
            '\0'.join(words).encode()).hexdigest()[:16])
        if not os.path.exists(base + '.c'):
            with open(base + '.c', 'w', encoding='utf-8') as file:
                file.write(text)
            self.run(words + ['-fmacro-prefix-map=%s=.' % folder,
                              '-o', base + '.o', base + '.c'])
        return base + '.o' if os.path.exists(base + '.o') else None

    def is_same(self, words, source, object_):
        """Is it the object of the file as it is?  Not all is compiled here."""
        known = self.objects.get((source, *words))
        if not known:
            with open(source, encoding='utf-8') as file, \
                    tempfile.TemporaryDirectory(dir=self.scratch) as folder, \
                    open(self.compile(words, file.read(), folder), 'rb') as out:
                known = self.objects[(source, *words)] = out.read()
        with open(object_, 'rb') as file:
            return file.read() == known

    def link(self, words, objects, out):
        """Links with these objects in the place of others."""
        words = [objects.get(w, w) for w in words]
        words[words.index('-o') + 1] = out
        return self.run(words)

    def module(self, folder, source, text):
        """A folder of modules, one of which has this; None: it is invalid"""
        words, replaced, link = self.recipe(MODULE, source)
        object_ = self.compile(words, text, folder)
        if not object_ or self.is_same(words, source, object_):
            return None
        for name in self.modules:
            if name != MODULE:
                os.symlink(os.path.join(self.folder, name),
                           os.path.join(folder, name))
        out = os.path.join(folder, MODULE)
        return folder if self.link(link, {replaced: object_}, out) else None

    def verdict(self, change, kills, most):
        """killed (and by what), survived, or invalid: not compiled, or the same"""
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            for unit in self.units:
                recipe = self.recipe(unit.name, change.source)
                if not recipe:
                    continue
                out = os.path.join(folder, os.path.basename(unit.name))
                object_ = self.compile(recipe[0], change.text, folder)
                if not object_ or not self.link(recipe[2], {recipe[1]: object_},
                                                out):
                    return 'invalid', None
                if unit.notices([out], None):
                    return 'killed', unit.name
            if not self.cases:
                return 'survived', None
            modules = self.module(folder, change.source, change.text)
            if not modules:
                return 'invalid', None
            began = time.monotonic()
            likely = LIKELY.get(re.split(r'[-.]', change.file)[-2], '').split()
            for case in sorted(self.cases, reverse=True, key=lambda c: (
                    kills[change.file, c.name] + 0.01 +
                    0.3 * (c.name.split('/')[3] in likely)) / (c.took or 1)):
                if most and time.monotonic() - began > most:
                    break
                if case.notices(case.words, self.environment(modules)):
                    return 'killed', case.name
        return 'survived', None


class Run:
    """All of it, and what came of each, now or before."""

    def __init__(self, build, args):
        self.build, self.args = build, args
        self.deadline = time.monotonic() + args.seconds
        self.known, self.kills = {}, collections.Counter()
        self.explained = {}
        self.lock = threading.Lock()
        self.counts = collections.defaultdict(collections.Counter)
        if os.path.exists(args.memory):
            with open(args.memory, encoding='utf-8') as lines:
                for line in lines:
                    self.learn(**json.loads(line))
        with open(args.explained, encoding='utf-8') as lines:
            for line in lines:
                found = re.match(r'(.* \| (?:.* -> \S+|removed|negated)): (.*)', line)
                if found:
                    self.explained[found[1]] = found[2]

    def learn(self, key, what, verdict, by):
        """Of one change"""
        self.known[key] = verdict
        self.kills[what.split(' | ', 1)[0], by] += 1

    def judge(self, change):
        """Tries it, unless it is known; counts, and tells of survivors."""
        verdict = self.known.get(change.key)
        if verdict is None or (verdict == 'survived' and self.args.again and
                               change.what not in self.explained):
            verdict, by = 'left', None
            if time.monotonic() < self.deadline:
                verdict, by = self.build.verdict(change, self.kills,
                                                 self.args.each)
        else:
            by = False
        with self.lock:
            if verdict != 'left' and by is not False:
                entry = {'key': change.key, 'what': change.what,
                         'verdict': verdict, 'by': by}
                self.learn(**entry)
                with open(self.args.memory, 'a', encoding='utf-8') as out:
                    out.write(json.dumps(entry) + '\n')
            if verdict == 'survived':
                why = self.explained.get(change.what)
                print('%s, line %d: %s%s' % (
                    'explained' if why else 'SURVIVED', change.line,
                    change.what, ': ' + why if why else ''))
                verdict = 'explained' if why else verdict
            self.counts[change.file][verdict] += 1

    def report(self):
        """The table; 1 if one is not explained."""
        total = collections.Counter()
        for name, n in sorted(self.counts.items()):
            total.update(n)
            seen = n['killed'] + n['survived'] + n['explained']
            if seen:
                print('%-32s %4d tried, %5.1f %% noticed, %d explained' %
                      (name, seen, 100 * n['killed'] / seen, n['explained']))
        print('%d passed, %d failed, %d skipped (%d do not compile '
              'or change nothing, %d for another run)' %
              (total['killed'] + total['explained'], total['survived'],
               total['invalid'] + total['left'], total['invalid'],
               total['left']))
        return 1 if total['survived'] or not total['killed'] else 0


def main():
    """Tries mutants until the time is over; 1 if one is not explained."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in 'build', 'emulator', 'memory', 'explained', 'scratch':
        parser.add_argument('--' + name, required=True)
    for name, default in (('seconds', 900), ('seed', 0), ('each', 0),
                          ('jobs', os.cpu_count())):
        parser.add_argument('--' + name, type=int, default=default)
    for name in 'file', 'change':
        parser.add_argument('--' + name, action='append', default=[])
    for name in 'again', 'units', 'list':
        parser.add_argument('--' + name, action='store_true')
    parser.add_argument('sources', nargs='+')
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)

    changes = [c for c in changes_of(
        [s for s in args.sources if not args.file or
         any(f in s for f in args.file)], args.seed)
        if not args.change or any(t in c.what for t in args.change)]
    if args.list:
        for change in changes:
            print('%d: %s' % (change.line, change.what))
        return 0
    print('%d changes; at most %d s' % (len(changes), args.seconds))
    run = Run(Build(args), args)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(run.judge, changes))
    return run.report()


if __name__ == '__main__':
    sys.exit(main())
