"""Hostile documents get the right answer, in linear time and constant memory, and never a crash."""

import gzip
import re
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chalicelib import decoders, json_lines, json_scanner, sorting
from chalicelib.extraction import Summary, extract
from chalicelib.malformed import MalformedScan
from tests.benchmarks.fuzz import cases, disagreement
from tests.reference import agree, chunked, extraction, reference

ROOT = Path(__file__).parents[1]
MIB = 1024 * 1024
VALID = b'{"patient_id":"A","patient_name":"B"}'


def with_text(text: bytes) -> bytes:
    return b'{"patient_id":"A","patient_name":"B","x":"' + text + b'"}'


def hostile(size: int) -> dict[str, bytes]:
    """Make documents of about this size."""

    def array_of(record: bytes) -> bytes:
        return b"[" + b",".join([record] * (size // len(record) + 1)) + b"]"

    copy = VALID + b"," + VALID
    copies = b",".join([VALID] * (size // 200))
    return {
        "tiny": array_of(VALID),
        "tiny, joined": VALID * (size // len(VALID)),
        "numbers": array_of(b"1"),
        "gaps in texts": array_of(b'{"patient_id":"},{","patient_name":"}{","x":["},{","[","]}"]}'),
        "copies of itself": array_of(b'{"patient_id":"A","patient_name":"B","x":[' + copy + b"]}"),
        "nothing but copies": array_of(b'{"a":[{"a":1},{"a":2}]}'),
        "many copies of itself": array_of(b'{"patient_id":"A","patient_name":"B","x":[' + copies + b"]}"),
        "keys of their own": b"[" + b",".join(b'{"%d":0,' % i + VALID[1:] for i in range(size // 45)) + b"]",
        "gaps of their own": b",".join(
            b" " * (i % 97) + b"\n" * (i % 89) + VALID for i in range(size // 130)
        ),
        "large": array_of(with_text(b"x" * (size // 5))),
        "large, with copies, invalid": array_of(b'{"patient_id":1,"x":[' + copies + b"]}"),
        "large, with copies, not UTF-8": array_of(b'{"patient_id":"\xff","x":[' + copies + b"]}"),
        "half pairs": array_of(b'{"patient_id":"\\ud83d","patient_name":"B"}'),
        "large, half pairs": array_of(with_text(rb"\ude00" * (size // 30))),
        "pairs and copies": array_of(b'{"patient_id":"\\ud83d\\ude00","x":[' + copy + b"]}"),
        "not UTF-8": array_of(b'{"patient_id":"\xff","patient_name":"B"}'),
        "some invalid": array_of(VALID + b"," + VALID + b"," + VALID + b",{}"),
        "white space": b"[" + b"{} ,".ljust(size) + b"{}" + b"]".rjust(size) + b"\n" * size,
        "never ends": b"[" + with_text(b"x" * size)[:-2],
        "never ends, brackets": b"[" + b"[{}," * (size // 4),
        "good, then copies": array_of(VALID)[:-1] + b"," + array_of(b'{"x":[' + copy + b"]}")[1:],
        "good, then bad": array_of(VALID)[:-1] + b",{]",
        "NaN": array_of(VALID[:-1] + b',"x":NaN}'),
        "NaN in a name": array_of(b'{"patient_id":"NaN","patient_name":"B","x":NaN}'),
        "broken lines": (VALID + b'\n{"patient_id":"A\n') * (size // 60) + VALID,
        "broken lines alone": VALID + b'\n{"a"' * (size // 5) + b"\n" + VALID,
        "gaps that vary": b"["
        + b",".join(
            bytes(b" \t\n\r"[i >> place & 3] for place in range(0, 14, 2)) + VALID for i in range(size // 45)
        )
        + b"]",
        "half pairs and gaps that vary": b"["
        + b",".join(
            bytes(b" \t\n\r"[i >> place & 3] for place in range(0, 14, 2))
            + b'{"patient_id":"\\ud83d","patient_name":"B"}'
            for i in range(size // 50)
        )
        + b"]",
    }


class Counter:
    """Counts the bytes that msgspec parses: of each text, those before it stops."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parsed = 0
        for module, name in (
            (json_scanner, "measure"),
            (json_lines, "measure"),
            (sorting, "decode_fields"),
            (decoders, "decode_record"),
        ):
            monkeypatch.setattr(module, name, self.counted(getattr(module, name)))
        for by_form in (decoders.decode_records, decoders.decode_raw):
            for form, decode in by_form.items():
                monkeypatch.setitem(by_form, form, self.counted(decode))

    def counted(self, decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def counting(text: bytes) -> object:
            parsed = len(text)
            try:
                return decode(text)
            except msgspec.DecodeError as error:
                if place := re.search(r"malformed: .*byte (\d+)", str(error)):
                    parsed = int(place[1])
                raise
            finally:
                self.parsed += parsed

        return counting


@pytest.mark.parametrize("size", [1000, 1 << 24])
@pytest.mark.parametrize("kind", hostile(100))
def test_work_is_linear(kind: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    document = hostile(MIB // 2)[kind]
    counter = Counter(monkeypatch)
    monkeypatch.setattr(json_scanner.Scanner, "block", 64 * 1024)  # so that the document has many blocks

    extraction(chunked(document, [size] * (len(document) // size)))

    assert counter.parsed <= 9 * len(document)


@pytest.mark.parametrize("kind", hostile(100))
def test_hostile_documents_give_what_the_reference_gives(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    document = hostile(50_000)[kind]
    expected = reference(document)
    monkeypatch.setattr(json_scanner.Scanner, "block", 4096)

    assert agree(extraction(chunked(document, [4096] * (len(document) // 4096))), expected)
    assert agree(extraction([document]), expected)


@pytest.mark.parametrize("seed", range(3))
def test_broken_documents_give_what_the_reference_gives(seed: int) -> None:
    for case in islice(cases(seed), 2500):
        assert not disagreement(case)


SPLIT = [
    b'[{"patient_id":"\\ud83d\\ude00","patient_name":"\xc3\xbc","x":[1.5e+3,-0,true,null,{}]} , 12,"a"]',
    b'\xef\xbb\xbf{"patient_id":"\\ud83d","patient_name":"\\\\"}\n{"patient_id":""}{}\nfalse\n"\\u00fc" 1e5',
    b'[{"a":[{"a":"},{"},{"a":1}]},{"a":2},nul]',
    gzip.compress(b'[{"patient_id":"A","pati', mtime=0) + gzip.compress(b'ent_name":"B"}]', mtime=0),
]


@pytest.mark.parametrize("document", SPLIT)
@pytest.mark.parametrize("block", [1, 7, 65536])
def test_it_does_not_matter_where_the_bytes_are_split(
    document: bytes, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_scanner.Scanner, "block", block)
    expected = reference(document)
    length = len(document)

    for first in range(length):
        for second in (0, 1, 5):
            assert agree(extraction(chunked(document, [first, 0, second])), expected)
    assert agree(extraction(chunked(document, [1] * length)), expected)


@pytest.mark.parametrize(
    "place", ["[%s]", '[{"x":%s}]', '[{"patient_id":%s}]', '[{"patient_id":"\\ud800","x":%s}]', '{"x":%s}']
)
@pytest.mark.parametrize("opening", ["[", '{"x":'])
def test_a_record_that_is_nested_too_deeply_is_refused(place: str, opening: str) -> None:
    def nested(depth: int) -> bytes:
        closing = "]" if opening == "[" else "}"
        return (place % (opening * depth + "1" + closing * depth)).encode()

    assert extraction([nested(1000)]).counts == (0, 1)
    for depth in (1480, 1490, 1495, 1500, 10_000, 100_000):
        assert extraction([nested(depth)]).refused in ("", "nested too deeply")
    assert extraction([nested(100_000)]).refused == "nested too deeply"
    assert extraction([nested(100_000)[:60_000]]).refused == "nested too deeply"


@pytest.mark.parametrize("size", [65536, 65 * MIB])
def test_a_record_of_64_mib_is_read_and_a_larger_one_is_not(size: int) -> None:
    def outcome(length: int) -> tuple[str, int, tuple[int, int]]:
        record = with_text(b"x" * (length - len(with_text(b""))))
        document = b" [" + VALID + b", " + record + b" ]"
        found = extraction(chunked(document, [size] * (len(document) // size)))
        return found.refused, found.offset, found.counts

    assert outcome(64 * MIB) == ("", 0, (2, 0))
    assert outcome(64 * MIB + 1) == ("record larger than 64 MiB", 4 + len(VALID), (0, 0))


def test_white_space_has_no_limit() -> None:
    document = [b"[", *[b" " * MIB] * 20, VALID, *[b"\n" * MIB] * 20, b"]", *[b"\t" * MIB] * 20]

    assert extraction(document).counts == (1, 0)


def test_numbers_have_no_limit() -> None:
    digits = b"9" * 100_000
    document = b'[{"patient_id":"A","patient_name":"B","x":%b},%b,{"patient_id":-%b.5}]' % ((digits,) * 3)

    assert agree(extraction([document]), reference(document))


# The start, the filler and the end of documents with a record of 64 MiB.
AT_THE_LIMIT = {
    "valid": (b'[{"patient_id":"A","patient_name":"B","x":"', b"A", b'"}]'),
    "lone surrogates": (rb'[{"patient_id":"A","patient_name":"B","x":"', rb"\ud800\\\\" + b"A" * 54, b'"}]'),
    "NaN and a lone surrogate": (rb'[{"patient_id":1,"y":["\ud800",NaN],"x":"', b"A", b'"}]'),
    "Infinity": (b'[{"patient_id":"A","patient_name":"B","y":-Infinity,"x":"', b"A", b'"}]'),
    "invalid": (b'[{"patient_id":1,"x":"', b"A", b'"}]'),
    "invalid, alone": (b'{"patient_id":1,"x":"', b"A", b'"}'),
    "invalid field": (b'[{"patient_id":["', b"A", b'"]}]'),
    "invalid, wide": ('[{"patient_id":1,"y":"\U0001f600","x":"'.encode(), b"A", b'"}]'),
    "not UTF-8": (b'[{"patient_id":"\xff","x":"', b"A", b'"}]'),
    "NaN, alone, without the fields": (b'{"y":NaN,"x":"', b"A", b'"}'),
    "not an object": (b'["', b"A", b'"]'),
    "broken line": (b'{"patient_id":"A","patient_name":"B"}\n{"x":"', b"A", b'"x\n{}'),
}
COPIED = {
    "lone surrogates",
    "NaN and a lone surrogate",
    "Infinity",
    "NaN, alone, without the fields",
    "invalid field",
}


def memory_of(program: str) -> float:
    """Run a program that calls `extract` in a process of its own. Returns its peak memory in MB."""
    status = "print(re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1])"
    code = (
        f"import pathlib, re\nfrom chalicelib.extraction import extract\n{textwrap.dedent(program)}\n{status}"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    return int(done.stdout) / 1000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
class TestMemory:
    def test_it_stays_below_25_mb_and_does_not_grow_with_the_document(self) -> None:
        program = """
            record = b'{"patient_id":"A12345","patient_name":"Ikerian A","x":[1],"y":"%b"},' % (b"y" * 100)
            block = record * 1000
            source = (piece for part in ([b"["], (block for _ in range(BLOCKS)), [b"{}]"]) for piece in part)
            assert extract(source, len, len).rejected == 1
        """
        small = memory_of(program.replace("BLOCKS", "180"))
        large = memory_of(program.replace("BLOCKS", "1800"))

        assert large <= 25
        assert large <= small + 2

    def test_a_gzip_bomb_takes_time_but_no_memory(self) -> None:
        program = """
            import zlib
            pack = zlib.compressobj(wbits=31)
            bomb = b"".join(pack.compress(part) for part in (b"[", *[b" " * 1000000] * 200, b"{}]"))
            assert extract([bomb + pack.flush()], len, len).bytes_read < 1000000
        """
        assert memory_of(program) <= 25

    @pytest.mark.parametrize("value", [b"[]", b"1", rb'"\ud800"', b'{"a":{}}'])
    def test_a_record_full_of_values_takes_a_few_times_its_bytes(self, value: bytes) -> None:
        program = """
            many = (VALUE + b",") * (3500000 // (len(VALUE) + 1)) + VALUE
            record = b'{"patient_id":[' + many + rb'],"patient_name":"\\ud800","x":[' + many + b"]}"
            assert extract([b"[" + record + b"]"], len, len).rejected == 1
        """
        assert memory_of(program.replace("VALUE", repr(value))) <= 110

    @pytest.mark.parametrize("field", [b'"x":1', b'"x":NaN', rb'"x":"\ud800"', b'"patient_id":1'])
    def test_a_record_with_an_image_of_20_mb_takes_no_more_than_250(self, field: bytes) -> None:
        program = """
            start = b'[{"patient_id":"A","patient_name":"B",' + FIELD + b',"image":"'
            parts = [start], (b"A" * 65536 for _ in range(305)), [b'"}]']
            source = (piece for part in parts for piece in part)
            assert sum(extract(source, len, len)[:2]) == 1
        """
        assert memory_of(program.replace("FIELD", repr(field))) <= 250

    @pytest.mark.parametrize("kind", AT_THE_LIMIT)
    def test_a_record_at_the_limit_is_copied_once_at_most(self, kind: str) -> None:
        start, filler, end = AT_THE_LIMIT[kind]
        program = f"""
            start, filler, end = {start!r}, {filler!r} * (65536 // {len(filler)}), {end!r}
            parts = [start], (filler for _ in range((64 << 20) // len(filler) - 1)), [end]
            source = (piece for part in parts for piece in part)
            assert sum(extract(source, len, len)[:2]) == {3 if kind == "broken line" else 1}
        """
        assert memory_of(program) <= (160 if kind in COPIED else 95)

    def test_a_large_record_is_copied_once_if_the_document_ends_within_nan(self) -> None:
        program = """
            from chalicelib.malformed import MalformedScan, Reason
            parts = [b'[{"x":NaN,"y":"'], (b"A" * 65536 for _ in range(1000)), [b'","z":Na']
            source = (piece for part in parts for piece in part)
            try:
                extract(source, len, len)
            except MalformedScan as error:
                assert error.reason is Reason.TRUNCATED
            else:
                raise AssertionError
        """
        assert memory_of(program) <= 160


def test_a_document_that_stops_in_a_gzip_member_is_refused_after_its_records() -> None:
    packed = gzip.compress(hostile(MIB)["tiny"], mtime=0)
    processed: list[bytes] = []

    with pytest.raises(MalformedScan) as caught:
        extract([packed[: len(packed) // 2]], processed.append, processed.append)

    assert caught.value.reason == "truncated gzip"
    assert caught.value.offset == len(zlib.decompressobj(wbits=31).decompress(packed[: len(packed) // 2]))
    assert processed


def test_many_empty_gzip_members_before_a_document_change_nothing() -> None:
    document = gzip.compress(b"", mtime=0) * 5000 + gzip.compress(b"[]", mtime=0)

    assert extract([document], len, len) == Summary(0, 0, len(document))
