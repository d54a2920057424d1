"""The contract: what is extracted of a record, what makes one valid, and what becomes of all else.

Records come as JSON, in batches, and leave as JSON, one on a line: the valid ones with the fields of
PatientRecord, the others as RejectedRecord.
"""

import json
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from msgspec import UNSET, DecodeError, Raw, Struct, UnsetType, ValidationError, defstruct, structs
from msgspec.json import Decoder, Encoder


# gc=False: records are in no reference cycle, so the collector need not look at them.
class PatientRecord(Struct, gc=False):
    """What is extracted from a record: text, in every field, that is more than white space.

    A field added here is required, extracted and named in reasons; nothing else has to change.
    """

    patient_id: str
    patient_name: str


class RejectedRecord(Struct, omit_defaults=True):
    """A record that was not extracted: its place in the document, counted from 0, why, and all of it.

    `record` is the record as it came, on one line: only line breaks between its values are gone. One that
    is not valid UTF-8 could not stand in a text; `record_base64` has its exact bytes instead.
    """

    index: int
    reason: str
    record: Raw | UnsetType = UNSET
    record_base64: bytes | UnsetType = UNSET


Reason = Literal[
    "empty",
    "neither an array nor an object",
    "not JSON",
    "truncated",
    "more after the end",
    "record larger than 8 MiB",
    "nested too deeply",
    "broken gzip",
    "truncated gzip",
]
"""Why a document is no use as a whole."""


class MalformedScan(Exception):  # noqa: N818 - it names a document, and what is wrong with it
    """The document as a whole is no use: why, and the byte of the decoded document where that shows.

    What is nested too deeply or too large shows where its record starts, broken gzip at the start.
    """

    def __init__(self, reason: Reason, offset: int) -> None:
        super().__init__(f"{reason} (byte {offset})")
        self.reason: Reason = reason
        self.offset = offset


class AnyObject(Struct):
    """An object that nobody looks into, and that takes no memory."""


FIELDS = PatientRecord.__struct_fields__

# They stand in a draft for a value that cannot be had.
MISSING = Raw(b"")
NOT_UTF8 = Raw(b"")

# The fields of PatientRecord: as what they turn out to be, and as JSON.
AnyValue = str | int | float | bool | None | AnyObject
DraftRecord = defstruct("DraftRecord", [(name, AnyValue, MISSING) for name in FIELDS], gc=False)
RawRecord = defstruct("RawRecord", [(name, Raw, MISSING) for name in FIELDS])

type Form = Literal["array", "lines"]
type Draft = Struct | None
"""A PatientRecord, a DraftRecord, or nothing for a record that is not an object."""

encode_lines = Encoder().encode_lines
decode_draft = Decoder(DraftRecord).decode
decode_fields = Decoder(RawRecord).decode
decode_text = Decoder(str).decode
decode_records = {"array": Decoder(list[PatientRecord]).decode, "lines": Decoder(PatientRecord).decode_lines}
decode_drafts = {
    "array": Decoder(list[DraftRecord]).decode,  # type: ignore[valid-type]
    "lines": Decoder(DraftRecord).decode_lines,
}
decode_raw = {"array": Decoder(list[Raw]).decode, "lines": Decoder(Raw).decode_lines}
# An encoded string that is empty, or begins like white space: only then the records are asked one by one.
find_blank = re.compile(rb':"["\x20\\\xc2\xe1-\xe3]').search


class Sorted(NamedTuple):
    """A batch: its valid records and its rejected ones, each encoded, one on a line, and counted."""

    valid: bytes
    valid_count: int
    rejected: bytes = b""
    rejected_count: int = 0


def sort_batch(text: bytes, form: Form, index: int) -> Sorted:
    """Sort the records of `text`, the first of which has `index`.

    DecodeError if it is not a whole array, or whole lines; RecursionError if it is nested too deeply.
    """
    try:
        records = decode_records[form](text)
        rows = encode_lines(records)
        if not find_blank(rows) or not _invalid(records):
            return Sorted(rows, len(records))
    except (ValidationError, UnicodeDecodeError):
        pass
    except DecodeError:
        if not _has_surrogates(text):
            raise
    raws = _raws(text, form)
    drafts = _drafts(text, form, raws)
    if form == "lines" and None in drafts:
        raise DecodeError  # msgspec does not mind what is between them
    return _sort(drafts, raws, index)


def legible(text: bytes) -> bytes:
    """Replace escaped surrogates, byte for byte: half a pair is JSON, but not to msgspec."""
    if not _has_surrogates(text):
        return text
    # An escaped backslash escapes nothing behind it.
    return text.replace(rb"\\", b"??").replace(rb"\ud", rb"\ue").replace(rb"\uD", rb"\ue")


def _has_surrogates(text: bytes) -> bool:
    return text.find(rb"\ud") >= 0 or text.find(rb"\uD") >= 0


def reason_to_reject(draft: Draft) -> str:
    """Name every field that is at fault, in their order, and never a value; empty for a valid record."""
    if draft is None:
        return "record: not an object"
    return "; ".join([f"{name}: {fault}" for name in FIELDS if (fault := _fault(getattr(draft, name)))])


def _fault(value: object) -> str:
    if isinstance(value, str):
        return "" if value.strip() else "blank"
    if value is MISSING:
        return "missing"
    return "not UTF-8" if value is NOT_UTF8 else "not a string"


def _raws(text: bytes, form: Form) -> list[Raw]:
    try:
        return decode_raw[form](text)
    except DecodeError:
        if not _has_surrogates(text):
            raise
    buffer = bytearray(legible(text))
    raws = decode_raw[form](buffer)
    buffer[:] = text  # of which they are views
    return raws


def _drafts(text: bytes, form: Form, raws: list[Raw]) -> Sequence[Draft]:
    try:
        return decode_drafts[form](text)
    except (DecodeError, UnicodeDecodeError):
        return [_read(bytes(raw)) for raw in raws]


def _sort(drafts: Sequence[Draft], raws: list[Raw], index: int) -> Sorted:
    bad = _invalid(drafts)
    good = [draft for i, draft in enumerate(drafts) if i not in bad]
    carried = [RejectedRecord(index + i, reason_to_reject(drafts[i]), raws[i]) for i in sorted(bad)]
    return Sorted(_encode_valid(good), len(good), _encode_rejected(carried), len(carried))


def _invalid(drafts: Sequence[Draft]) -> set[int]:
    return {
        index
        for name in FIELDS  # first: to ask record by record takes twice as long
        for index, draft in enumerate(drafts)
        if type(value := getattr(draft, name, None)) is not str or not value.strip()
    }


def _read(text: bytes) -> Draft:
    if not text.startswith(b"{"):
        return None
    try:
        return decode_draft(text)
    except (DecodeError, UnicodeDecodeError):
        return _read_patiently(text)


def _read_patiently(text: bytes) -> Draft:
    """Read an object that is not UTF-8, or has half a surrogate pair, or a number that fits nowhere."""
    buffer = bytearray(legible(text))
    fields = decode_fields(buffer)
    buffer[:] = text  # of which the fields are views
    return DraftRecord(*(_value(getattr(fields, name)) for name in FIELDS))


def _value(text: Raw) -> object:
    if text is MISSING or not bytes(text).startswith(b'"'):
        return text
    try:
        return decode_text(text)
    except UnicodeDecodeError:
        return NOT_UTF8
    except DecodeError:
        return _half_a_pair(bytes(text))


def _half_a_pair(text: bytes) -> object:
    try:
        return json.loads(text.decode())
    except UnicodeDecodeError:
        return NOT_UTF8


def _encode_valid(records: Sequence[Draft]) -> bytes:
    try:
        return encode_lines(records)
    except UnicodeEncodeError:
        return b"".join(map(_encode_patiently, records))


def _encode_patiently(record: Draft) -> bytes:
    try:
        return encode_lines([record])
    except UnicodeEncodeError:
        # Half a surrogate pair has no UTF-8: escaped, as it came, it is the same string.
        return json.dumps(structs.asdict(record), separators=(",", ":")).encode() + b"\n"  # type: ignore[arg-type]


def _encode_rejected(records: list[RejectedRecord]) -> bytes:
    lines = encode_lines(records)
    if lines.isascii() and lines.count(b"\n") == len(records) and lines.find(b"\r") < 0:
        return lines
    return encode_lines([_made_portable(record) for record in records])


def _made_portable(rejected: RejectedRecord) -> RejectedRecord:
    text = bytes(rejected.record or b"")
    try:
        text.decode()
    except UnicodeDecodeError:
        return RejectedRecord(rejected.index, rejected.reason, record_base64=text)
    # A line break in JSON is never part of a value.
    return RejectedRecord(rejected.index, rejected.reason, Raw(text.translate(None, b"\r\n")))
