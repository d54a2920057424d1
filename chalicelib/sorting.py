"""Sort a batch of records into valid ones, which are published, and rejected ones, each with its reason.

Nearly all records are valid. So a whole batch is decoded at once, by a type whose checks are fast. Only the
records that this type refuses, and those that may be blank, are checked one by one.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import count, repeat
from typing import Any, NamedTuple

from msgspec import DecodeError, Raw

from chalicelib.decoders import (
    INVALID,
    Batch,
    decode_each,
    decode_masked,
    decode_raw,
    decode_records,
    records_of,
    split,
    unmask,
)
from chalicelib.json_scanner import Form
from chalicelib.masking import (
    MASK,
    MASK_TRACES,
    find_private,
    is_about_surrogate,
    mask,
    mask_surrogates,
    may_be_at_constant,
    may_have_constants,
)
from chalicelib.reading import decode_fields, read
from chalicelib.rejections import RejectedRecord
from chalicelib.rows import (
    ALL_PUBLISHED,
    ALL_TEXT,
    RowSpans,
    encode_lines,
    encode_published,
    encode_row,
    find_blanks,
    replace_rows,
    suspect_rows,
    unmask_rows,
)


class SortedBatch(NamedTuple):
    """The valid records of a batch, encoded one on a line, and how many; and its rejected ones, not encoded.

    The rejected records are views of the batch: encode them before its buffer changes.
    """

    valid: bytes
    valid_count: int
    rejected: Sequence[RejectedRecord] = ()


type Suspect = tuple[int, Any, Raw]
"""A record to check by itself: its index in the batch, its fields (None if it is no object), and its text."""

NOT_AN_OBJECT = "record: not an object"
TINY = 16  # bytes of a record, on average; records so small often repeat
FEW = 100  # distinct records; a batch of at most so many is sorted by sorting each of them once

find_brace = re.compile(rb"\{").search


def sort_batch(text: Batch, form: Form, index: int) -> SortedBatch:
    """Sort the records of `text`; `index` is the first one's index in the document.

    DecodeError if the text is not a whole array, or whole lines. RecursionError if it is nested too deeply.
    """
    try:
        records = decode_records[form](text)
    except (DecodeError, UnicodeDecodeError) as error:
        return _sort_refused(text, form, index, str(error))
    rows = encode_lines(records)
    if blanks := suspect_rows(rows, (), []):
        return _check(_suspects(decode_raw[form](text), blanks), records, rows, blanks, index)
    return SortedBatch(rows if ALL_PUBLISHED else encode_published(records), len(records))


def _sort_refused(text: Batch, form: Form, index: int, error: str) -> SortedBatch:
    """Sort a batch that the parser refuses as a whole, with this error."""
    if form == "array" and not find_brace(text):
        return _sort_without_objects(text, index)
    batch = _sort_surrogates(text, form) if is_about_surrogate(error) else None
    if may_be_at_constant(error) and may_have_constants(text):
        batch = _sort_constants(text, form, index)
    return batch or _sort_each(text, form, index)


def _sort_without_objects(text: Batch, index: int) -> SortedBatch:
    records = records_of(text, "array")
    return SortedBatch(b"", 0, list(map(RejectedRecord, count(index), repeat(NOT_AN_OBJECT), records)))


def _sort_surrogates(text: Batch, form: Form) -> SortedBatch | None:
    """Sort a text with escaped surrogates, if all its records are valid once these are masked."""
    if not ALL_TEXT or find_private(text):
        return None
    masked = mask_surrogates(text)
    if MASK in masked:  # characters, not escaped, that look like masks
        return None
    try:
        records = decode_records[form](masked)
    except (DecodeError, UnicodeDecodeError):
        return None
    rows = encode_lines(records)
    rows = b"" if find_blanks(rows) else unmask_rows(rows)
    return SortedBatch(rows, len(records)) if rows else None


def _sort_constants(text: Batch, form: Form, index: int) -> SortedBatch | None:
    """Sort a text with NaN or Infinity, if these are all that keeps the parser from decoding it at once."""
    masked = mask(text)
    try:
        records = decode_masked[form](masked)
    except (DecodeError, UnicodeDecodeError):
        return None
    rows = encode_lines(records)
    spans = suspect_rows(rows, MASK_TRACES, [])
    if len(records) == 1 and spans:  # it may be large
        return None
    suspects = _suspects(decode_raw[form](masked), spans) if spans else []
    unmask(masked, text)
    return _check(suspects, records, rows, spans, index)


def _sort_each(text: Batch, form: Form, index: int) -> SortedBatch:
    buffer, raws = split(text, form)
    are_tiny = form == "array" and buffer is text and len(raws) > max(FEW, len(text) // TINY)
    if are_tiny and (batch := _sort_repeated(raws, index)):
        return batch
    records, failed = decode_each(raws)
    rows = encode_lines(_valid(records) if failed else records)
    traces = MASK_TRACES if isinstance(buffer, bytearray) else ()
    spans = suspect_rows(rows, traces, failed)
    suspects = _suspects(raws, sorted({*failed, *spans}) if spans else failed)
    if form == "lines" and any(fields is None for _, fields, _ in suspects):
        raise DecodeError  # the parser accepts anything between lines
    unmask(buffer, text)
    if form == "array" and len(raws) == len(suspects) == 1:
        suspects = [(*suspects[0][:2], _original(text, raws[0]))]
    return _check(suspects, records, rows, spans, index)


def _sort_repeated(raws: list[Raw], index: int) -> SortedBatch | None:
    """Sort every distinct record once, if there are few of them and all are rejected."""
    texts = list(map(bytes, raws))
    distinct = set(texts)
    if len(distinct) > FEW:
        return None
    batches = {record: sort_batch(b"[" + record + b"]", "array", 0) for record in distinct}
    if any(batch.valid_count for batch in batches.values()):
        return None
    reasons = {record: batch.rejected[0].reason for record, batch in batches.items()}
    return SortedBatch(b"", 0, list(map(RejectedRecord, count(index), map(reasons.__getitem__, texts), raws)))


def _original(text: Batch, record: Raw) -> Raw:
    """View the only record of an array in the text itself, so that a large masked copy is freed."""
    within = memoryview(text)[1:-1]
    return Raw(within) if len(within) == len(memoryview(record)) else record


def _valid(records: list[Any]) -> list[Any]:
    return [record for record in records if record is not INVALID]


def _suspects(raws: list[Raw], numbers: Iterable[int]) -> list[Suspect]:
    return [(number, _fields(raws[number]), raws[number]) for number in numbers]


def _fields(record: Raw) -> Any:
    return decode_fields(record) if memoryview(record)[0] == ord("{") else None


def _check(
    suspects: list[Suspect], records: list[Any], rows: bytes, spans: RowSpans, index: int
) -> SortedBatch:
    """Check the suspects. `rows` has those that could be decoded; `spans` says where they are in it."""
    rejected = []
    in_place = ALL_PUBLISHED
    for number, fields, whole in suspects:
        record = NOT_AN_OBJECT if fields is None else read(fields)
        if isinstance(record, str):
            rejected.append(RejectedRecord(index + number, record, whole))
            records[number] = INVALID
        else:
            records[number] = encode_row(record)
            in_place = in_place and number in spans
    rows = replace_rows(rows, spans, records) if in_place else encode_published(_valid(records))
    return SortedBatch(rows, len(records) - len(rejected), rejected)
