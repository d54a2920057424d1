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
from chalicelib.reading import find_mark, legible, read, without_halves
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
NOTHING_THERE = f'{{"index":0,"reason":"{read(b"{}")}'.encode()
INVALID = Raw(b"")  # stands for a record that is not valid

encode_lines = Encoder(enc_hook=lambda _odd_number: None).encode_lines
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
    blanks = _lines_with(find_blank, rows) if _may_hold_blank(rows) else []
    if blanks:
        return _sorted(decode_raw[form](text), records, blanks, form, index)
    return Sorted(rows if ALL_PUBLISHED else _published(records), len(records))


def broken_line(index: int, line: bytes) -> bytes:
    """Reject a line that is no JSON."""
    return encode_lines([RejectedRecord(index, Reason.NOT_JSON, record_base64=line)])


def said_of_one_object(line: bytes) -> bytes:
    """Add to a rejected record that lacks every field that it is the whole document."""
    return line.replace(NOTHING_THERE, NOTHING_THERE + b"; the document is one object", 1)


def _sort_apart(text: bytes, form: Form, index: int) -> Sorted:
    buffer, raws = _raws(text, form)
    records = _decode_each(raws)
    rows = _encode(records)
    doubtful = [i for i, record in enumerate(records) if record is INVALID]
    if _may_hold_blank(rows):
        doubtful += _lines_with(find_blank, rows)
    if buffer != text:
        doubtful += _lines_with(find_mark, rows)
        buffer[:] = text  # of which the raws are views
    return _sorted(raws, records, sorted(set(doubtful)), form, index)


def _raws(text: bytes, form: Form) -> tuple[bytearray, list[Raw]]:
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


def _decode_each(raws: list[Raw]) -> list[Any]:
    records: list[Any] = []
    rest = iter(raws)
    while True:
        try:
            records.extend(map(decode_record, rest))
        except (DecodeError, UnicodeDecodeError):
            records.append(INVALID)
        else:
            return records


def _sorted(raws: list[Raw], records: list[Any], doubtful: list[int], form: Form, index: int) -> Sorted:
    rejected = []
    for i in doubtful:
        text = bytes(raws[i])
        if form == "lines" and not text.startswith(b"{"):
            raise DecodeError  # the parser does not mind what is between lines
        if isinstance(record := read(text), str):
            rejected.append(RejectedRecord(index + i, record, raws[i]))
        records[i] = INVALID if isinstance(record, str) else record
    valid = [record for record in records if record is not INVALID] if rejected else records
    return Sorted(_published(valid), len(valid), _encode_rejected(rejected), len(rejected))


def _may_hold_blank(rows: bytes) -> bool:
    plain = rows.isascii() and rows.find(b"\\") < 0
    return bool(find_space(rows) if plain else find_any_space(rows))


def _lines_with(find: Callable[[bytes], Iterator[re.Match[bytes]]], rows: bytes) -> list[int]:
    """Count to every line in which something is found."""
    lines: list[int] = []
    line = passed = 0
    for match in find(rows):
        line += rows.count(b"\n", passed, match.start())
        passed = match.start()
        if not lines or lines[-1] != line:
            lines.append(line)
    return lines


def _published(records: Sequence[Any]) -> bytes:
    if not ALL_PUBLISHED:
        records = [convert(record, PublishedRecord, from_attributes=True) for record in records]
    return _encode(records)


def _encode(records: Sequence[Any]) -> bytes:
    try:
        return encode_lines(records)
    except UnicodeEncodeError:
        return b"".join(map(_encode_patiently, records))


def _encode_patiently(record: Any) -> bytes:
    try:
        return encode_lines([record])
    except UnicodeEncodeError:
        # Half a surrogate pair has no UTF-8: escaped, as it came, it is the same string.
        return json.dumps(to_builtins(record), separators=(",", ":")).encode() + b"\n"


def _encode_rejected(records: list[RejectedRecord]) -> bytes:
    lines = encode_lines(records)
    try:
        lines.decode()
        portable = lines.count(b"\n") == len(records) and lines.find(b"\r") < 0
    except UnicodeDecodeError:
        portable = False
    return lines if portable else encode_lines([_made_portable(record) for record in records])


def _made_portable(rejected: RejectedRecord) -> RejectedRecord:
    text = bytes(rejected.record or b"")
    try:
        text.decode()
    except UnicodeDecodeError:
        return RejectedRecord(rejected.index, rejected.reason, record_base64=text)
    # A line break in JSON is never part of a value.
    return RejectedRecord(rejected.index, rejected.reason, Raw(text.translate(None, b"\r\n")))
