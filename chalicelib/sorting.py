"""Sort a batch of records: the valid ones to be published, the others to be rejected, each with its reason.

Nearly all of them are valid. So they are decoded all at once, by a type that takes what can be told fast, and
only what that refuses, or what may be blank, is looked at by itself.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, NamedTuple, get_type_hints

from msgspec import (
    NODEFAULT,
    UNSET,
    DecodeError,
    Meta,
    Raw,
    Struct,
    UnsetType,
    convert,
    defstruct,
    field,
    structs,
    to_builtins,
)
from msgspec.json import Decoder, Encoder

from chalicelib.json_scanner import Form
from chalicelib.malformed import Reason
from chalicelib.reading import MARKS, decode_texts, legible, read, without_halves
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


class Sorted(NamedTuple):
    """A batch: its valid records and its rejected ones, each encoded, one on a line, and counted."""

    valid: bytes
    valid_count: int
    rejected: bytes = b""
    rejected_count: int = 0


def _fast(kind: Any) -> Any:
    # A pattern costs as much as all the rest; what begins like white space is looked at afterwards.
    return Annotated[str, Meta(min_length=1)] if kind == Text else kind


def _default(of: structs.FieldInfo) -> Any:
    if of.default_factory is not NODEFAULT:
        return field(name=of.encode_name, default_factory=of.default_factory)
    return field(name=of.encode_name, default=of.default)


def _twin(name: str, record: type[Struct], kind: Callable[[Any], Any]) -> Any:
    """Make a record of the same fields, as other types."""
    types = get_type_hints(record, include_extras=True)
    fields = [
        (
            each.name,
            kind(types[each.name]),
            _default(each),
        )
        for each in structs.fields(record)
    ]
    # gc=False: records are in no reference cycle, so the collector need not look at them.
    return defstruct(name, fields, gc=False, kw_only=True)


FastRecord = _twin("FastRecord", ScanRecord, _fast)
PublishedRecord = _twin("PublishedRecord", PatientRecord, lambda _kind: Any)
ALL_PUBLISHED = FastRecord.__struct_fields__ == PublishedRecord.__struct_fields__
NOTHING_THERE = f'{{"index":0,"reason":"{read(decode_texts(b"{}"))}'.encode()
INVALID = Raw(b"")  # stands for a record that is not valid

encoder = Encoder(enc_hook=lambda _odd_number: None)
encode, encode_lines = encoder.encode, encoder.encode_lines
ALL_TEXT = ALL_PUBLISHED and all(each.type == Text for each in structs.fields(ScanRecord))

# Halves of surrogate pairs, as they look when made readable and encoded; and what may look so, or otherwise.
HALVES = {chr(0xE000 + low).encode(): b"\\ud%03x" % low for low in range(0x800, 0x1000)}
HALF = b"\xee"
OTHERS = (rb"\\", rb"\ue", rb"\uE", b"NaN", b"Infinity")
find_halves = re.compile(rb"\xee[\xa0-\xbf][\x80-\xbf]").sub
find_pair = re.compile(rb"\\ud[89ab]..\\ud[c-f]").search

KEYS = {each.encode_name: json.dumps(each.encode_name) + ":" for each in structs.fields(PatientRecord)}
in_ascii = json.JSONEncoder(separators=(",", ":")).encode  # fast, of a text
decode_record = Decoder(FastRecord).decode
decode_records = {
    "array": Decoder(list[FastRecord]).decode,  # type: ignore[valid-type]
    "lines": Decoder(FastRecord).decode_lines,
}
decode_raw = {"array": Decoder(list[Raw]).decode, "lines": Decoder(Raw).decode_lines}

# Where a text begins like white space, in ASCII without escapes and in general; and where it is nothing else.
# A quote behind a colon opens a text, or closes one that ends with a colon: then no white space follows.
find_space = re.compile(rb':" ').search
find_any_space = re.compile(rb':"[\x20\\\xc2\xe1-\xe3]').search
find_blank = re.compile(
    rb':"(?: |\\[tnrf]|\\u00(?:0b|1[c-f])|\xc2[\x85\xa0]|\xe1\x9a\x80'
    rb'|\xe2(?:\x80[\x80-\x8a\xa8\xa9\xaf]|\x81\x9f)|\xe3\x80\x80)+"'
).finditer


def sort_batch(text: bytes | memoryview, form: Form, index: int) -> Sorted:
    """Sort the records of `text`, the first of which has `index`.

    DecodeError if it is not a whole array, or whole lines; RecursionError if it is nested too deeply.
    """
    try:
        records = decode_records[form](text)
    except (DecodeError, UnicodeDecodeError):
        return _sort_apart(bytes(text), form, index)
    rows = encode_lines(records)
    if blanks := _blanks(rows):
        return _sorted(_singled_out(decode_raw[form](text), blanks), records, index)
    return Sorted(rows if ALL_PUBLISHED else _published(records), len(records))


def broken_line(index: int, line: bytes) -> bytes:
    """Reject a line that is no JSON."""
    return encode_lines([RejectedRecord(index, Reason.NOT_JSON, record_base64=line)])


def said_of_one_object(line: bytes) -> bytes:
    """Add to a rejected record that lacks every field that it is the whole document."""
    return line.replace(NOTHING_THERE, NOTHING_THERE + b"; the document is one object", 1)


type Doubtful = tuple[int, Struct | None, Raw]
"""A record to look at by itself: which it is of a batch, its fields if it is an object, all of it."""


def _sort_apart(text: bytes, form: Form, index: int) -> Sorted:
    buffer, raws = split(text, form)
    records, failed = _decode_each(raws)
    rows = encode_lines(records)
    numbers = {*failed, *_blanks(rows)}
    if buffer != text:
        if not numbers and (halved := _with_halves(rows, text)):
            return Sorted(halved, len(records))
        numbers.update(_marked(rows))
    doubtful = _singled_out(raws, sorted(numbers))
    if form == "lines" and any(texts is None for _, texts, _ in doubtful):
        raise DecodeError  # the parser does not mind what is between lines
    buffer[:] = text  # of which they are views
    return _sorted(doubtful, records, index)


def split(text: bytes, form: Form) -> tuple[bytearray, list[Raw]]:
    """Tell the records of a batch apart, in a copy that the parser can read."""
    for readable in _made_readable(text):
        buffer = bytearray(readable)
        try:
            return buffer, decode_raw[form](buffer)
        except DecodeError:
            pass
    raise DecodeError


def _made_readable(text: bytes) -> Iterator[bytes]:
    yield text
    if (halves := without_halves(text)) != text:
        yield halves
    if (readable := legible(text)) != halves:
        yield readable


def _decode_each(raws: list[Raw]) -> tuple[list[Any], list[int]]:
    """Decode records one by one; returns them, and which have failed."""
    records: list[Any] = []
    failed = []
    rest = iter(raws)
    while True:
        try:
            records.extend(map(decode_record, rest))
        except (DecodeError, UnicodeDecodeError):
            failed.append(len(records))
            records.append(INVALID)
        else:
            return records, failed


def _singled_out(raws: list[Raw], numbers: list[int]) -> list[Doubtful]:
    return [(number, _texts(raws[number]), raws[number]) for number in numbers]


def _texts(record: Raw) -> Any:
    return decode_texts(record) if memoryview(record)[0] == ord("{") else None


def _sorted(doubtful: list[Doubtful], records: list[Any], index: int) -> Sorted:
    rejected = []
    for number, texts, whole in doubtful:
        record = "record: not an object" if texts is None else read(texts)
        if isinstance(record, str):
            rejected.append(_rejected(index + number, record, bytes(whole)))
            records[number] = INVALID
        else:
            records[number] = _row(record)
    valid = [record for record in records if record is not INVALID] if rejected else records
    return Sorted(_published(valid), len(valid), encode_lines(rejected), len(rejected))


def _blanks(rows: bytes) -> list[int]:
    """Count to every row in which a text may be blank."""
    plain = rows.isascii() and rows.find(b"\\") < 0
    if not (find_space(rows) if plain else find_any_space(rows)):
        return []
    return _numbers(rows, find_blank(rows))


def _with_halves(rows: bytes, text: bytes) -> bytes:
    """Put many halves of pairs back into rows at once; nothing if they are few, or not all there is to it."""
    few = rows.count(HALF) * 8 < rows.count(b"\n")
    if few or not ALL_TEXT or any(other in text for other in (HALF, *OTHERS)):
        return b""
    rows = find_halves(lambda half: HALVES[half[0]], rows)
    plain = rows.isascii() and b"\x7f" not in rows
    return rows if plain and not find_pair(rows) else b""


def _marked(rows: bytes) -> list[int]:
    """Count to every row in which something may be that was made readable."""
    matches = (re.finditer(re.escape(mark) + rb"[^\n]*", rows) for mark in MARKS if mark in rows)
    return [number for found in matches for number in _numbers(rows, found)]


def _numbers(rows: bytes, matches: Iterator[re.Match[bytes]]) -> list[int]:
    """Count to every row in which something is found."""
    numbers = set()
    number = passed = 0
    for match in matches:
        place = match.start()
        number += rows.count(b"\n", passed, place)
        passed = place
        numbers.add(number)
    return sorted(numbers)


def _published(records: Sequence[Any]) -> bytes:
    return encode_lines(records if ALL_PUBLISHED else list(map(_trimmed, records)))


def _trimmed(record: Any) -> Any:
    is_row = ALL_PUBLISHED or type(record) is Raw
    return record if is_row else convert(record, PublishedRecord, from_attributes=True)


def _row(record: Struct) -> Raw:
    """Encode a record that may have half a surrogate pair."""
    published = _trimmed(record)
    try:
        return Raw(encode(published))
    except UnicodeEncodeError:
        # Half a pair has no UTF-8: escaped, as it came, it is the same string.
        members = [KEYS[name] + in_ascii(value) for name, value in to_builtins(published).items()]
        return Raw(f"{{{','.join(members)}}}".encode())


def _rejected(index: int, reason: str, text: bytes) -> RejectedRecord:
    try:
        if not text.isascii():
            text.decode()
    except UnicodeDecodeError:
        return RejectedRecord(index, reason, record_base64=text)
    if b"\n" in text or b"\r" in text:
        text = text.translate(None, b"\r\n")  # in JSON they are never part of a value
    return RejectedRecord(index, reason, Raw(text))
