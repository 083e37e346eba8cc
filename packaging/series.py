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
OURS_ONLY = ('tests/*.sh', 'tests/*.py', 'tests/unit/mutants*')


def fail(message):
    """End with a readable error."""
    sys.exit('error: ' + message)


def read(path):
    """A file's text."""
    with open(path, encoding='utf-8') as file:
        return file.read()


def touched(patch):
    """Names of the files that a patch changes."""
    return re.findall(r'^\+\+\+ b/(\S+)', read(patch), flags=re.M)


class Step:
    """One commit: a message, our files, and hooks into QEMU's.

    # file PATTERN   files of ours
    # hook PATCH     a hook that the series has, or has no need of
    # grows PATCH    a hook that lists our files: from here on it is applied
                     at each step, with those that are there
    """

    def __init__(self, path, hooks):
        lines = read(path).splitlines()
        self.name = os.path.basename(path)
        self.patterns = self.named(lines, 'file')
        self.hooks = [hook for hook in
                      (os.path.join(hooks, h) for h in self.named(lines, 'hook'))
                      if os.path.exists(hook)]
        self.growing = [name for h in self.named(lines, 'grows')
                        for name in touched(os.path.join(hooks, h))]
        self.grown_by = self.named(lines, 'grows')
        self.message = '\n'.join(line for line in lines
                                 if not line.startswith('# ')) + '\n'
        self.files = []

    @staticmethod
    def named(lines, what):
        """What the lines of a kind name."""
        return [line.split()[2] for line in lines
                if line.startswith('# %s ' % what)]

    def hooked(self):
        """Files of QEMU's that the step changes."""
        return sorted({name for hook in self.hooks for name in touched(hook)})


def without_absent(text, tree):
    """meson.build with only those of our sources that are in the tree."""
    def test(match):
        name = 'tests/unit/%s.c' % match[1]
        return match[0] if os.path.exists(os.path.join(tree, name)) else ''

    def source(match):
        name = 'hw/display/' + match[1]
        return match[0] if os.path.exists(os.path.join(tree, name)) else ''

    text = re.sub(r"^ +'(test-virtio-gpu-blob-[^']+)':\n +\[.*?\],\n", test,
                  text, flags=re.M | re.S)
    return re.sub(r"^ +'(virtio-gpu-(?:blob|virgl-[a-z]+)[^']*)',\n", source,
                  text, flags=re.M)


class Series:
    """The commits in a scratch repository."""

    def __init__(self, args):
        self.args = args
        self.repo = args.out + '.git'
        self.steps = [Step(os.path.join(args.steps, name), args.hooks)
                      for name in sorted(os.listdir(args.steps))
                      if re.match(r'\d.*\.txt$', name)]
        self.growing = [(step, name) for step in self.steps
                        for name in step.growing]
        self.check_hooks()
        self.assign()
        # what only another series needs
        self.steps = [step for step in self.steps
                      if step.files or step.hooks]

    def check_hooks(self):
        """Each hook belongs to one step."""
        for hook in sorted(os.listdir(self.args.hooks)):
            path = os.path.join(self.args.hooks, hook)
            owners = [step for step in self.steps
                      if path in step.hooks or hook in step.grown_by]
            if hook.endswith('.patch') and len(owners) != 1:
                fail('%s belongs to %d steps of packaging/series'
                     % (hook, len(owners)))

    def assign(self):
        """Each file of the overlay belongs to one step, or to hooks."""
        hooked = {name for step in self.steps for name in step.hooked()}
        hooked.update(name for _, name in self.growing)
        loose = []
        for name in read(self.args.list).splitlines():
            if name in hooked or any(fnmatch.fnmatch(name, p)
                                     for p in OURS_ONLY):
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

    def files(self):
        """All files that the series makes or changes."""
        names = {name for step in self.steps
                 for name in step.files + step.hooked()}
        names.update(name for _, name in self.growing)
        return sorted(names)

    def assign_header(self, name):
        """A header that no step names comes with the first that includes it."""
        wanted = re.compile(r'#include "(?:.*/)?%s"'
                            % re.escape(os.path.basename(name)))
        for step in self.steps:
            if any(wanted.search(read(os.path.join(self.args.overlaid, f)))
                   for f in step.files + step.hooked()
                   if f.endswith(('.c', '.h'))):
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
        for name in self.files():
            if os.path.exists(os.path.join(self.args.pristine, name)):
                self.put(self.args.pristine, name)
        self.git('add', '-A', '-f')
        self.git('commit', '-q', '-m', 'QEMU')

    def commit(self, number, step):
        """One step."""
        for name in step.files:
            self.put(self.args.overlaid, name)
        for hook in step.hooks:
            self.git('apply', os.path.abspath(hook))
        for owner, name in self.growing:
            if self.steps.index(owner) < number:
                final = read(os.path.join(self.args.overlaid, name))
                self.put(self.args.overlaid, name,
                         without_absent(final, self.repo))
        self.git('add', '-A', '-f')
        self.git('commit', '-q', '-F', '-', input=step.message, text=True)

    def equal(self):
        """After the last step all is as in the overlaid tree."""
        for name in self.files():
            with open(os.path.join(self.repo, name), 'rb') as mine, \
                 open(os.path.join(self.args.overlaid, name), 'rb') as all_:
                if mine.read() != all_.read():
                    fail('after the series %s differs from the overlay' % name)

    def cover(self):
        """The cover letter's words are the manual's."""
        text = read(os.path.join(self.args.overlaid, self.args.manual))
        intro = text.split('=\n', 1)[1].split('.. code-block', 1)[0]
        policies = text.split('``map-policy``', 1)[1].split('\n``guest-pat``', 1)[0]
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
            file.write(''.join(name + '\n' for name in self.files()))
        shutil.rmtree(self.repo)


def main():
    """Parse and go."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ('pristine', 'overlaid', 'list', 'steps', 'hooks', 'out',
                 'manual', 'name', 'email', 'date'):
        parser.add_argument('--' + name, required=True)
    parser.add_argument('--option', action='append', default=[],
                        help='one more for git format-patch')
    args = parser.parse_args()
    series = Series(args)
    series.start()
    for number, step in enumerate(series.steps, 1):
        series.commit(number, step)
    series.equal()
    series.write()


if __name__ == '__main__':
    main()
