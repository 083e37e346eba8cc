#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""coverage.py REPORT SOURCE LIST: judge what the tests reach, by gcovr's JSON.

All lines and branches of the files in the folder SOURCE must be reached, but
for those that LIST names, a line each:

    FILE | the line as it stands in the source | branches or line | the reason

"branches": the line is reached, some of its branches are not.  "line": neither
is.  An entry that is reached after all, or stands nowhere, is an error, unless
its reason begins with "by host:", as what is reached on some hosts only.
"""

import collections
import json
import linecache
import os
import sys

Entry = collections.namedtuple('Entry', 'file text what reason')


def read_list(path):
    """The list's entries."""
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            if line.strip() and not line.startswith('#'):
                fields = [field.strip() for field in line.split(' | ')]
                if len(fields) != 4 or fields[2] not in ('branches', 'line'):
                    sys.exit('error: %s:%d: not FILE | LINE | branches or '
                             'line | REASON' % (path, number))
                yield Entry(*fields)


def read_counts(report):
    """By file and line, how often it and each branch was reached.

    A file may have been compiled more than once, for the device and for a
    unit test.
    """
    lines = collections.Counter()
    branches = collections.defaultdict(collections.Counter)
    with open(report, encoding='utf-8') as file:
        found = json.load(file)
    for entry in found['files']:
        for line in entry['lines']:
            key = os.path.basename(entry['file']), line['line_number']
            if line.get('gcovr/noncode'):
                continue
            lines[key] += line['count']
            for index, branch in enumerate(line['branches']):
                if not branch.get('throw'):
                    branches[key][index] += branch['count']
    return lines, branches


def main(report, source, path):
    """Print the list; fail unless all else is reached."""
    entries, used, bad = list(read_list(path)), set(), []
    lines, branches = read_counts(report)
    for (name, number), count in sorted(lines.items()):
        if count and all(branches[name, number].values()):
            continue
        text = linecache.getline(os.path.join(source, name), number).strip()
        what = 'branches' if count else 'line'
        found = {e for e in entries if e[:3] == (name, text, what)}
        used |= found
        if not found:
            bad.append('%s:%d: %s not reached: %s' % (name, number, what, text))
    print('Listed, since no test can reach it:')
    for entry in entries:
        print('  %s: %s (%s): %s' % (entry.file, entry.text, entry.what,
                                     entry.reason))
        if entry not in used and not entry.reason.startswith('by host:'):
            bad.append('%s: listed, but reached or not there: %s'
                       % (entry.file, entry.text))
    for line in bad:
        print('not ok ' + line)
    files = {name for name, _ in lines}
    print('%d passed, %d failed' % (len(files), len(bad)))
    return 1 if bad or not files else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
