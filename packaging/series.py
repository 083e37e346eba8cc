#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Cut the overlaid tree of QEMU into a series of commits."""

import argparse
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import textwrap

# What runs the tests in this repository is no part of QEMU
OURS_ONLY = ('tests/*.sh', 'tests/unit/mutants*')


def fail(message):
    """End with a readable error."""
    sys.exit('error: ' + message)


def read(path):
    """A file's text."""
    with open(path, encoding='utf-8') as file:
        return file.read()


class Step:
    """One commit: a message, and the patterns of its files."""

    def __init__(self, path):
        lines = read(path).splitlines()
        self.name = os.path.basename(path)
        self.patterns = [line.split()[2] for line in lines
                         if line.startswith(('# file ', '# last '))]
        self.growing = [line.split()[2] for line in lines
                        if line.startswith('# last ')]
        self.message = '\n'.join(line for line in lines
                                 if not line.startswith('# ')) + '\n'
        self.files = []


def without_absent(text, tree):
    """meson.build with only those of our sources that are in the tree."""
    def there(name, folder):
        return os.path.exists(os.path.join(tree, folder, name))

    def test(match):
        return match[0] if there(match[1] + '.c', 'tests/unit') else ''

    def module(match):
        kept = [name for name in re.findall(r"'([^']+)'", match[2])
                if there(name, 'hw/display')]
        if len(kept) == 2:
            return "%s[files('%s', '%s'), pixman" % (match[1], *kept)
        names = (",\n" + ' ' * 40).join("'%s'" % n for n in kept[1:])
        return "%s[files('%s', %s),%s pixman" % (
            match[1], kept[0], names, '\n' + ' ' * 33)

    text = re.sub(r"^    '(test-virtio-gpu-blob-[^']+)':\n +\[.*\],\n", test,
                  text, flags=re.M)
    return re.sub(r"(if_true: )\[files\(('virtio-gpu-gl\.c'[^)]*)\),\s*pixman",
                  module, text)


class Series:
    """The commits in a scratch repository."""

    def __init__(self, args):
        self.args = args
        self.repo = args.out + '.git'
        folder = args.steps
        self.steps = [Step(os.path.join(folder, name))
                      for name in sorted(os.listdir(folder))
                      if re.match(r'\d.*\.txt$', name)]
        self.growing = [(step, name) for step in self.steps
                        for name in step.growing]
        self.assign()

    def assign(self):
        """Each file of the overlay belongs to one step."""
        loose = []
        for name in read(self.args.list).splitlines():
            if any(fnmatch.fnmatch(name, p) for p in OURS_ONLY):
                continue
            owners = [step for step in self.steps if
                      any(fnmatch.fnmatch(name, p) for p in step.patterns)]
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
        for step in self.steps:
            if any(wanted.search(read(os.path.join(self.args.overlaid, f)))
                   for f in step.files if f.endswith(('.c', '.h'))):
                step.files.append(name)
                return
        fail('%s belongs to no step of packaging/series' % name)

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
             '-C', self.repo, *args],
            check=True, env=env, **more)

    def put(self, source, name, text=None):
        """One file into the scratch repository's tree."""
        path = os.path.join(self.repo, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copy(os.path.join(source, name), path)
        if text is not None:
            with open(path, 'w', encoding='utf-8') as file:
                file.write(text)

    def start(self):
        """The files as QEMU has them."""
        shutil.rmtree(self.repo, ignore_errors=True)
        os.makedirs(self.repo)
        self.git('init', '-q')
        for step in self.steps:
            for name in step.files:
                if os.path.exists(os.path.join(self.args.pristine, name)):
                    self.put(self.args.pristine, name)
        self.git('add', '-A', '-f')
        self.git('commit', '-q', '-m', 'QEMU')

    def commit(self, number, step):
        """One step."""
        for name in step.files:
            if name not in step.growing:
                self.put(self.args.overlaid, name)
        for owner, name in self.growing:
            if self.steps.index(owner) < number:
                final = read(os.path.join(self.args.overlaid, name))
                self.put(self.args.overlaid, name,
                         without_absent(final, self.repo))
        self.git('add', '-A', '-f')
        self.git('commit', '-q', '-F', '-', input=step.message, text=True)

    def equal(self):
        """After the last step all is as in the overlaid tree."""
        for step in self.steps:
            for name in step.files:
                with open(os.path.join(self.repo, name), 'rb') as mine, \
                     open(os.path.join(self.args.overlaid, name), 'rb') as all_:
                    if mine.read() != all_.read():
                        fail('after the series %s differs from the overlay'
                             % name)

    def cover(self):
        """The cover letter's words are the manual's."""
        text = read(os.path.join(self.args.overlaid, self.args.manual))
        intro = text.split('=\n', 1)[1].split('.. code-block', 1)[0]
        policies = text.split('``map-policy``', 1)[1].split('\nHow the', 1)[0]
        plain = [re.sub(r'[`*]+', '', part) for part in (intro, policies)]
        body = []
        for para in plain[0].strip().split('\n\n'):
            body.append(textwrap.fill(' '.join(para.split()), 72))
        body.append('The property map-policy:')
        body.append(textwrap.dedent(plain[1].strip('\n')))
        body.append('Each step builds and passes its unit tests; the qtests come '
                    'with a\nscripted renderer and need no GPU.')
        return '\n\n'.join(body)

    def write(self):
        """The patches, with a cover letter."""
        shutil.rmtree(self.args.out, ignore_errors=True)
        self.git('format-patch', '-q', '--cover-letter', '--no-signature',
                 '-o', os.path.abspath(self.args.out), '-M', '--root',
                 '--subject-prefix=PATCH', *self.args.option,
                 'HEAD~%d..HEAD' % len(self.steps))
        path = os.path.join(self.args.out, '0000-cover-letter.patch')
        text = read(path)
        text = text.replace('*** SUBJECT HERE ***',
                            'virtio-gpu: coherency-aware blob mapping')
        text = text.replace('*** BLURB HERE ***', self.cover())
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        with open(os.path.join(self.args.out, 'files'), 'w',
                  encoding='utf-8') as file:
            for step in self.steps:
                file.write(''.join(name + '\n' for name in step.files))
        shutil.rmtree(self.repo)


def main():
    """Parse and go."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ('pristine', 'overlaid', 'list', 'steps', 'out', 'manual',
                 'name', 'email', 'date'):
        parser.add_argument('--' + name, required=True)
    parser.add_argument('--option', action='append', default=[],
                        help='one more for git format-patch')
    args = parser.parse_args()
    series = Series(args)
    series.start()
    for number, step in enumerate(series.steps, 1):
        if not step.files:
            fail('%s has no files' % step.name)
        series.commit(number, step)
    series.equal()
    series.write()


if __name__ == '__main__':
    main()
