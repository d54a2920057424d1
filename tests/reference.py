"""What the extraction has to give, worked out another way: one byte after the other, RFC 8259 to the letter.

Nothing of this is fast, and nothing of it is shared with the code that it judges. It has no limit to
nesting; what is nested more deeply than ENOUGH may be refused.
"""

import base64
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from chalicelib.extraction import MalformedScan, extract

FIELDS = ("patient_id", "patient_name")
ENOUGH = 1000
RECORD_LIMIT = 8 * 1024 * 1024

SPACE = b" \t\n\r"
STRING = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')
NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
NUMBER_BEGUN = re.compile(rb"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:(?<=[0-9])[eE][+-]?[0-9]*)?)?")
ESCAPE_BEGUN = re.compile(rb'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{0,4})?')
LITERALS = (b"true", b"false", b"null")


class StopError(Exception):
    """The document is no JSON from `offset` on; the token in which that shows begins at `start`."""

    def __init__(self, reason: str, offset: int, start: int | None = None) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset
        self.start = offset if start is None else start


@dataclass
class Outcome:
    """What an extraction gave: its two outputs, or why it refused the document, and where."""

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
        elif first in b"-0123456789":
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
        for length in (4, 3, 2, 1, 0):
            if any(literal.startswith(self.text[start : start + length]) for literal in LITERALS):
                break
        end = min(start + length, len(self.text))
        raise StopError("truncated" if end == len(self.text) else "not JSON", end, start)


def reference(document: bytes, *, record_limit: int = RECORD_LIMIT) -> Outcome:
    """Work out what an extraction of `document` gives."""
    try:
        text = decompressed(document)
    except StopError as stop:
        return Outcome(refused=stop.reason, offset=stop.offset, start=stop.start)
    scanner = Scanner(text, 3 if text.startswith(b"\xef\xbb\xbf") else 0)
    try:
        raws = list(records(scanner, record_limit))
    except StopError as stop:
        return Outcome(refused=stop.reason, offset=stop.offset, start=stop.start, depth=scanner.depth)
    return sorted_out(raws, scanner.depth)


def decompressed(document: bytes) -> bytes:
    text, rest = b"", document if document.startswith(b"\x1f\x8b") else b""
    while rest:
        member = zlib.decompressobj(wbits=31)
        try:
            text += member.decompress(rest)
        except zlib.error:
            raise StopError("broken gzip", 0) from None
        if not member.eof:
            raise StopError("truncated gzip", 0)
        rest = member.unused_data
    return text if document.startswith(b"\x1f\x8b") else document


def records(scanner: Scanner, limit: int) -> Iterator[bytes]:
    opening = scanner.peek()
    if opening == b"[":
        scanner.at += 1
        if scanner.peek() == b"]":
            scanner.at += 1
        else:
            yield within(scanner, limit)
            while scanner.expect(b",]") == b",":
                yield within(scanner, limit)
        if scanner.peek():
            raise StopError("more after the end", scanner.at)
    elif opening == b"{":
        while scanner.peek():
            record = within(scanner, limit)
            yield record
            after = scanner.text[scanner.at : scanner.at + 1]
            if not record.endswith(b"}") and after.strip(SPACE):
                raise StopError("not JSON", scanner.at)
    else:
        raise StopError("neither an array nor an object" if opening else "empty", scanner.at)


def within(scanner: Scanner, limit: int) -> bytes:
    scanner.space()
    start = scanner.at
    try:
        record = scanner.value()
    except StopError as stop:
        if stop.offset - start > limit:
            raise StopError("record larger than 8 MiB", start) from None
        raise
    if len(record) > limit:
        raise StopError("record larger than 8 MiB", start)
    return record


def sorted_out(raws: Iterable[bytes], depth: int) -> Outcome:
    processed, rejected = [], []
    for index, raw in enumerate(raws):
        faults = [f"{name}: {fault}" for name in FIELDS if (fault := fault_of(value_of(raw, name)))]
        reason = "; ".join(faults) if raw.startswith(b"{") else "record: not an object"
        if reason:
            rejected.append(rejected_line(index, reason, raw))
        else:
            processed.append(processed_line(raw))
    output = b"[\n" + b",\n".join(processed) + b"\n]\n" if processed else b"[]\n"
    return Outcome(output, b"".join(rejected), (len(processed), len(rejected)), depth=depth)


def value_of(record: bytes, name: str) -> bytes | None:
    """Find the last value that an object has under this key."""
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


def processed_line(record: bytes) -> bytes:
    values = {name: json.loads((value_of(record, name) or b"").decode()) for name in FIELDS}
    try:
        return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(values, separators=(",", ":")).encode()


def rejected_line(index: int, reason: str, record: bytes) -> bytes:
    start = f'{{"index":{index},"reason":{json.dumps(reason)},'.encode()
    try:
        record.decode()
    except UnicodeDecodeError:
        return start + b'"record_base64":"' + base64.b64encode(record) + b'"}\n'
    return start + b'"record":' + record.replace(b"\r", b"").replace(b"\n", b"") + b"}\n"


def extraction(chunks: Iterable[bytes]) -> Outcome:
    """Extract for real."""
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
    """Compare what was found with what is right.

    A misspelt token may be refused anywhere in it, and a document that is broken in two ways for either.
    """
    if found == expected:
        return True
    if found.refused == "nested too deeply":
        return expected.depth > ENOUGH
    if "gzip" in expected.refused:
        return bool(found.refused)
    return (
        found.refused == expected.refused
        and found.refused != ""
        and expected.start <= found.offset <= expected.offset
    )
