"""Sort a batch of records: the valid ones to be published, the others to be rejected, each with its reason.

Nearly all of them are valid. So they are decoded all at once, by a type that takes what can be told fast, and
only what that refuses, or what may be blank, is looked at by itself.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, repeat
from typing import Any, NamedTuple

from msgspec import DecodeError, Raw

from chalicelib.decoders import (
    INVALID,
    Batch,
    decode_each,
    decode_raw,
    decode_records,
    records_of,
    restore,
    split,
)
from chalicelib.json_scanner import Form
from chalicelib.legible import MARKS, without_halves
from chalicelib.reading import decode_texts, read
from chalicelib.rows import (
    ALL_PUBLISHED,
    RejectedRecord,
    encode_lines,
    has_many_halves,
    published_rows,
    row,
    with_halves,
)


class Sorted(NamedTuple):
    """A batch: its valid records, encoded, one on a line, and counted; and views of its rejected ones."""

    valid: bytes
    valid_count: int
    rejected: Sequence[RejectedRecord] = ()


NOT_AN_OBJECT = "record: not an object"

find_brace = re.compile(rb"\{").search
# Where a text begins like white space, in ASCII without escapes; and where it is nothing else, at all.
# A quote behind a colon opens a text, or closes one that ends with a colon: then no white space follows.
find_space = re.compile(rb':" ').search
find_blank = re.compile(
    rb':"(?=[\x20\\\xc2\xe1-\xe3])'  # is nearly never there, and is looked for faster
    rb"(?: |\\[tnrf]|\\u00(?:0b|1[c-f])|\xc2[\x85\xa0]|\xe1\x9a\x80"
    rb'|\xe2(?:\x80[\x80-\x8a\xa8\xa9\xaf]|\x81\x9f)|\xe3\x80\x80)+"'
).finditer


def sort_batch(text: Batch, form: Form, index: int) -> Sorted:
    """Sort the records of `text`, the first of which has `index`.

    DecodeError if it is not a whole array, or whole lines; RecursionError if it is nested too deeply.
    """
    try:
        records = decode_records[form](text)
    except (DecodeError, UnicodeDecodeError):
        return _sort_apart(text, form, index)
    rows = encode_lines(records)
    if blanks := _spans(rows, _blanks(rows), []):
        return _sorted(_singled_out(decode_raw[form](text), blanks), records, rows, blanks, index)
    return Sorted(rows if ALL_PUBLISHED else published_rows(records), len(records))


type Doubtful = tuple[int, Any, Raw]
"""A record to look at by itself: which it is of a batch, its fields if it is an object, all of it."""
type Spans = dict[int, tuple[int, int]]
"""Where the rows of some records are among the encoded ones, by which they are of a batch, in order."""


def _sort_apart(text: Batch, form: Form, index: int) -> Sorted:
    if form == "array" and not find_brace(text):
        return _sort_without_objects(text, index)
    return _sort_with_halves(text, form) or _sort_each(text, form, index)


def _sort_without_objects(text: Batch, index: int) -> Sorted:
    """Reject all: many and small as they may be."""
    records = records_of(text, "array")
    return Sorted(b"", 0, list(map(RejectedRecord, count(index), repeat(NOT_AN_OBJECT), records)))


def _sort_with_halves(text: Batch, form: Form) -> Sorted | None:
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


def _sort_each(text: Batch, form: Form, index: int) -> Sorted:
    buffer, raws = split(text, form)
    records, failed = decode_each(raws)
    rows = encode_lines(_valid(records) if failed else records)
    marks = MARKS if isinstance(buffer, bytearray) else ()
    places = [place for mark in marks for place in _places(rows, mark)]
    unsure = _spans(rows, sorted(_blanks(rows) + places), failed)
    doubtful = _singled_out(raws, sorted({*failed, *unsure}) if unsure else failed)
    if form == "lines" and any(texts is None for _, texts, _ in doubtful):
        raise DecodeError  # the parser does not mind what is between lines
    restore(buffer, text)
    if form == "array" and len(doubtful) == len(raws) == 1:
        doubtful = [(*doubtful[0][:2], _original(text, raws[0]))]
    return _sorted(doubtful, records, rows, unsure, index)


def _original(text: Batch, record: Raw) -> Raw:
    """View the one record of an array in it, not in a copy, which need not be kept then: it may be large."""
    within = memoryview(text)[1:-1]
    return Raw(within) if len(within) == len(memoryview(record)) else record


def _valid(records: list[Any]) -> list[Any]:
    return [record for record in records if record is not INVALID]


def _singled_out(raws: list[Raw], numbers: Iterable[int]) -> list[Doubtful]:
    return [(number, _texts(raws[number]), raws[number]) for number in numbers]


def _texts(record: Raw) -> Any:
    return decode_texts(record) if memoryview(record)[0] == ord("{") else None


def _sorted(doubtful: list[Doubtful], records: list[Any], rows: bytes, unsure: Spans, index: int) -> Sorted:
    """Look at what is doubtful: it is among `rows` if it is unsure, and not if it has failed."""
    refused = []
    all_there = ALL_PUBLISHED
    for number, texts, whole in doubtful:
        record = NOT_AN_OBJECT if texts is None else read(texts)
        if isinstance(record, str):
            refused.append(RejectedRecord(index + number, record, whole))
            records[number] = INVALID
        else:
            records[number] = row(record)
            all_there = all_there and number in unsure
    rows = _replaced(rows, unsure, records) if all_there else published_rows(_valid(records))
    return Sorted(rows, len(records) - len(refused), refused)


def _replaced(rows: bytes, spans: Spans, records: list[Any]) -> bytes:
    """Replace some rows by what has become of their records."""
    parts: list[bytes] = []
    passed = 0
    for number, (start, end) in spans.items():
        line = bytes(records[number])
        parts += rows[passed:start], line and line + b"\n"
        passed = end
    return b"".join([*parts, rows[passed:]]) if parts else rows


def _spans(rows: bytes, places: list[int], failed: list[int]) -> Spans:
    """Find the rows that these places are in. Records that have failed are not among the rows."""
    before = [number - failures for failures, number in enumerate(failed)]
    spans: Spans = {}
    number = start = end = 0
    for place in places:
        if place >= end:
            passed, start = start, rows.rfind(b"\n", end, place) + 1 or end
            end = rows.index(b"\n", place) + 1
            number += rows.count(b"\n", passed, start)
            spans[number + bisect_right(before, number)] = start, end
    return spans


def _blanks(rows: bytes) -> list[int]:
    """Find every row in which a text may be blank."""
    plain = rows.isascii() and rows.find(b"\\") < 0
    if plain and not find_space(rows):
        return []
    return [match.start() for match in find_blank(rows)]


def _places(rows: bytes, mark: bytes) -> Iterator[int]:
    place = rows.find(mark)
    while place >= 0:
        yield place
        place = rows.find(mark, place + 1)
