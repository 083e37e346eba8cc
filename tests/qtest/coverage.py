#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Judge what the tests reach: all lines and branches that are not listed.

The list names what no test can reach, a line each:

    FILE | the line as it stands in the source | branches or line | the reason

"branches": the line is reached, some of its branches are not.  "line": neither
is.  An entry that is reached after all, or stands nowhere, is an error, unless
its reason begins with "by host:", as what is reached on some hosts only.
"""

import argparse
import collections
import json
import os
import sys

Entry = collections.namedtuple('Entry', 'file text what reason')


def read_list(path):
    """The list's entries."""
    entries = []
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            if line.strip() and not line.startswith('#'):
                fields = [field.strip() for field in line.split(' | ')]
                if len(fields) != 4 or fields[2] not in ('branches', 'line'):
                    sys.exit('error: %s:%d: not FILE | LINE | branches or '
                             'line | REASON' % (path, number))
                entries.append(Entry(*fields))
    return entries


class Unit:
    """What was reached of one file, whoever compiled it."""

    def __init__(self, path):
        with open(path, encoding='utf-8') as file:
            self.text = [line.strip() for line in file]
        self.lines = collections.Counter()
        self.branches = collections.defaultdict(collections.Counter)

    def add(self, line):
        """One line of gcovr's, of one object file or of several."""
        number = line['line_number']
        if line.get('gcovr/noncode'):
            return
        self.lines[number] += line['count']
        for index, branch in enumerate(line['branches']):
            if not branch.get('throw'):
                self.branches[number][index] += branch['count']

    def missed(self):
        """(line number, 'line' or 'branches') of all that was not."""
        for number, count in sorted(self.lines.items()):
            if not count:
                yield number, 'line'
            elif not all(self.branches[number].values()):
                yield number, 'branches'


def read_units(report, source):
    """gcovr's report: a Unit for each file."""
    with open(report, encoding='utf-8') as file:
        found = json.load(file)
    units = {}
    for entry in found['files']:
        name = os.path.basename(entry['file'])
        if name not in units:
            units[name] = Unit(os.path.join(source, name))
        for line in entry['lines']:
            units[name].add(line)
    return units


def main():
    """Print the list; fail unless all else is reached."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--report', required=True, help="gcovr's JSON")
    parser.add_argument('--source', required=True, help='folder of the files')
    parser.add_argument('list', help='what no test can reach')
    args = parser.parse_args()

    entries, used, bad = read_list(args.list), set(), []
    units = read_units(args.report, args.source)
    for name, unit in sorted(units.items()):
        for number, what in unit.missed():
            entry = next((e for e in entries if e.file == name and
                          e.text == unit.text[number - 1] and
                          e.what == what), None)
            if entry:
                used.add(entry)
            else:
                bad.append('%s:%d: %s not reached: %s'
                           % (name, number, what, unit.text[number - 1]))
    print('Listed, since no test can reach it:')
    for entry in entries:
        print('  %s: %s (%s): %s' % (entry.file, entry.text, entry.what,
                                     entry.reason))
        if entry not in used and not entry.reason.startswith('by host:'):
            bad.append('%s: listed, but reached or not there: %s'
                       % (entry.file, entry.text))
    for line in bad:
        print('not ok ' + line)
    print('%d passed, %d failed' % (len(units), len(bad)))
    return 1 if bad or not units else 0


if __name__ == '__main__':
    sys.exit(main())
