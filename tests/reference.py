"""A reference implementation of the extraction: byte by byte, and strictly by RFC 8259.

Two things are accepted beyond the RFC: NaN and Infinity are values, and byte order marks are white space
between records. The reference is slow, and shares no code with the extraction. It has no limit for nesting;
the extraction may refuse a record that is nested more deeply than ENOUGH.
"""

import base64
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from chalicelib.extraction import extract
from chalicelib.malformed import MalformedScan

FIELDS = ("patient_id", "patient_name")
ENOUGH = 1000
MAX_DIGITS = 4300  # of an integer, by default, in Python
RECORD_LIMIT = 64 * 1024 * 1024
TOO_LARGE = "record larger than 64 MiB"
LINES_BEFORE = 64 * 1024
BOM = b"\xef\xbb\xbf"
# The first bytes of other formats, in hexadecimal, and their names in the reason.
MAGIC = {
    "504b0304": "zip",
    "504b0506": "zip",
    "425a68": "bzip2",
    "fd377a585a00": "xz",
    "28b52ffd": "zstd",
    "04224d18": "lz4",
    "377abcaf271c": "7z",
    "526172211a07": "rar",
    "50415231": "parquet",
    "4f626a01": "avro",
    "894844460d0a1a0a": "hdf5",
    "255044462d": "pdf",
}

SPACE = b" \t\n\r"
STRING = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')
NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
NUMBER_BEGUN = re.compile(rb"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:(?<=[0-9])[eE][+-]?[0-9]*)?)?")
ESCAPE_BEGUN = re.compile(rb'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{0,4})?')
LITERALS = (b"true", b"false", b"null", b"NaN", b"Infinity", b"-Infinity")


class StopError(Exception):
    """The document is not JSON from `offset` on. `start` is where the token at `offset` starts."""

    def __init__(self, reason: str, offset: int, start: int | None = None) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset
        self.start = offset if start is None else start


@dataclass
class Outcome:
    """The result of an extraction: its two outputs, or why it refused the document, and where."""

    processed: bytes = b""
    rejected: bytes = b""
    counts: tuple[int, int] = (0, 0)
    refused: str = ""
    offset: int = 0
    start: int = 0
    depth: int = field(default=0, compare=False)


@dataclass
class Scanner:
    """Reads a document byte by byte."""

    text: bytes
    at: int = 0
    depth: int = 0

    def space(self) -> None:
        while self.text[self.at : self.at + 1] and self.text[self.at] in SPACE:
            self.at += 1

    def next_record(self) -> bytes:
        """Pass over white space and byte order marks. Returns the next byte."""
        self.space()
        while self.text.startswith(BOM, self.at):
            self.at += len(BOM)
            self.space()
        return self.peek()

    def expect_between(self, wanted: bytes) -> bytes:
        """Expect one of some bytes between two records."""
        self.next_record()
        return self.expect(wanted)

    def peek(self) -> bytes:
        self.space()
        return self.text[self.at : self.at + 1]

    def expect(self, wanted: bytes) -> bytes:
        found = self.peek()
        if not found:
            raise StopError("truncated", self.at)
        if found not in wanted:
            raise StopError("not JSON", self.at)
        self.at += 1
        return found

    def value(self) -> bytes:
        """Read one value, whatever is in it, and return its bytes."""
        self.space()
        start, closing = self.at, bytearray()
        while True:
            self.depth = max(self.depth, len(closing))
            opened = self.peek()
            if opened in (b"[", b"{") and opened:
                self.at += 1
                if self.peek() != (b"]" if opened == b"[" else b"}"):
                    closing += b"]" if opened == b"[" else b"}"
                    self.key(closing)
                    continue
                self.depth = max(self.depth, len(closing) + 1)
                self.at += 1
            else:
                self.scalar()
            while closing and self.expect(b"," + closing[-1:]) != b",":
                closing.pop()
            if not closing:
                return self.text[start : self.at]
            self.key(closing)

    def key(self, closing: bytearray) -> None:
        if closing[-1:] == b"}":
            if self.peek() not in (b'"', b""):
                raise StopError("not JSON", self.at)
            self.string()
            self.expect(b":")

    def scalar(self) -> None:
        first = self.peek()
        if not first:
            raise StopError("truncated", self.at)
        if first == b'"':
            self.string()
        elif first in b"-0123456789" and not self.text.startswith(b"-I", self.at):
            self.number()
        else:
            self.literal()

    def string(self) -> None:
        start = self.at
        if not self.peek():
            raise StopError("truncated", self.at)
        good = STRING.match(self.text, self.at)
        assert good
        self.at = good.end()
        if self.text[self.at : self.at + 1] == b'"':
            self.at += 1
            return
        if escape := ESCAPE_BEGUN.match(self.text, self.at):
            self.at = escape.end()
        raise StopError("truncated" if self.at == len(self.text) else "not JSON", self.at, start)

    def number(self) -> None:
        start = self.at
        good, begun = NUMBER.match(self.text, start), NUMBER_BEGUN.match(self.text, start)
        assert begun
        if good and good.end() == begun.end():
            self.at = good.end()
            return
        end = begun.end()
        raise StopError("truncated" if end == len(self.text) else "not JSON", end, start)

    def literal(self) -> None:
        start = self.at
        for literal in LITERALS:
            if self.text.startswith(literal, start):
                self.at += len(literal)
                return
        for length in range(9, -1, -1):
            end = start + length
            if any(literal.startswith(self.text[start:end]) for literal in LITERALS):
                break
        end = min(end, len(self.text))
        raise StopError("truncated" if end == len(self.text) else "not JSON", end, start)


def reference(
    document: bytes,
    *,
    record_limit: int = RECORD_LIMIT,
    lines_before: int = LINES_BEFORE,
    records_key: str = "",
) -> Outcome:
    """Extract `document` by the reference."""
    try:
        text = decoded(document)
    except StopError as stop:
        return Outcome(refused=stop.reason, offset=stop.offset, start=stop.start)
    scanner = Scanner(text)
    try:
        raws = list(records(scanner, Limits(record_limit, lines_before), records_key))
    except StopError as stop:
        return Outcome(refused=stop.reason, offset=stop.offset, start=stop.start, depth=scanner.depth)
    return sorted_out(raws, scanner, records_key)


class Limits(NamedTuple):
    """The largest record, and how far before a broken line all lines must be records. Both in bytes."""

    record: int
    lines_before: int


class BrokenLine(bytes):
    """A line that is not JSON."""


def decoded(document: bytes) -> bytes:
    text = decompressed(document)
    if text.startswith(b"\x1f\x8b"):
        raise StopError("gzip within gzip", 0)
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        return from_utf16(text)
    return text


def from_utf16(text: bytes) -> bytes:
    units = text[2:]
    whole = units[: len(units) // 2 * 2].decode(
        "utf-16-le" if text.startswith(b"\xff\xfe") else "utf-16-be", "surrogatepass"
    )
    if len(units) % 2:  # half a character; a lone surrogate before it is part of it
        whole = (whole[:-1] if "\ud800" <= whole[-1:] < "\udc00" else whole) + "\N{REPLACEMENT CHARACTER}"
    return whole.encode("utf-8", "surrogatepass")


def decompressed(document: bytes) -> bytes:
    if not document.startswith(b"\x1f\x8b"):
        return document
    text, rest = b"", document
    while rest:
        if not rest.startswith(b"\x1f\x8b"):
            raise StopError("more after the end", len(text))
        member = zlib.decompressobj(wbits=31)
        try:
            text += member.decompress(rest)
        except zlib.error:
            raise StopError("broken gzip", 0) from None
        if not member.eof:
            raise StopError("truncated gzip", len(text))
        rest = member.unused_data.lstrip(b"\0")
    return text


def records(scanner: Scanner, limits: Limits, records_key: str) -> Iterator[bytes]:
    opening = scanner.next_record()
    if opening == b"[":
        yield from array(scanner, limits.record)
    elif opening == b"{" and records_key:
        yield from around(scanner, limits.record, records_key)
    elif opening == b"{":
        yield from lines(scanner, limits)
    elif opening:
        beginning = scanner.text[:16].hex()
        container = [name for magic, name in MAGIC.items() if beginning.startswith(magic)]
        raise StopError(container[0] if container else "neither an array nor an object", scanner.at)
    else:
        raise StopError("empty", scanner.at)
    if scanner.next_record():
        raise StopError("more after the end", scanner.at)


def array(scanner: Scanner, limit: int) -> Iterator[bytes]:
    scanner.expect(b"[")
    if scanner.next_record() == b"]":
        scanner.at += 1
        return
    yield within(scanner, limit)
    while scanner.expect_between(b",]") == b",":
        yield within(scanner, limit)


def around(scanner: Scanner, limit: int, records_key: str) -> Iterator[bytes]:
    """Yield the records under a key of the document, which is one object."""
    found = False
    scanner.expect(b"{")
    closed = scanner.next_record() == b"}"
    scanner.at += closed
    while not closed:
        if scanner.next_record() not in (b'"', b""):
            raise StopError("not JSON", scanner.at)
        key = within(scanner, limit)
        scanner.expect_between(b":")
        if (
            scanner.next_record() == b"["
            and json.loads(key.decode("utf-8", "surrogateescape")) == records_key
        ):
            if found:
                raise StopError("more than one list of records", scanner.at)
            found = True
            yield from array(scanner, limit)
        else:
            within(scanner, limit)
        closed = scanner.expect_between(b",}") == b"}"
        if not closed and scanner.next_record() == b"}":
            raise StopError("not JSON", scanner.at)
    if not found:
        raise StopError("no list of records", scanner.at)


def lines(scanner: Scanner, limits: Limits) -> Iterator[bytes]:
    broken_until = 0
    while scanner.next_record():
        start = scanner.at
        try:
            record = within(scanner, limits.record)
        except StopError as stop:
            end = end_of_broken_line(scanner.text, start, stop, limits, broken_until)
            if not end:
                raise
            yield BrokenLine(scanner.text[start:end].rstrip())
            scanner.at = broken_until = end
            continue
        yield record
        at = scanner.at
        if not record.endswith(b"}") and scanner.next_record() and scanner.at == at:
            raise StopError("not JSON", scanner.at)


def end_of_broken_line(text: bytes, start: int, stop: StopError, limits: Limits, broken_until: int) -> int:
    """Find the end of a broken line that is rejected alone; 0 if the document is malformed instead."""
    end = text.find(b"\n", start)
    if text[start : start + 1] != b"{":
        return 0
    following = end + 1
    while text.startswith(BOM, following):
        following += len(BOM)
    far = end < 0 or following - start > limits.record + 1 or stop.offset > end + 1
    if stop.reason != "not JSON" or far or text[following : following + 1] != b"{":
        return 0
    first = max(start - limits.lines_before, 0)
    if broken_until < first:  # start with the first whole line
        first = text.find(b"\n", first, start) + 1
        broken_until = first
        if not first:
            return 0
    *before, indent = text[broken_until:start].split(b"\n")
    space = SPACE + BOM
    return end if not indent.strip(space) and all(is_record(line.strip(space)) for line in before) else 0


def is_record(line: bytes) -> bool:
    scanner = Scanner(line)
    try:
        return not line or len(scanner.value()) == len(line)
    except StopError:
        return False


def within(scanner: Scanner, limit: int) -> bytes:
    scanner.next_record()
    start = scanner.at
    try:
        record = scanner.value()
    except StopError as stop:
        if stop.offset - start > limit:
            raise StopError(TOO_LARGE, start) from None
        raise
    if len(record) > limit:
        raise StopError(TOO_LARGE, start)
    return record


def sorted_out(raws: list[bytes], scanner: Scanner, records_key: str) -> Outcome:
    processed, rejected = [], []
    for index, raw in enumerate(raws):
        if not (reason := reason_of(raw)):
            processed.append(processed_line(raw))
            continue
        is_one_object = len(raws) == 1 and scanner.text.lstrip(SPACE + BOM).startswith(b"{")
        if is_one_object and not records_key and reason == reason_of(b"{}"):
            reason += "; the document is one object"
        rejected.append(rejected_line(index, reason, raw))
    output = b"[\n" + b",\n".join(processed) + b"\n]\n" if processed else b"[]\n"
    return Outcome(output, b"".join(rejected), (len(processed), len(rejected)), depth=scanner.depth)


def reason_of(raw: bytes) -> str:
    if isinstance(raw, BrokenLine):
        return "not JSON"
    if not raw.startswith(b"{"):
        return "record: not an object"
    return "; ".join(f"{name}: {fault}" for name in FIELDS if (fault := fault_of(value_of(raw, name))))


def value_of(record: bytes, name: str) -> bytes | None:
    """Find the value of a key in an object: the last one, if there are several."""
    found = None
    scanner = Scanner(record, 1)
    if not record.startswith(b"{") or scanner.peek() == b"}":
        return None
    while True:
        key = scanner.value()
        scanner.expect(b":")
        value = scanner.value()
        if json.loads(key.decode("utf-8", "surrogateescape")) == name:
            found = value
        if scanner.expect(b",}") == b"}":
            return found


def fault_of(value: bytes | None) -> str:
    if value is None:
        return "missing"
    if not value.startswith(b'"'):
        return "not a string"
    try:
        return "" if json.loads(value.decode()).strip() else "blank"
    except UnicodeDecodeError:
        return "not UTF-8"


def has_unusable_number(value: bytes) -> bool:
    """Tell whether a value has a number that no field takes: not finite, or an integer of too many digits.

    Of duplicate keys only the last one counts.
    """
    found = json.loads(value.decode(), parse_int=Digits, parse_float=Digits, parse_constant=Digits)
    return any(not is_usable(number) for number in numbers_in(found))


class Digits(str):
    """A number as it is written."""

    __slots__ = ()


def numbers_in(value: object) -> Iterator[Digits]:
    if isinstance(value, Digits):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from numbers_in(each)


def is_usable(number: str) -> bool:
    digits = number.lstrip("-")
    return len(digits) <= MAX_DIGITS if digits.isdigit() else abs(float(number)) < float("inf")


def processed_line(record: bytes) -> bytes:
    values = {name: json.loads((value_of(record, name) or b"").decode()) for name in FIELDS}
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="backslashreplace")  # UTF-8 has no lone surrogates


def rejected_line(index: int, reason: str, record: bytes) -> bytes:
    start = f'{{"index":{index},"reason":{json.dumps(reason)},'.encode()
    try:
        record.decode()
        exact = isinstance(record, BrokenLine)
    except UnicodeDecodeError:
        exact = True
    if exact:
        return start + b'"record_base64":"' + base64.b64encode(record) + b'"}\n'
    return start + b'"record":' + record.replace(b"\r", b"").replace(b"\n", b"") + b"}\n"


def extraction(chunks: Iterable[bytes]) -> Outcome:
    """Extract with the code under test."""
    processed, rejected = bytearray(), bytearray()
    try:
        summary = extract(chunks, processed.extend, rejected.extend)
    except MalformedScan as error:
        return Outcome(refused=error.reason, offset=error.offset, start=error.offset)
    return Outcome(bytes(processed), bytes(rejected), (summary.extracted, summary.rejected))


def chunked(document: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """Cut a document into chunks of these sizes, the rest in one; sizes of 0 give empty chunks."""
    at = 0
    for size in sizes:
        yield document[at : at + size]
        at += size
    yield document[at:]


def agree(found: Outcome, expected: Outcome) -> bool:
    """Compare a result with the reference. A misspelt token may be refused at any of its bytes."""
    if found == expected:
        return True
    if found.refused == "nested too deeply":
        return expected.depth > ENOUGH
    return (
        expected.refused != ""
        and expected.refused in found.refused
        and expected.start <= found.offset <= expected.offset
    )
