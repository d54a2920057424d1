"""Records as they are written, one on a line: what is published of them, and what is rejected."""

import json
import re
from collections.abc import Callable, Sequence
from itertools import count, repeat
from typing import Any, get_type_hints

from msgspec import NODEFAULT, UNSET, Raw, Struct, UnsetType, convert, defstruct, field, structs, to_builtins
from msgspec.json import Encoder

from chalicelib.legible import SAMPLE
from chalicelib.malformed import Reason
from chalicelib.reading import NOT_BLANK, decode_texts, read
from chalicelib.records import PatientRecord, ScanRecord


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
NOTHING_THERE = f'{{"index":0,"reason":"{read(decode_texts(b"{}"))}'.encode()
KEYS = {each.encode_name: json.dumps(each.encode_name) + ":" for each in structs.fields(PatientRecord)}
ALL_TEXT = ALL_PUBLISHED and all(each.type == NOT_BLANK for each in structs.fields(ScanRecord))

# Halves of surrogate pairs are made readable as characters of three bytes, the first of which is this one.
HALF = b"\xee"
FOLLOWING = bytes(range(0x80, 0xC0))
# What may look like one of these, or stand for something else when it is made readable.
find_others = re.compile(rb"\\(?:\\|u[eE])|\xee").search
MANY = SAMPLE // 2048
find_line_break = re.compile(rb"[\r\n]").search
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


def rejected(index: int, reason: str, text: bytes) -> RejectedRecord:
    """Reject a record; a line break in JSON is never part of a value."""
    try:
        if not text.isascii():
            text.decode()
    except UnicodeDecodeError:
        return RejectedRecord(index, reason, record_base64=text)
    return RejectedRecord(index, reason, Raw(text.replace(b"\n", b"").replace(b"\r", b"")))


def all_rejected(first: int, reason: str, texts: list[Raw]) -> list[RejectedRecord]:
    """Reject records, one after another; at once if they are plain."""
    text = b"".join(texts)
    if text.isascii() and not find_line_break(text):
        return list(map(RejectedRecord, count(first), repeat(reason), texts))
    return list(map(rejected, count(first), repeat(reason), map(bytes, texts)))


def broken_line(index: int, line: bytes) -> bytes:
    """Reject a line that is no JSON."""
    return encode_lines([RejectedRecord(index, Reason.NOT_JSON, record_base64=line)])


def said_of_one_object(line: bytes) -> bytes:
    """Add to a rejected record that lacks every field that it is the whole document."""
    return line.replace(NOTHING_THERE, NOTHING_THERE + b"; the document is one object", 1)
