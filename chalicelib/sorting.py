"""Sort a batch of records: the valid ones to be published, the others to be rejected, each with its reason.

Nearly all of them are valid. So they are decoded all at once, by a type that takes what can be told fast, and
only what that refuses, or what may be blank, is looked at by itself.
"""

import re
from collections.abc import Iterator
from itertools import count, repeat
from typing import Annotated, Any, NamedTuple

from msgspec import DecodeError, Meta, Raw, Struct
from msgspec.json import Decoder

from chalicelib.json_scanner import Form
from chalicelib.reading import MARKS, decode_texts, legible, read, without_halves
from chalicelib.records import ScanRecord, Text
from chalicelib.rows import (
    ALL_PUBLISHED,
    encode_lines,
    has_many_halves,
    published_rows,
    rejected,
    row,
    twin,
    with_halves,
)


class Sorted(NamedTuple):
    """A batch: its valid records and its rejected ones, each encoded, one on a line, and counted."""

    valid: bytes
    valid_count: int
    rejected: bytes = b""
    rejected_count: int = 0


def _fast(kind: Any) -> Any:
    # A pattern costs as much as all the rest; what begins like white space is looked at afterwards.
    return Annotated[str, Meta(min_length=1)] if kind == Text else kind


FastRecord = twin("FastRecord", ScanRecord, _fast)
NOT_AN_OBJECT = "record: not an object"
INVALID = Raw(b"")  # stands for a record that is not valid

decode_record = Decoder(FastRecord).decode
decode_records = {
    "array": Decoder(list[FastRecord]).decode,  # type: ignore[valid-type] # made at run time
    "lines": Decoder(FastRecord).decode_lines,
}
decode_raw = {"array": Decoder(list[Raw]).decode, "lines": Decoder(Raw).decode_lines}

# Where a text begins like white space, in ASCII without escapes; and where it is nothing else, at all.
# A quote behind a colon opens a text, or closes one that ends with a colon: then no white space follows.
find_space = re.compile(rb':" ').search
find_blank = re.compile(
    rb':"(?=[\x20\\\xc2\xe1-\xe3])'  # is nearly never there, and is looked for faster
    rb"(?: |\\[tnrf]|\\u00(?:0b|1[c-f])|\xc2[\x85\xa0]|\xe1\x9a\x80"
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
    return Sorted(rows if ALL_PUBLISHED else published_rows(records), len(records))


type Doubtful = tuple[int, Struct | None, Raw]
"""A record to look at by itself: which it is of a batch, its fields if it is an object, all of it."""


def _sort_apart(text: bytes, form: Form, index: int) -> Sorted:
    if form == "array" and b"{" not in text:
        return _sort_without_objects(text, index)
    return _sort_with_halves(text, form) or _sort_each(text, form, index)


def _sort_without_objects(text: bytes, index: int) -> Sorted:
    """Reject all: many and small as they may be."""
    records = map(bytes, records_of(text, "array"))
    refused = list(map(rejected, count(index), repeat(NOT_AN_OBJECT), records))
    return Sorted(b"", 0, encode_lines(refused), len(refused))


def _sort_with_halves(text: bytes, form: Form) -> Sorted | None:
    """Sort a text with many halves of surrogate pairs, if it has nothing else that is odd."""
    if not has_many_halves(text):
        return None
    try:
        records = decode_records[form](without_halves(text))
    except (DecodeError, UnicodeDecodeError):
        return None
    rows = encode_lines(records)
    rows = b"" if _blanks(rows) else with_halves(rows)
    return Sorted(rows, len(records)) if rows else None


def _sort_each(text: bytes, form: Form, index: int) -> Sorted:
    buffer, raws = split(text, form)
    records, failed = _decode_each(raws)
    rows = encode_lines(_valid(records) if failed else records)
    unsure = _blanks(rows)
    if buffer != text:
        unsure += _marked(rows)
    doubtful = _singled_out(raws, _merged(records, failed, unsure) if unsure else failed)
    if form == "lines" and any(texts is None for _, texts, _ in doubtful):
        raise DecodeError  # the parser does not mind what is between lines
    buffer[:] = text  # of which they are views
    return _sorted(doubtful, records, index, b"" if unsure else rows)


def _merged(records: list[Any], failed: list[int], unsure: list[int]) -> list[int]:
    """Merge the numbers; those of what is unsure count only records that have not failed."""
    if failed:
        there = [number for number, record in enumerate(records) if record is not INVALID]
        unsure = [there[number] for number in unsure]
    return sorted({*failed, *unsure})


def split(text: bytes, form: Form) -> tuple[bytearray, list[Raw]]:
    """Tell the records of a batch apart, in a copy that the parser can read."""
    for readable in _made_readable(text):
        buffer = bytearray(readable)
        try:
            return buffer, decode_raw[form](buffer)
        except DecodeError:
            pass
    raise DecodeError


def records_of(text: bytes, form: Form) -> list[Raw]:
    """Tell the records of a batch apart."""
    buffer, records = split(text, form)
    buffer[:] = text  # of which they are views
    return records


def _made_readable(text: bytes) -> Iterator[bytes]:
    yield text
    if (readable := legible(text)) != text:
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


def _sorted(doubtful: list[Doubtful], records: list[Any], index: int, rows: bytes = b"") -> Sorted:
    """Look at what is doubtful; `rows` are all others, if they have been encoded."""
    refused = []
    for number, texts, whole in doubtful:
        record = NOT_AN_OBJECT if texts is None else read(texts)
        if isinstance(record, str):
            refused.append(rejected(index + number, record, bytes(whole)))
            records[number] = INVALID
        else:
            records[number] = row(record)
    if not (rows and ALL_PUBLISHED and len(refused) == len(doubtful)):
        rows = published_rows(_valid(records))
    return Sorted(rows, len(records) - len(refused), encode_lines(refused), len(refused))


def _valid(records: list[Any]) -> list[Any]:
    return [record for record in records if record is not INVALID]


def _blanks(rows: bytes) -> list[int]:
    """Count to every row in which a text may be blank."""
    plain = rows.isascii() and rows.find(b"\\") < 0
    if plain and not find_space(rows):
        return []
    return _numbers(rows, find_blank(rows))


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
