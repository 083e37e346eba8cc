#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A fuzzer's inputs, from a folder to lines of a C header and back."""

import hashlib
import os
import re
import sys

DIGITS = 72


def unpack(header, folder):
    """A file for each input."""
    with open(header, encoding='ascii') as file:
        text = file.read()
    os.makedirs(folder, exist_ok=True)
    for item in text.split(','):
        data = bytes.fromhex(''.join(re.findall(r'"([0-9a-f]*)"', item)))
        if data:
            name = hashlib.sha1(data).hexdigest()
            with open(os.path.join(folder, name), 'wb') as file:
                file.write(data)


def pack(folder, header):
    """Short ones first, whatever their files are called."""
    inputs = set()
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), 'rb') as file:
            inputs.add(file.read())
    inputs.discard(b'')
    with open(header, 'w', encoding='ascii') as file:
        for data in sorted(inputs, key=lambda d: (len(d), d)):
            digits = data.hex()
            parts = [digits[i:i + DIGITS]
                     for i in range(0, len(digits), DIGITS)]
            file.write('\n'.join('"%s"' % part for part in parts) + ',\n')


def main():
    """fuzz-corpus.py unpack HEADER FOLDER | pack FOLDER HEADER"""
    if len(sys.argv) != 4 or sys.argv[1] not in ('unpack', 'pack'):
        sys.exit(main.__doc__)
    {'unpack': unpack, 'pack': pack}[sys.argv[1]](*sys.argv[2:])


if __name__ == '__main__':
    main()
