"""Encode the published fields of records as rows, one on a line, and find and replace rows in them."""

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, get_type_hints

from msgspec import NODEFAULT, Raw, Struct, convert, defstruct, field, structs, to_builtins
from msgspec.json import Encoder

from chalicelib.masking import MASK
from chalicelib.reading import NOT_BLANK
from chalicelib.records import PatientRecord, ScanRecord


def copy_of_type(name: str, record: type[Struct], new_type: Callable[[Any], Any]) -> Any:
    """Define a type with the same fields; `new_type` returns the type of each."""
    types = get_type_hints(record, include_extras=True)
    fields = [(each.name, new_type(types[each.name]), _default(each)) for each in structs.fields(record)]
    # gc=False: records are in no reference cycle, so the garbage collector can skip them.
    return defstruct(name, fields, gc=False, kw_only=True)


def _default(of: structs.FieldInfo) -> Any:
    if of.default_factory is not NODEFAULT:
        return field(name=of.encode_name, default_factory=of.default_factory)
    return field(name=of.encode_name, default=of.default)


encoder = Encoder()
encode, encode_lines = encoder.encode, encoder.encode_lines
encode_text = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

PublishedRecord = copy_of_type("PublishedRecord", PatientRecord, lambda _type: Any)
ALL_PUBLISHED = ScanRecord.__struct_fields__ == PatientRecord.__struct_fields__
KEYS = {each.encode_name: encode_text(each.encode_name) + ":" for each in structs.fields(PatientRecord)}
ALL_TEXT = ALL_PUBLISHED and all(each.type == NOT_BLANK for each in structs.fields(ScanRecord))

FEW_MASKS = 10  # different ones
# In UTF-8: masks that are no lone surrogates, but one of a pair, or Hangul from U+D000 to U+D7FF.
find_pair_or_hangul = re.compile(rb"\xee(?:[\x80-\x9f]|[\xa0-\xaf][\x80-\xbf]\xee[\xb0-\xbf])").search
UNMASK = bytes.maketrans(bytes(range(0xE0, 0xF0)), bytes(range(0xD0, 0xE0)))  # of the high byte, in UTF-16

# White space at the start of a string: find_space finds it in ASCII without escapes, find_blank finds a
# string that is nothing else, in any text. A quote behind a colon opens a string, or closes one that ends
# with a colon; in that case no white space follows.
find_space = re.compile(rb':" ').search
find_blank = re.compile(
    rb':"(?=[\x20\\\xc2\xe1-\xe3])'  # rarely found, and faster to search for than what follows
    rb"(?: |\\[tnrf]|\\u00(?:0b|1[c-f])|\xc2[\x85\xa0]|\xe1\x9a\x80"
    rb'|\xe2(?:\x80[\x80-\x8a\xa8\xa9\xaf]|\x81\x9f)|\xe3\x80\x80)+"'
).finditer

type RowSpans = dict[int, tuple[int, int]]
"""Start and end of some rows among the encoded ones, by the index of their record in the batch, in order."""


def encode_published(records: Sequence[Any]) -> bytes:
    """Encode the published fields of valid records, some of which may be encoded already."""
    return encode_lines(records if ALL_PUBLISHED else list(map(_published, records)))


def _published(record: Any) -> Any:
    is_published = ALL_PUBLISHED or type(record) is Raw
    return record if is_published else convert(record, PublishedRecord, from_attributes=True)


def encode_row(record: Struct) -> Raw:
    """Encode the published fields of a record that may have a lone surrogate."""
    published = _published(record)
    try:
        return Raw(encode(published))
    except UnicodeEncodeError:
        # UTF-8 has no surrogates. Escaped, as it came, it is the same string.
        members = [KEYS[name] + encode_text(value) for name, value in to_builtins(published).items()]
        return Raw(f"{{{','.join(members)}}}".encode(errors="backslashreplace"))


def unmask_rows(rows: bytes) -> bytes:
    """Put the surrogates back into rows of a masked text, whose fields are all text."""
    if not find_pair_or_hangul(rows) and (unmasked := _replace_masks(rows)):
        return unmasked
    units = bytearray(rows.decode().encode("utf-16-le"))
    units[1::2] = units[1::2].translate(UNMASK)
    return units.decode("utf-16-le", "surrogatepass").encode(errors="backslashreplace")


def _replace_masks(rows: bytes) -> bytes:
    """Replace a few different masks, each wherever it is. Returns nothing if there are more."""
    for _ in range(FEW_MASKS):
        start = rows.find(MASK)
        if start < 0:
            return rows
        mask = rows[start : start + 3]
        rows = rows.replace(mask, rf"\u{ord(mask.decode()) - 0x1000:x}".encode())
    return b""


def replace_rows(rows: bytes, spans: RowSpans, records: list[Any] | dict[int, Any]) -> bytes:
    """Replace each of these rows by the row of its record; remove it if the record is not valid."""
    parts: list[bytes] = []
    passed = 0
    for number, (start, end) in spans.items():
        line = bytes(records[number])
        parts += rows[passed:start], line and line + b"\n"
        passed = end
    return b"".join([*parts, rows[passed:]]) if parts else rows


def suspect_rows(rows: bytes, traces: Iterable[bytes], failed: list[int]) -> RowSpans:
    """Find the rows that have a blank string, or one of these traces. Undecoded records have no row."""
    places = [place for trace in traces for place in find_all(rows, trace)]
    return row_spans(rows, sorted(find_blanks(rows) + places), failed)


def row_spans(rows: bytes, places: list[int], failed: list[int]) -> RowSpans:
    """Return the start and end of each row that has one of these offsets. Undecoded records have no row."""
    before = [number - failures for failures, number in enumerate(failed)]
    spans: RowSpans = {}
    number = start = end = 0
    for place in places:
        if place >= end:
            passed, start = start, rows.rfind(b"\n", end, place) + 1 or end
            end = rows.index(b"\n", place) + 1
            number += rows.count(b"\n", passed, start)
            spans[number + bisect_right(before, number)] = start, end
    return spans


def find_blanks(rows: bytes) -> list[int]:
    """Find every place where a string is blank."""
    plain = rows.isascii() and rows.find(b"\\") < 0
    if plain and not find_space(rows):
        return []
    return [match.start() for match in find_blank(rows)]


def find_all(rows: bytes, wanted: bytes) -> Iterator[int]:
    """Yield every place where these bytes are."""
    place = rows.find(wanted)
    while place >= 0:
        yield place
        place = rows.find(wanted, place + 1)
