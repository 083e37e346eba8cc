#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Cut the overlaid tree of QEMU into series of patches, a folder for each.

packaging/series/order names the folders.  Of each, cover.txt is the cover
letter (its first line the subject) and N-NAME.txt a commit: a message, and
lines that say what is in it:

  # kind KIND     of the folder, in cover.txt: tests, fix, stable or feature
  # release R     the folder is for this release only, in cover.txt
  # file PATTERN  files of the overlay
  # pick PATTERN  the same, if there are any
  # rest PATTERN  the same, of those that no other line names
  # hook PATCH    of subprojects/packagefiles, if the release has it
  # alone PATCH   in the place of the hooks in the fix's own folder
  # apply PATCH   of the folder: what a later commit will undo
  # undo FOLDER/PATCH
  # adds PATCH    of the folder: what the commit adds to our files; those that
                  an earlier commit has are there without it
  # grows PATCH   a hook that lists our files: from here on each commit has
                  those lines of it whose files are there
  # whole NAME    the commit is not cut, whatever its size
  # test FILE     of the folder: a test program that no other commit has
  # maintain PATTERN  one more line in MAINTAINERS

The tests come first, on QEMU as it was released.  Each fix is on QEMU as it
was released, and its test on the tests.  The features are on all of these,
each on the one before, and end with the overlaid tree.

If our files have changed where a patch that "adds" has a hunk, the hunk is to be
changed in the same way; the message says which one does not apply.
"""

import argparse
import fnmatch
import hashlib
import os
import re
import shutil
import subprocess
import sys

# What runs the tests in this repository is no part of QEMU
OURS_ONLY = ('tests/*.sh', 'tests/*.py')
# Lines of a patch, with some space for what is around the changes
LIMIT = 1050
QTEST = 'tests/qtest/'
QTEST_MESON = QTEST + 'meson.build'
QTEST_LIST = 'virtio_gpu_gl_tests += [\n'
TRACE_EVENTS = 'hw/display/trace-events'
SECTION = '\nvirtio-gpu\n'


def fail(message):
    """End with a readable error."""
    sys.exit('error: ' + message)


def read(path):
    """A file's text."""
    with open(path, encoding='utf-8') as file:
        return file.read()


def write(path, text):
    """A file with a text."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def touched(patch):
    """Names of the files that a patch changes."""
    return re.findall(r'^\+\+\+ b/(\S+)', read(patch), flags=re.M)


def matches(name, patterns):
    """Whether a name matches one of the patterns."""
    return any(fnmatch.fnmatch(name, p) for p in patterns)


class Text:
    """A message, and the lines that say what is in it."""

    def __init__(self, path):
        lines = read(path).splitlines()
        self.path = path
        self.lines = [line.split()[1:] for line in lines
                      if line.startswith('# ')]
        text = '\n'.join(line for line in lines if not line.startswith('# '))
        self.message = text.strip() + '\n'
        self.subject, _, self.body = self.message.partition('\n\n')

    def of(self, kind):
        """What the lines of a kind name."""
        return [words[1] for words in self.lines if words[0] == kind]


class Step(Text):
    """One commit; more, if it has more lines than one can read."""

    def __init__(self, path, args):
        super().__init__(path)
        folder = os.path.dirname(path)
        for words in self.lines:
            if words[0] not in ('file', 'pick', 'rest', 'hook', 'alone',
                                'apply', 'undo', 'adds', 'grows', 'test',
                                'maintain', 'whole'):
                fail('%s: # %s says nothing' % (path, words[0]))
        self.wanted = self.of('file') + self.of('pick')
        self.hooks = self.present(args.hooks, 'hook')
        self.alone = self.variant(args, folder, 'alone')
        self.apply = self.variant(args, folder, 'apply')
        self.undo = self.variant(args, args.steps, 'undo')
        self.adds = self.variant(args, folder, 'adds')
        self.grown_by = self.of('grows')
        self.growing = [name for h in self.grown_by
                        for name in touched(os.path.join(args.hooks, h))]
        self.tests = [os.path.join(folder, name) for name in self.of('test')]
        self.files = []

    def present(self, folder, kind):
        """The patches of a kind that this release has."""
        paths = [os.path.join(folder, name) for name in self.of(kind)]
        return [path for path in paths if os.path.exists(path)]

    def variant(self, args, folder, kind):
        """The folder's patches of a kind; NAME-RELEASE.patch goes first."""
        paths = []
        for name in self.of(kind):
            path = os.path.join(folder, name)
            other = re.sub(r'\.patch$', '-%s.patch' % args.release, path)
            paths.append(other if os.path.exists(other) else path)
        return paths

    def changed(self):
        """Files of QEMU's that the step changes."""
        patches = (self.hooks + self.alone + self.apply + self.undo +
                   self.adds)
        return sorted({name for patch in patches for name in touched(patch)})


class Folder:
    """One series: a cover letter and commits."""

    def __init__(self, name, args):
        path = os.path.join(args.steps, name)
        self.name = name
        self.cover = Text(os.path.join(path, 'cover.txt'))
        self.kind = ''.join(self.cover.of('kind'))
        if self.kind not in ('tests', 'fix', 'stable', 'feature'):
            fail('%s: # kind is tests, fix, stable or feature'
                 % self.cover.path)
        self.here = self.cover.of('release') in ([], [args.release])
        self.steps = [Step(os.path.join(path, step), args)
                      for step in sorted(os.listdir(path))
                      if re.match(r'\d.*\.txt$', step)]


class Growing:
    """A file that lists ours, with those lines whose files are in the tree."""

    def __init__(self, name, series):
        self.name = name
        self.series = series
        self.repo = series.repo

    def there(self, name):
        """Whether a file is in the tree, and whole."""
        return (name not in self.series.partial and
                os.path.exists(os.path.join(self.repo, name)))

    def keep(self, form):
        """A match whose file is there stays."""
        return lambda m: m[0] if self.there(form % m[1]) else ''

    def keep_event(self, match):
        """A trace event stays if something in the tree uses it."""
        path = os.path.join(self.repo, 'hw/display')
        return match[0] if any('trace_%s(' % match[1] in
                               read(os.path.join(path, name))
                               for name in os.listdir(path)
                               if name.endswith('.c')) else ''

    def keep_test(self, match):
        """
        A unit test stays if it is there, with those of its sources that are; as
        long as a later commit adds something to it, with those of before.
        """
        name = 'tests/unit/%s.c' % match[1]
        if not self.there(name):
            return ''
        source = (r"(?P<first>\[)?meson\.project_source_root\(\) / "
                  r"'((?:hw|contrib)/[^']*virtio-gpu-blob[^']*)'(?:,\s*)?")
        there = [m[2] for m in re.finditer(source, match[0])
                 if self.there(m[2])]
        if self.series.pending(name):
            there = self.series.sources.setdefault(name, there)
        return re.sub(source, lambda m: m[0] if m[2] in there
                      else m['first'] or '', match[0])

    def filter(self, text):
        """The text for the tree as it is."""
        folder = os.path.dirname(self.name) + '/'
        if self.name == TRACE_EVENTS:
            text = re.sub(r'^(virtio_gpu_(?:blob|virgl)_\w+)\(.*\n',
                          self.keep_event, text, flags=re.M)
            text = re.sub(r'^# virtio-gpu-(?:blob\*|virgl-failure)\.c\n\n',
                          '', text, flags=re.M)
        elif folder == 'hw/display/':
            text = re.sub(r"^ +'(virtio-gpu-(?:blob|virgl-[a-z]+)[^']*)',\n",
                          self.keep(folder + '%s'), text, flags=re.M)
            text = re.sub(r"^ +virtio_gpu_gl_ss\.add\([^()]*files\(\s*\)\)\n",
                          '', text, flags=re.M)
        elif folder == 'tests/unit/':
            text = re.sub(r"^ +'(test-virtio-gpu-blob-[^']+)':\n +\[.*?\],\n",
                          self.keep_test, text, flags=re.M | re.S)
            text = re.sub(r"^ +tests \+= \{\n +\}\n", '', text, flags=re.M)
            if not self.any(folder, 'test-virtio-gpu-blob-fuzz-*.c'):
                text = re.sub(r"^  if get_option\('fuzzing'\) and \\\n"
                              r".*?^  endif\n", '', text, flags=re.M | re.S)
        elif self.name == QTEST_MESON:
            text = re.sub(r"^ +'(virtio-gpu-gl-[^']+-test)',\n",
                          self.keep(folder + '%s.c'), text, flags=re.M)
            text = re.sub(r"^ +qtests \+= \{'(virtio-gpu-gl-[^']+)': "
                          r"virtio_gpu_gl_client \+ files\(.*?\)\]?\}\n",
                          self.keep(folder + '%s.c'), text, flags=re.M | re.S)
            text = re.sub(r"^ +executable\('(virtio-gpu-gl-[^']+)',.*?"
                          r"build_by_default: false\)\n",
                          self.keep('tests/bench/%s.c'), text,
                          flags=re.M | re.S)
        elif folder == 'tests/qtest/fuzz/':
            if not self.any(folder, 'virtio_gpu_gl_fuzz*.c'):
                text = re.sub(r"^if virgl\.found\(\).*?^endif\n\n?", '', text,
                              flags=re.M | re.S)
        return re.sub(r"^ *if (?:have_virtio_gpu_blob|virtio_gpu_gl_tests != "
                      r"\[\])\n *endif\n", '', text, flags=re.M)

    def any(self, folder, pattern):
        """Whether one of a folder's files is in the tree, and whole."""
        path = os.path.join(self.repo, folder)
        return os.path.isdir(path) and any(
            self.there(folder + name) for name in os.listdir(path)
            if fnmatch.fnmatch(name, pattern))


class Series:
    """All of the folders, in a scratch repository."""

    def __init__(self, args):
        self.args = args
        self.repo = args.out + '.git'
        names = read(os.path.join(args.steps, 'order')).split()
        every = [Folder(name, args) for name in names]
        self.check_folders(names)
        self.every_step = [s for folder in every for s in folder.steps]
        self.check_hooks()
        self.assign()
        self.grown = []      # (hook's file), from the step that grows on
        self.partial = set() # files that a commit has the first part of
        self.sources = {}    # of unit tests that are not complete
        self.extra = {}      # tests that are the series' only
        self.maintained = [] # lines for MAINTAINERS
        self.later = [path for step in self.every_step for path in step.adds]
        self.folders = [f for f in every if f.here]
        for folder in self.folders:
            folder.steps = [s for s in folder.steps
                            if s.files or s.changed() or s.tests]

    def check_folders(self, names):
        """Each folder is named in the order, and once."""
        there = [name for name in sorted(os.listdir(self.args.steps))
                 if os.path.isdir(os.path.join(self.args.steps, name))]
        if sorted(names) != there:
            fail('packaging/series/order and the folders differ: %s'
                 % ' '.join(set(names) ^ set(there)))

    def check_hooks(self):
        """Each hook belongs to one step."""
        for hook in sorted(os.listdir(self.args.hooks)):
            path = os.path.join(self.args.hooks, hook)
            owners = [step for step in self.every_step
                      if path in step.hooks or hook in step.grown_by]
            if hook.endswith('.patch') and len(owners) != 1:
                fail('%s belongs to %d steps of packaging/series'
                     % (hook, len(owners)))

    def assign(self):
        """Each file of the overlay belongs to one step, or to hooks."""
        hooked = {name for step in self.every_step
                  for patch in step.hooks for name in touched(patch)}
        hooked.update(name for step in self.every_step
                      for name in step.growing)
        self.overlay = read(self.args.list).split('\n')
        loose = []
        for name in self.overlay:
            if not name or name in hooked or matches(name, OURS_ONLY):
                continue
            owners = [step for step in self.every_step
                      if matches(name, step.wanted)]
            owners = owners or [step for step in self.every_step
                                if matches(name, step.of('rest'))][:1]
            if not owners and name.endswith('.h'):
                loose.append(name)
                continue
            if len(owners) != 1:
                fail('%s belongs to %d steps of packaging/series'
                     % (name, len(owners)))
            owners[0].files.append(name)
        for name in loose:
            self.assign_header(name)

    def assign_header(self, name):
        """A header that no step names comes with the first that includes it."""
        wanted = re.compile(r'#include "(?:.*/)?%s"'
                            % re.escape(os.path.basename(name)))
        for step in self.every_step:
            if any(wanted.search(self.final(f))
                   for f in step.files + step.changed()
                   if f.endswith(('.c', '.h')) and self.stays(f)):
                step.files.insert(0, name)
                return
        fail('%s belongs to no step of packaging/series' % name)

    def files(self):
        """All files that the series make or change."""
        names = {'MAINTAINERS'}
        for folder in self.folders:
            for step in folder.steps:
                names.update(step.files + step.changed() + step.growing)
        return sorted(names)

    def git(self, *args, **more):
        """git, without the user's settings."""
        env = dict(os.environ, GIT_CONFIG_GLOBAL='/dev/null',
                   GIT_CONFIG_SYSTEM='/dev/null',
                   GIT_AUTHOR_DATE=self.args.date,
                   GIT_COMMITTER_DATE=self.args.date,
                   GIT_CONFIG_NOSYSTEM='1')
        for name in ('GIT_DIR', 'GIT_WORK_TREE', 'GIT_INDEX_FILE'):
            env.pop(name, None)
        return subprocess.run(
            ['git', '-c', 'user.name=' + self.args.name,
             '-c', 'user.email=' + self.args.email,
             '-c', 'init.defaultBranch=series',
             '-c', 'core.autocrlf=false', '-c', 'core.excludesFile=',
             '-c', 'advice.detachedHead=false',
             '-C', self.repo, *args],
            check=True, env=env, **more)

    def patch(self, path, *options):
        """A patch into the tree."""
        try:
            self.git('apply', *options, os.path.abspath(path), text=True,
                     stderr=subprocess.PIPE)
        except subprocess.CalledProcessError as error:
            fail('%s does not apply:\n%s' % (path, error.stderr.rstrip()))

    def final(self, name):
        """A file's text in the overlaid tree."""
        return read(os.path.join(self.args.overlaid, name))

    def pending(self, name):
        """The patches that will add something to a file."""
        return [p for p in self.later if name in touched(p)]

    def now(self, name):
        """The same, without what later commits add."""
        later = self.pending(name)
        if not later:
            return self.final(name)
        path = os.path.join(self.repo, name)
        before = read(path) if os.path.exists(path) else None
        write(path, self.final(name))
        for patch in reversed(later):
            self.patch(patch, '-R', '-C1', '--include=' + name)
        text = read(path)
        if before is None:
            os.remove(path)
        else:
            write(path, before)
        return text

    def stays(self, name):
        """Whether a file is in the overlaid tree, and not only on the way."""
        return os.path.exists(os.path.join(self.args.overlaid, name))

    def start(self):
        """The files as QEMU has them."""
        shutil.rmtree(self.repo, ignore_errors=True)
        os.makedirs(self.repo)
        self.git('init', '-q')
        for name in self.files():
            source = os.path.join(self.args.pristine, name)
            if os.path.exists(source):
                write(os.path.join(self.repo, name), read(source))
        self.git('add', '-A', '-f')
        self.git('commit', '-q', '-m', 'QEMU')
        self.git('branch', '-q', 'stock')

    def registered(self, text):
        """tests/qtest/meson.build with the series' own tests, too."""
        lines = ["    '%s',\n" % os.path.basename(name)[:-2]
                 for name in sorted(self.extra)]
        lines = ''.join(line for line in lines if line not in text)
        return text.replace(QTEST_LIST, QTEST_LIST + lines, 1)

    def maintainers(self):
        """MAINTAINERS with our lines in the section of the device."""
        text = read(os.path.join(self.args.pristine, 'MAINTAINERS'))
        if SECTION not in text:
            fail('MAINTAINERS has no section on virtio-gpu')
        head, _, tail = text.partition(SECTION)
        section, _, rest = tail.partition('\n\n')
        lines = ''.join('\nF: ' + p for p in self.maintained)
        return head + SECTION + section + lines + '\n\n' + rest

    def grow(self):
        """Writes the files that list ours."""
        for name in self.grown:
            text = Growing(name, self).filter(self.final(name))
            if name == QTEST_MESON:
                text = self.registered(text)
            write(os.path.join(self.repo, name), text)

    def commit(self, message):
        """What is in the tree."""
        self.grow()
        self.git('add', '-A', '-f')
        self.git('commit', '-q', '-F', '-', input=message, text=True)

    @staticmethod
    def cuts(name, text):
        """A long file's beginnings: cut between functions or paragraphs."""
        lines = text.split('\n')
        last = ('}', '};') if name.endswith(('.c', '.h')) else lines
        done, start = [], 0
        while len(lines) - start > LIMIT:
            end = start + LIMIT
            while end > start and not (lines[end - 1] == '' and
                                       lines[end - 2] in last):
                end -= 1
            if end == start:
                fail('no place to cut %s' % name)
            done.append('\n'.join(lines[:end - 1]) + '\n')
            start = end
        return done + [text]

    def parts(self, step, patches):
        """The files of a step, in as many parts as it takes."""
        if step.of('whole'):
            return [[(name, self.now(name)) for name in step.files]]
        size = sum(len(re.findall(r'^[-+ ]', read(p), flags=re.M))
                   for p in patches)
        parts, now = [], []
        lines = 0
        # first what others include or read
        order = sorted(step.files, key=lambda n: (
            n.startswith('tests/'), not n.endswith(('.h', '.txt')), n))
        for name in order:
            done = 0
            for text in self.cuts(name, self.now(name)):
                n = text.count('\n') - done
                done = text.count('\n')
                if now and lines + n > LIMIT:
                    parts.append(now)
                    now, lines = [], 0
                now.append((name, text))
                lines += n
        if now and lines + size > LIMIT:
            parts.append(now)
            now = []
        return parts + [now] if now or patches or not parts else parts

    def run_step(self, step, alone=False):
        """The commits of one step."""
        patches = step.alone if alone and step.alone else step.hooks
        patches = patches + step.apply + step.adds
        parts = self.parts(step, patches)
        texts = {name: text for part in parts for name, text in part}
        self.later = [path for path in self.later if path not in step.adds]
        for number, part in enumerate(parts, 1):
            # ... at once, if these files are there already
            early = [path for path in step.undo
                     if set(touched(path)) & set(step.files)]
            early = step.undo[:step.undo.index(early[-1]) + 1] if early else []
            if number == 1:
                for path in early:
                    self.patch(path, '-R', '-C1')
            for name, text in part:
                write(os.path.join(self.repo, name), text)
                whole = text == texts[name]
                (self.partial.discard if whole else self.partial.add)(name)
            if number == 1:
                self.maintained += step.of('maintain')
                if step.of('maintain'):
                    write(os.path.join(self.repo, 'MAINTAINERS'),
                          self.maintainers())
                self.grown += step.growing
            if number == len(parts):
                for path in step.undo:
                    if path not in early:
                        self.patch(path, '-R', '-C1')
                for path in patches:
                    self.patch(path)
                for path in step.tests:
                    name = QTEST + os.path.basename(path)
                    self.extra[name] = read(path)
                    write(os.path.join(self.repo, name), read(path))
            self.commit(self.message(step, number, parts))

    @staticmethod
    def message(step, number, parts):
        """A step's message; that of a part names its files."""
        if len(parts) == 1:
            return step.message
        names = [os.path.basename(name) for name, _ in parts[number - 1]]
        text = '%s (%d/%d)\n' % (step.subject, number, len(parts))
        if number == 1:
            text += '\n' + step.body.rstrip() + '\n'
        if names:
            text += '\nIn this part:\n' + ''.join('  %s\n' % n for n in names)
        return text

    def head(self):
        """The commit that the tree is at."""
        return self.git('rev-parse', 'HEAD', stdout=subprocess.PIPE,
                        text=True).stdout.strip()

    def go(self, where):
        """The tree of another commit; the series' own tests stay there."""
        self.git('checkout', '-q', '-f', '--detach', where)

    def write_folder(self, folder, first, out=None):
        """The patches since a commit, with a cover letter."""
        out = os.path.join(self.args.out, out or folder.name)
        count = self.git('rev-list', '--count', first + '..HEAD', text=True,
                         stdout=subprocess.PIPE).stdout.strip()
        cover = ['--cover-letter'] if int(count) > 1 else []
        self.git('format-patch', '-q', '--no-signature', '-M', *cover,
                 '-o', os.path.abspath(out), '--subject-prefix=PATCH',
                 *self.args.option, first + '..HEAD')
        path = os.path.join(out, '0000-cover-letter.patch')
        if cover:
            text = read(path)
            text = text.replace('*** SUBJECT HERE ***', folder.cover.subject)
            text = text.replace('*** BLURB HERE ***',
                                folder.cover.body.rstrip())
            write(path, text)

    def equal(self):
        """After the last series all is as in the overlaid tree."""
        self.sums = []
        for name in self.files() + sorted(self.extra):
            path = os.path.join(self.repo, name)
            if name not in self.extra and not self.stays(name):
                if os.path.exists(path):
                    fail('after the series %s is still there' % name)
                continue
            text = read(path)
            if name == 'MAINTAINERS':
                want = self.maintainers()
            elif name in self.extra:
                want = self.extra[name]
            else:
                want = self.final(name)
                if name == QTEST_MESON:
                    want = self.registered(want)
            if text != want:
                with open(self.args.out + '.want', 'w', encoding='utf-8') as f:
                    f.write(want)
                fail('after the series %s differs from the overlay' % name)
            digest = hashlib.sha256(text.encode()).hexdigest()
            self.sums.append('%s  %s\n' % (digest, name))

    def check_maintained(self):
        """Each new file has a line in MAINTAINERS."""
        patterns = re.findall(r'^F: (\S+)', self.maintainers(), flags=re.M)
        for name in self.files() + sorted(self.extra):
            if os.path.exists(os.path.join(self.args.pristine, name)):
                continue
            if not any(fnmatch.fnmatch(name, p + '*' if p.endswith('/') else p)
                       for p in patterns):
                fail('no line of MAINTAINERS is on %s' % name)

    def run(self):
        """All folders."""
        shutil.rmtree(self.args.out, ignore_errors=True)
        self.start()
        order = []
        for folder in self.folders:
            order.append('%s %s\n' % (folder.name, folder.kind))
            first = self.head()
            if folder.kind in ('fix', 'stable'):
                self.run_fix(folder)
                for step in folder.steps:
                    if not step.tests:
                        self.run_step(step)
                if any(step.alone for step in folder.steps):
                    self.write_folder(folder, first,
                                      'together/' + folder.name)
            else:
                for step in folder.steps:
                    self.run_step(step)
                self.write_folder(folder, first)
            if folder.kind == 'tests':
                self.git('branch', '-q', '-f', 'tests')
        self.equal()
        self.check_maintained()
        write(os.path.join(self.args.out, 'order'), ''.join(order))
        write(os.path.join(self.args.out, 'files'),
              ''.join(name + '\n' for name in self.files()))
        write(os.path.join(self.args.out, 'sums'), ''.join(self.sums))
        shutil.rmtree(self.repo)

    def run_fix(self, folder):
        """A fix and its test, on the tests; then back to the others."""
        back, extra = self.head(), dict(self.extra)
        self.go('tests')
        for step in folder.steps:
            self.run_step(step, alone=True)
        self.write_folder(folder, 'tests')
        self.extra = extra
        self.go(back)


def main():
    """Parse and go."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    for name in ('pristine', 'overlaid', 'list', 'steps', 'hooks', 'out',
                 'release', 'name', 'email', 'date'):
        parser.add_argument('--' + name, required=True)
    parser.add_argument('--option', action='append', default=[],
                        help='one more for git format-patch')
    Series(parser.parse_args()).run()


if __name__ == '__main__':
    main()
