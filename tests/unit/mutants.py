#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Change one operator or constant of a C file at a time, and see whether its
# unit test notices.  The compile and link commands are the build's own.

import argparse
import concurrent.futures
import os
import re
import shlex
import subprocess
import sys
import tempfile

TOKEN = re.compile(r'''
    (?P<comment>/\*.*?\*/|//[^\n]*)
  | (?P<directive>^[ \t]*\#[^\n]*)
  | (?P<string>"(?:\\.|[^"\\])*")
  | (?P<number>\b\d\w*\b)
  | (?P<word>\b[A-Za-z_]\w*\b)
  | (?P<op>&&|\|\||==|!=|<=|>=|->|<<|>>|\+\+|--|[-+*/%<>!=&|?:])
''', re.VERBOSE | re.DOTALL | re.MULTILINE)

OPERATORS = {
    '&&': ['||'], '||': ['&&'], '==': ['!='], '!=': ['=='],
    '<': ['<=', '>='], '<=': ['<', '>'], '>': ['>=', '<='],
    '>=': ['>', '<'], '!': [''], '%': ['/'], '-': ['+'], '+': ['-'],
}

# A constant becomes its neighbour of the same kind.
FAMILIES = [
    ['VIRTIO_GPU_MAP_CACHE_CACHED', 'VIRTIO_GPU_MAP_CACHE_UNCACHED',
     'VIRTIO_GPU_MAP_CACHE_WC'],
    ['VIRTIO_GPU_MAP_POLICY_SAFE', 'VIRTIO_GPU_MAP_POLICY_STRICT',
     'VIRTIO_GPU_MAP_POLICY_RENDERER'],
    ['VIRTIO_GPU_BLOB_BACKING_NONE', 'VIRTIO_GPU_BLOB_BACKING_DMABUF',
     'VIRTIO_GPU_BLOB_BACKING_SHM', 'VIRTIO_GPU_BLOB_BACKING_OPAQUE'],
    ['VIRTIO_GPU_BLOB_VOUCHER_NOBODY', 'VIRTIO_GPU_BLOB_VOUCHER_MEMFD',
     'VIRTIO_GPU_BLOB_VOUCHER_EXPORTER',
     'VIRTIO_GPU_BLOB_VOUCHER_EXPORTER_NAME',
     'VIRTIO_GPU_BLOB_VOUCHER_RENDERER'],
    ['VIRTIO_GPU_RESP_ERR_UNSPEC', 'VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER',
     'VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY',
     'VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID'],
    ['true', 'false'],
]
ENUMS = ['VIRTIO_GPU_EXPORTER_', 'VIRTIO_GPU_BLOB_']


def neighbours(word, text):
    """The constants that word may be mistaken for."""
    for family in FAMILIES:
        if word in family:
            at = family.index(word)
            return [family[(at + 1) % len(family)]]
    for prefix in ENUMS:
        if word.startswith(prefix):
            peers = sorted(set(re.findall(r'\b%s[A-Z0-9_]+\b' % prefix, text))
                           - {w for f in FAMILIES for w in f})
            peers = [p for p in peers if '__' not in p]
            if word not in peers:
                return []
            return [peers[(peers.index(word) + 1) % len(peers)]]
    if word == 'NULL':
        return ['"udmabuf"']
    return []


def replacements(match, text):
    """What to put in a token's place, one at a time."""
    token = match[0]
    if match['op']:
        return OPERATORS.get(token, [])
    if match['string'] and text[:match.start()].rsplit('\n', 1)[-1].strip():
        return ['"%sx"' % token[1:-1]]
    if match['number']:
        digits = token.rstrip('uUlL')
        return [str(int(digits, 0) + 1) + token[len(digits):]]
    if match['word']:
        return neighbours(token, text)
    return []


def mutants(text):
    """All mutants: line, what became what, and the text."""
    for match in TOKEN.finditer(text):
        if match['comment'] or match['directive']:
            continue
        for new in replacements(match, text):
            line = text.count('\n', 0, match.start()) + 1
            yield (line, '%s -> %s' % (match[0], new or 'nothing'),
                   text[:match.start()] + new + text[match.end():])


def commands(build, source, test):
    """How the build compiles source and links test."""
    out = subprocess.run(['ninja', '-C', build, '-t', 'commands', test],
                         check=True, capture_output=True, text=True).stdout
    lines = out.splitlines()
    link = next(l for l in reversed(lines) if ' -o %s ' % test in l)
    name = '/' + os.path.basename(source)
    compile_ = next(l for l in lines if l.endswith(name) and ' -c ' in l)
    return shlex.split(compile_), shlex.split(link)


def replaced(words, option, value):
    """words with another value after option."""
    words = list(words)
    words[words.index(option) + 1] = value
    return words


def verdict(build, compile_, link, text, folder, number):
    """killed, survived, or 'invalid' when it does not compile."""
    base = os.path.join(folder, str(number))
    with open(base + '.c', 'w', encoding='utf-8') as out:
        out.write(text)
    obj = compile_[compile_.index('-o') + 1]
    words = [w for w in compile_[:-1] if not re.match(r'-O|-M[DQF]?$', w)]
    # a mutant's headers are where the source's are
    words += ['-iquote', os.path.dirname(compile_[-1])]
    words = [w for w in words if w not in ('ccache',) and not
             (w.endswith('.o.d') or (w.endswith('.o') and w != obj))]
    words = replaced(words, '-o', base + '.o') if '-o' in words \
        else words + ['-o', base + '.o']
    words += [base + '.c', '-w']
    if subprocess.run(words, cwd=build, capture_output=True,
                      check=False).returncode:
        return 'invalid'
    link = [base + '.o' if w == obj else w for w in link]
    link = replaced(link, '-o', base)
    subprocess.run(link, cwd=build, check=True, capture_output=True)
    try:
        status = subprocess.run([base], capture_output=True, timeout=60,
                                check=False).returncode
    except subprocess.TimeoutExpired:
        status = 1
    for suffix in ('.c', '.o', ''):
        os.unlink(base + suffix)
    return 'killed' if status else 'survived'


EXPLAINED = re.compile(r'(?P<what>.*? -> \S+|.*? \| (removed|negated)): '
                       r'(?P<why>.*)')


def read_explained(path):
    """Why survivors survive, by what was changed."""
    with open(path, encoding='utf-8') as lines:
        found = map(EXPLAINED.fullmatch, (line.strip() for line in lines
                                          if not line.startswith('#')))
        return {match['what']: match['why'] for match in found if match}


def main():
    """Try all mutants; 1 if one survives that is not explained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--build', required=True, help='ninja\'s folder')
    parser.add_argument('--source', required=True, help='the C file')
    parser.add_argument('--test', required=True, help='the test\'s target')
    parser.add_argument('--explained', help='a file with survivors that do '
                        'not change what the code does, "what: why"')
    parser.add_argument('--jobs', type=int, default=os.cpu_count())
    args = parser.parse_args()

    with open(args.source, encoding='utf-8') as source:
        text = source.read()
    explained = read_explained(args.explained) if args.explained else {}
    compile_, link = commands(args.build, args.source, args.test)
    source_lines = text.splitlines()
    counts = {'killed': 0, 'survived': 0, 'invalid': 0}
    with tempfile.TemporaryDirectory() as folder, \
            concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        if verdict(args.build, compile_, link, text, folder, 'same') \
                != 'survived':
            sys.exit('error: the test fails without a mutant')
        tasks = [(line, what, pool.submit(verdict, args.build, compile_, link,
                                          mutant, folder, number))
                 for number, (line, what, mutant)
                 in enumerate(mutants(text))]
        for done, (line, what, task) in enumerate(tasks, 1):
            if sys.stderr.isatty() or done % 25 == 0:
                print('  %d of %d mutants' % (done, len(tasks)),
                      file=sys.stderr)
            result = task.result()
            if result == 'survived':
                key = '%s | %s' % (source_lines[line - 1].strip(), what)
                if key in explained:
                    print('equivalent, line %d: %s: %s'
                          % (line, what, explained[key]))
                    result = 'killed'
                else:
                    print('SURVIVED, line %d: %s' % (line, key))
            counts[result] += 1
    print('%d passed, %d failed' % (counts['killed'], counts['survived']) +
          (', %d skipped (do not compile)' % counts['invalid']
           if counts['invalid'] else ''))
    return 1 if counts['survived'] or not counts['killed'] else 0


if __name__ == '__main__':
    sys.exit(main())
