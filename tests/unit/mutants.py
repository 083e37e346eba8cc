# SPDX-License-Identifier: GPL-2.0-or-later
#
# What mutants_all.py changes: one operator or constant of a C file at a time.

import re

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


def replaced(words, option, value):
    """words with another value after option."""
    words = list(words)
    words[words.index(option) + 1] = value
    return words


EXPLAINED = re.compile(r'(?P<what>.*? -> \S+|.*? \| (removed|negated)): '
                       r'(?P<why>.*)')


def read_explained(path):
    """Why survivors survive, by what was changed."""
    with open(path, encoding='utf-8') as lines:
        found = map(EXPLAINED.fullmatch, (line.strip() for line in lines
                                          if not line.startswith('#')))
        return {match['what']: match['why'] for match in found if match}
