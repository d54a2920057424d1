"""Mutate documents, and compare the extraction of each with the reference.

python -m tests.benchmarks.fuzz --seconds 600 [--seed 1]

Every case is a document that mutations have made from seeds. It is cut into chunks of random sizes, and read
with random limits, so that small documents are cut into many batches. At the first disagreement it prints the
case, to be made a test, and exits with 1. Memory must not grow.
"""

import gzip
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple
from unittest.mock import patch

from chalicelib import decoding, json_batches, masking, rejections, rows, sorting
from chalicelib.json_scanner import Scanner
from tests import reference
from tests.long_runs import run_options

SAMPLES = Path(__file__).parents[2] / "samples"

SEEDS = [
    b'[{"patient_id":"A1","patient_name":"B2"},{"patient_id":"C3","patient_name":"D4"}]',
    b'{"patient_id":"A1","patient_name":"B2"}\n{"patient_id":"C3","patient_name":"D4"}\n',
    b'{"patient_id":"A1","patient_name":"B2"}{"x":1}12 "a"null[{}]{"patient_id":"C3","patient_name":"D4"}',
    b'[{"v":[{"v":[{"v":1},{"v":2}]},{"v":3}],"patient_id":"A","patient_name":"B"},{"v":[{"v":1},{"v":2}]}]',
    b'[{"patient_id":"},{\\"patient_id","patient_name":"},{"},{"patient_id":"]","patient_name":"[{"}]',
    b'[{"patient_id":"\\ud83d\\ude00","patient_name":"\\u00fc"},{"patient_id":"\\ud83d","patient_name":"\\udc00"}]',
    b'[1,-2.5e+3,true,false,null,"a",[],{},[[[]]],{"a":{"b":[]}},12345678901234567890,1e999]',
    b'[{"patient_id":" ","patient_name":""},{"patient_id":1},{"patient_name":null},{"patient_id":[{}]}]',
    b' \n[ {\r\n\t"patient_id" : "A" ,\n"patient_name" : "B" } , \n 1 ]\n ',
    b'[{"patient_id":"A","patient_id":"B","patient_name":1,"patient_name":"\xc3\xbc"},{"patient\\u005fid":"A"}]',
    b'[{"patient_id":"\xff","patient_name":"B"},{"x":"\xff","patient_id":"A","patient_name":"B"},{"x":"\xff"}]',
    b'{"patient_id":"A","patient_name":"B"}\n{"patient_id":"C","pat\n{"patient_id":"C","patient_name":"D"}',
    b'{"patient_id":"A","patient_name":"B"}\n{"x"\n{"x":\n{}\n{}',
    b'{"x":1}\n{"x\n\xef\xbb\xbf\xef\xbb\xbf{"patient_id":"A","patient_name":"B"}\n',
    b'\xef\xbb\xbf[\xef\xbb\xbf{"x":1}\xef\xbb\xbf,\n\xef\xbb\xbf{"patient_id":"A","patient_name":"B"}\xef\xbb\xbf]',
    b'\xef\xbb\xbf{"patient_id":"A","patient_name":"B","x":NaN}\n\xef\xbb\xbf{"patient_id":NaN}\n{"x":1',
    b'[{"patient_id":"NaN","patient_name":"[0]","x":NaN},NaN,-Infinity,{"patient_id":Infinity}]',
    b'[{"patient_id":"?? \\\\","patient_name":"\xee\x80\x80","x":[NaN,"\\ud800"]}]',
    b'{"x":[1],"v":[{"patient_id":"A1","patient_name":"B2"},{"patient_id":"C3"}],"n":{"v":[]},"y":NaN}',
    b'{"a":"' + b"x" * 300 + b'","patient_id":"A","patient_name":"B"} {}',
    b"[" + b"{}," * 40 + b"{}]",
    b"[" + b"[" * 60 + b"]" * 60 + b"]",
]

FRAGMENTS = [
    *b'[]{},:"\\ \n\t\r0123456789-+.eEtfnu\0\x1f\x7f\xff\xc3\xed',
    *[b"},{", b'},{"patient_id":"', b'"},{"', b"}{", b"}\n{", b"]}", b"[[", b'""', b",,", b"\\u", b"\\ud800"],
    *[b"\\udc00", b"\\ud83d\\ude00", b"\\u0064", b"\\\\", b'\\"', b"\\/", b"tru", b"true", b"null", b"fals"],
    *[
        b"1e",
        b"01",
        b"-",
        b"1.",
        b"1e+",
        b"1e5",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"\xef\xbb\xbf",
        b"\n",
        b"}\n{\n{",
        b'{"\n{"patient_id":"a"}\n{',
        b"\x1f\x8b",
        b"//",
    ],
    *[
        b'"patient_id":',
        b'"patient_name":"x"',
        b'"patient_i\\ud864":"x"',
        b'{"patient_id":"a","patient_name":"b"}',
    ],
    *[b"PK\3\4", b"BZh", b"\x89HDF\r\n\x1a\n", b"PAR1", b"nan", b"Inf", b"\xff\xfe"],
    *["\N{NO-BREAK SPACE}".encode(), "\N{IDEOGRAPHIC SPACE}".encode(), "あ".encode(), b"\xed\xa0\x80"],
]


STRINGS = [
    *[
        b'"A1"',
        b'"B 2"',
        b'""',
        b'" "',
        b'"\\t\\u00a0"',
        b'"\\u00fc"',
        b'"\\ud83d\\ude00"',
        b'"\\ud83d"',
        b'"\\ude00x"',
    ],
    *[
        b'"},{"',
        b'"}{"',
        b'"]"',
        b'"\\""',
        b'"\\\\"',
        b'"\xff"',
        b'"\xc3\xbc"',
        b'"\xc3\xbc\\ud83d\xe3\x81\x82"',
        b'"\xf0\x9f\x98\x80\\ude00"',
        b'":"',
        b'"\\\\ud83d"',
        b'"1\x7f"',
    ],
    *[f'"{space}"'.encode() for space in "\N{NO-BREAK SPACE}\N{OGHAM SPACE MARK}\N{IDEOGRAPHIC SPACE}あ"],
]
KEYS = [b'"patient_id"', b'"patient_name"', b'"patient\\u005fid"', b'"patient_i\\ud864"', b'"v"', b'""']
NUMBERS = [
    b"0",
    b"-1",
    b"12",
    b"1.5",
    b"1e5",
    b"-0.0E-7",
    b"1e999",
    b"123456789012345678901234567890",
    b"9" * 5000,
    b"NaN",
    b"Infinity",
    b"-Infinity",
]
SPACES = [b"", b"", b"", b" ", b"\n", b"\r\n\t", b" " * 50]


class Case(NamedTuple):
    """A document, the sizes of its chunks, and the limits that it is read with.

    `many` escapes are masked in another way than few. Records of `large` bytes are written in pieces.
    """

    document: bytes
    sizes: tuple[int, ...]
    block: int
    record_limit: int
    lines_before: int
    records_key: str
    many: int
    large: int


def cases(seed: int) -> Iterator[Case]:
    """Yield cases without end, the same ones for the same seed."""
    random = Random(seed)  # noqa: S311 - it has to be repeatable
    grown = [*SEEDS, *(path.read_bytes() for path in SAMPLES.glob("*/*.json"))]
    grown = [document for document in grown if len(document) < 2000]
    while True:
        document = composed(random) if random.random() < 0.5 else random.choice(grown)
        if random.random() < 0.7:
            document = mutated(random, document, random.choice(grown))
        if len(document) < 2000 and random.random() < 0.1:
            grown[random.randrange(len(SEEDS), len(grown))] = document
        sizes = [random.choice((0, 1, 2, 3, 7, 20, 100)) for _ in range(random.choice((0, 3, 200)))]
        block = random.choice((1, 2, 5, 16, 40, 100, 1000, 65536))
        limit = max(block, random.choice((20, 100, 400, 64 << 20, 64 << 20, 64 << 20)))
        before = random.choice((0, 20, 100, 64 << 10, 64 << 10))
        key = random.choice(("", "", "", "", "v"))
        many = random.choice((0, 3, 256))
        large = random.choice((1, 50, 1 << 20))
        yield Case(packed(random, document), tuple(sizes), block, limit, before, key, many, large)


def composed(random: Random) -> bytes:
    """Compose a document of valid JSON."""
    records = [record(random) for _ in range(random.choice((0, 1, 2, 5, 30)))]
    if random.random() < 0.3:
        return b" ".join([b"{}", *(random.choice(SPACES) + text for text in records)])
    spaces = random.choice(SPACES), random.choice(SPACES)
    return spaces[0] + b"[" + (spaces[0] + b"," + spaces[1]).join(records) + b"]" + spaces[1]


def record(random: Random) -> bytes:
    if random.random() < 0.1:
        return value(random, 0)
    members = [
        *[random.choice(KEYS) + b":" + value(random, 0) for _ in range(random.choice((0, 0, 1, 3)))],
        *[key + b":" + random.choice(STRINGS) for key in KEYS[:2] if random.random() < 0.9],
        *[random.choice(KEYS) + b":" + value(random, 0) for _ in range(random.choice((0, 0, 1, 3)))],
    ]
    return b"{" + (b"," + random.choice(SPACES)).join(members) + b"}"


def value(random: Random, depth: int) -> bytes:
    match random.randrange(8 if depth < 4 else 4):
        case 0 | 1:
            return random.choice(STRINGS)
        case 2:
            return random.choice(NUMBERS)
        case 3:
            return random.choice((b"true", b"false", b"null", b"[]", b"{}"))
        case 4 | 5:
            return b"[" + b",".join(value(random, depth + 1) for _ in range(random.randrange(4))) + b"]"
    items = [random.choice(KEYS) + b":" + value(random, depth + 1) for _ in range(random.randrange(4))]
    return b"{" + b",".join(items) + b"}"


def mutated(random: Random, document: bytes, other: bytes) -> bytes:
    data = bytearray(document)
    for _ in range(random.choice((0, 1, 1, 2, 3, 8))):
        at, end = sorted(random.randrange(len(data) + 1) for _ in range(2))
        fragment = random.choice(FRAGMENTS)
        fragment = bytes((fragment,)) if isinstance(fragment, int) else fragment
        match random.randrange(7):
            case 0:
                data[at:at] = fragment
            case 1:
                data[at : at + len(fragment)] = fragment
            case 2:
                del data[at : at + random.choice((1, 1, 2, 10))]
            case 3:
                data[at:at] = data[at : min(end, at + 200)] * random.choice((1, 2, 5))
            case 4:
                start = random.randrange(len(other) + 1)
                data[at : min(end, at + 100)] = other[start : start + 200]
            case 5:
                del data[end:]
            case 6:
                data[at:at] = b" \n" * random.choice((1, 30))
    return bytes(data)


def packed(random: Random, document: bytes) -> bytes:
    """Encode some documents in UTF-16 or gzip or both, and break some of these."""
    if random.random() < 0.05:
        text = "\N{BYTE ORDER MARK}" + document.decode(errors="surrogateescape")
        document = text.encode(random.choice(("utf-16-le", "utf-16-be")), "surrogatepass")
        document = document[: random.choice((len(document), random.randrange(len(document))))]
    if random.random() < 0.85:
        return document
    cut = random.randrange(len(document) + 1)
    parts = [gzip.compress(part, 1) for part in (document[:cut], document[cut:])]
    padding = random.choice((b"", b"", b"\0", b"\0" * 200))
    data = bytearray(
        padding.join(parts) + padding + random.choice((b"", b"", b"\x1f", b"\n", b"x", parts[0]))
    )
    if random.random() < 0.3:
        data = bytearray(gzip.compress(data, 1))
    if random.random() < 0.5:
        data[random.randrange(2, len(data))] ^= 1 << random.randrange(8)
    return bytes(data[: random.choice((len(data), len(data), random.randrange(2, len(data)))) or None])


def disagreement(case: Case) -> str:
    """Describe how the extraction of a case differs from the reference; nothing if it does not."""
    expected = reference.reference(
        case.document,
        record_limit=case.record_limit,
        lines_before=case.lines_before,
        records_key=case.records_key,
    )
    with (
        patch.object(decoding, "PIECE", case.block),
        patch.object(masking, "MANY_ESCAPES", case.many),
        patch.object(masking, "PIECE", 3),
        patch.object(rows, "FEW_MASKS", case.many),
        patch.object(sorting, "FEW", max(case.many, 1)),
        patch.object(sorting, "TINY", 1000),
        patch.object(rejections, "LARGE", case.large),
        patch.object(rejections, "PIECE", 3),
        patch.object(json_batches, "RECORDS_KEY", case.records_key or None),
        patch.object(Scanner, "lines_before", case.lines_before),
        patch.object(Scanner, "block", case.block),
        patch.object(Scanner, "record_limit", case.record_limit),
    ):
        try:
            found = reference.extraction(reference.chunked(case.document, case.sizes))
        except Exception as error:  # noqa: BLE001 - any error is a finding
            return f"{case}\nraised   {error!r}\nexpected {expected}"
    return "" if reference.agree(found, expected) else f"{case}\nfound    {found}\nexpected {expected}"


def main() -> int:
    options = run_options(__doc__)
    end = time.monotonic() + options.seconds
    count = 0
    for case in cases(options.seed):
        if time.monotonic() > end:
            break
        count += 1
        if wrong := disagreement(case):
            sys.stdout.write(f"case {count} of seed {options.seed}:\n{wrong}\n")
            return 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(f"{count:,} cases of seed {options.seed}: all agree; peak memory {peak} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
