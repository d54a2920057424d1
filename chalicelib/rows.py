"""Records as they are written, one on a line: what is published of them, and what is rejected."""

import json
import re
from binascii import b2a_base64
from codecs import iterdecode
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, cast, get_type_hints

from msgspec import NODEFAULT, UNSET, Raw, Struct, UnsetType, convert, defstruct, field, structs, to_builtins
from msgspec.json import Encoder

from chalicelib.legible import SAMPLE
from chalicelib.reading import decode_texts, read
from chalicelib.records import PatientRecord, ScanRecord, Text


class RejectedRecord(Struct, omit_defaults=True, gc=False):
    """A record that was not extracted: its place in the document, counted from 0, why, and all of it.

    `record` is the record as it came, on one line: only line breaks between its values are gone. One that
    is not valid UTF-8 could not stand in a text; `record_base64` has its exact bytes instead.
    """

    index: int
    reason: str
    record: Raw | UnsetType = UNSET
    record_base64: bytes | UnsetType = UNSET


def twin(name: str, record: type[Struct], kind: Callable[[Any], Any]) -> Any:
    """Make a record of the same fields, as other types."""
    types = get_type_hints(record, include_extras=True)
    fields = [(each.name, kind(types[each.name]), _default(each)) for each in structs.fields(record)]
    # gc=False: records are in no reference cycle, so the collector need not look at them.
    return defstruct(name, fields, gc=False, kw_only=True)


def _default(of: structs.FieldInfo) -> Any:
    if of.default_factory is not NODEFAULT:
        return field(name=of.encode_name, default_factory=of.default_factory)
    return field(name=of.encode_name, default=of.default)


encoder = Encoder(enc_hook=lambda _odd_number: None)
encode, encode_lines = encoder.encode, encoder.encode_lines
in_ascii = json.JSONEncoder(separators=(",", ":")).encode  # fast, of a text

PublishedRecord = twin("PublishedRecord", PatientRecord, lambda _kind: Any)
ALL_PUBLISHED = ScanRecord.__struct_fields__ == PatientRecord.__struct_fields__
NOTHING_THERE = encode(RejectedRecord(0, str(read(decode_texts(b"{}"))))).removesuffix(b"}")
KEYS = {each.encode_name: json.dumps(each.encode_name) + ":" for each in structs.fields(PatientRecord)}
ALL_TEXT = ALL_PUBLISHED and all(each.type == Text for each in structs.fields(ScanRecord))

# Halves of surrogate pairs are made readable as characters of three bytes, the first of which is this one.
HALF = b"\xee"
FOLLOWING = bytes(range(0x80, 0xC0))
# What may look like one of these, or stand for something else when it is made readable.
find_others = re.compile(rb"\\(?:\\|u[eE])|\xee").search
MANY = SAMPLE // 2048
find_line_break = re.compile(rb"[\r\n]").search
LARGE = 1024 * 1024  # bytes of a record from which on there is no other copy of it
PIECE = 192 * 1024  # a multiple of 3: base64 of the pieces is base64 of the whole
find_pair = re.compile(rb"\\ud[89ab]..\\ud[c-f]").search


def published_rows(records: Sequence[Any]) -> bytes:
    """Encode valid records, or what `row` has made of them."""
    return encode_lines(records if ALL_PUBLISHED else list(map(_trimmed, records)))


def _trimmed(record: Any) -> Any:
    is_row = ALL_PUBLISHED or type(record) is Raw
    return record if is_row else convert(record, PublishedRecord, from_attributes=True)


def row(record: Struct) -> Raw:
    """Encode a record that may have half a surrogate pair."""
    published = _trimmed(record)
    try:
        return Raw(encode(published))
    except UnicodeEncodeError:
        # Half a pair has no UTF-8: escaped, as it came, it is the same string.
        members = [KEYS[name] + in_ascii(value) for name, value in to_builtins(published).items()]
        return Raw(f"{{{','.join(members)}}}".encode())


def has_many_halves(text: bytes | memoryview) -> bool:
    """Whether a text has many halves of pairs, or pairs, that `with_halves` may put back into its rows."""
    many = bytes(text[:SAMPLE]).count(rb"\ud") > MANY
    return many and ALL_TEXT and not find_others(text)


def with_halves(rows: bytes) -> bytes:
    """Put halves of pairs back into rows at once; nothing if there is more to it."""
    others = b"\\" in rows or b"\x7f" in rows or not rows.translate(None, HALF + FOLLOWING).isascii()
    if others:
        return b""
    rows = rows.decode().encode("ascii", "backslashreplace").replace(rb"\ue", rb"\ud")
    return b"" if find_pair(rows) else rows


def rejected_lines(records: Sequence[RejectedRecord], size: int) -> Iterator[bytes]:
    """Encode rejected records, `size` bytes or less, one on a line; large ones in pieces, without a copy."""
    if size >= LARGE:
        yield from chain.from_iterable(map(_line_in_pieces, records))
    elif _are_plain(records):
        yield encode_lines(records)
    else:
        yield encode_lines(list(map(_carried, records)))


def _are_plain(records: Sequence[RejectedRecord]) -> bool:
    text = b"".join([each.record for each in records if each.record is not UNSET])
    return text.isascii() and not find_line_break(text)


def _carried(rejected: RejectedRecord) -> RejectedRecord:
    if rejected.record is UNSET:
        return rejected
    text = bytes(rejected.record)
    if text.isascii() or _is_utf8([text]):
        return RejectedRecord(rejected.index, rejected.reason, Raw(_on_one_line(text)))
    return RejectedRecord(rejected.index, rejected.reason, record_base64=text)


def _line_in_pieces(rejected: RejectedRecord) -> Iterator[bytes]:
    exact = rejected.record is UNSET
    text = memoryview(cast("bytes", rejected.record_base64 if exact else rejected.record))
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    yield encode(RejectedRecord(rejected.index, rejected.reason)).removesuffix(b"}")
    if exact or not _is_utf8(map(bytes, pieces)):
        yield b',"record_base64":"'
        yield from (b2a_base64(piece, newline=False) for piece in pieces)
        yield b'"}\n'
    else:
        yield b',"record":'
        yield from (_on_one_line(bytes(piece)) for piece in pieces)
        yield b"}\n"


def _is_utf8(pieces: Iterable[bytes]) -> bool:
    try:
        for _ in iterdecode(pieces, "utf-8"):
            pass
    except UnicodeDecodeError:
        return False
    return True


def _on_one_line(text: bytes) -> bytes:
    """Leave out line breaks, which in JSON are never part of a value."""
    return text.replace(b"\n", b"").replace(b"\r", b"")


def said_of_one_object(line: bytes) -> bytes:
    """Add to a rejected record that lacks every field that it is the whole document."""
    return line.replace(NOTHING_THERE, NOTHING_THERE.removesuffix(b'"') + b'; the document is one object"', 1)
