"""The contract: what is extracted of a record, what makes one valid, and what becomes of all else.

Records come as JSON, in batches, and leave as JSON, one on a line: the valid ones with the fields of
PatientRecord, the others as RejectedRecord.
"""

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Annotated, Literal, NamedTuple

from msgspec import UNSET, DecodeError, Meta, Raw, Struct, UnsetType, ValidationError, defstruct, structs
from msgspec.json import Decoder, Encoder


class PatientRecord(Struct):
    """What is extracted from a record: text, in every field, that is more than white space.

    A field added here is required, extracted and named in reasons; nothing else has to change.
    """

    patient_id: str
    patient_name: str


class RejectedRecord(Struct, omit_defaults=True, gc=False):
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

# gc=False: records are in no reference cycle, so the collector need not look at them.
FilledRecord = defstruct(
    "FilledRecord", [(name, Annotated[str, Meta(min_length=1)]) for name in FIELDS], gc=False
)

# They stand in a draft for a value that cannot be had.
MISSING = Raw(b"")
NOT_UTF8 = Raw(b"")

# The fields of PatientRecord: as what they turn out to be, and as JSON.
AnyValue = str | int | float | bool | None | AnyObject
DraftRecord = defstruct("DraftRecord", [(name, AnyValue, MISSING) for name in FIELDS], gc=False)
NOT_AN_OBJECT = DraftRecord()
RawRecord = defstruct("RawRecord", [(name, Raw, MISSING) for name in FIELDS])

type Form = Literal["array", "lines"]

encode_lines = Encoder().encode_lines
decode_draft = Decoder(DraftRecord).decode
decode_fields = Decoder(RawRecord).decode
decode_text = Decoder(str).decode
decode_records = {
    "array": Decoder(list[FilledRecord]).decode,  # type: ignore[valid-type]
    "lines": Decoder(FilledRecord).decode_lines,
}
decode_drafts = {
    "array": Decoder(list[DraftRecord]).decode,  # type: ignore[valid-type]
    "lines": Decoder(DraftRecord).decode_lines,
}
decode_raw = {"array": Decoder(list[Raw]).decode, "lines": Decoder(Raw).decode_lines}
# Where an encoded record has a value that is no text, or empty, or begins like white space. A text with a
# colon may look like that; and what looks different is valid.
find_suspects = re.compile(rb':(?!"[!#-\[\]-\xc1\xc3-\xe0\xe4-\xff])').finditer
# Where one has a text that begins like white space, in ASCII without escapes and in general. One that is
# empty is no FilledRecord.
find_space = re.compile(rb':" ').search
find_any_space = re.compile(rb':"[\x20\\\xc2\xe1-\xe3]').search


class Sorted(NamedTuple):
    """A batch: its valid records and its rejected ones, each encoded, one on a line, and counted."""

    valid: bytes
    valid_count: int
    rejected: bytes = b""
    rejected_count: int = 0


def sort_batch(text: bytes | memoryview, form: Form, index: int) -> Sorted:
    """Sort the records of `text`, the first of which has `index`.

    DecodeError if it is not a whole array, or whole lines; RecursionError if it is nested too deeply.
    """
    try:
        records = decode_records[form](text)
        rows = encode_lines(records)
        if not (_may_hold_blank(rows) and _holds_blank(records)):
            return Sorted(rows, len(records))
    except (ValidationError, UnicodeDecodeError):
        pass
    except DecodeError:
        text = bytes(text)
        if not _has_surrogates(text):
            raise
    return _sort_apart(bytes(text), form, index)


def _may_hold_blank(rows: bytes) -> bool:
    plain = rows.isascii() and rows.find(b"\\") < 0
    return bool(find_space(rows) if plain else find_any_space(rows))


def _holds_blank(records: Sequence[Struct]) -> bool:
    return any(not text.strip() for record in records for text in structs.astuple(record))


def _sort_apart(text: bytes, form: Form, index: int) -> Sorted:
    raws = _raws(text, form)
    drafts = _drafts(text, form, raws)
    if form == "lines" and any(draft is NOT_AN_OBJECT for draft in drafts):
        raise DecodeError  # msgspec does not mind what is between them
    rows = _encode(drafts)
    valid, rejected, passed = [], [], 0
    for i, line, end in _suspects(rows):
        if reason := reason_to_reject(drafts[i]):
            rejected.append(RejectedRecord(index + i, reason, raws[i]))
            valid.append(rows[passed:line])
            passed = end
    valid.append(rows[passed:])
    return Sorted(b"".join(valid), len(drafts) - len(rejected), _encode_rejected(rejected), len(rejected))


def _suspects(rows: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the index of every record that may be invalid, and where its line starts and ends."""
    index, end = -1, 0
    for suspect in find_suspects(rows):
        at = suspect.start()
        if at >= end:
            index += rows.count(b"\n", end, at) + 1
            line = rows.rfind(b"\n", end, at) + 1 or end
            end = rows.find(b"\n", at) + 1
            yield index, line, end


def legible(text: bytes) -> bytes:
    """Replace escaped surrogates, byte for byte: half a pair is JSON, but not to msgspec."""
    if not _has_surrogates(text):
        return text
    # An escaped backslash escapes nothing behind it.
    return text.replace(rb"\\", b"??").replace(rb"\ud", rb"\ue").replace(rb"\uD", rb"\ue")


def _has_surrogates(text: bytes) -> bool:
    return text.find(rb"\ud") >= 0 or text.find(rb"\uD") >= 0


def reason_to_reject(draft: Struct) -> str:
    """Name every field that is at fault, in their order, and never a value; empty for a valid record."""
    if draft is NOT_AN_OBJECT:
        return "record: not an object"
    return _reason(*map(_fault, structs.astuple(draft)))


@cache  # of faults there are few
def _reason(*faults: str) -> str:
    return "; ".join([f"{name}: {fault}" for name, fault in zip(FIELDS, faults, strict=True) if fault])


def _fault(value: object) -> str:
    if type(value) is str:
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


def _drafts(text: bytes, form: Form, raws: list[Raw]) -> Sequence[Struct]:
    try:
        return decode_drafts[form](text)
    except (DecodeError, UnicodeDecodeError):
        return [_read(bytes(raw)) for raw in raws]


def _read(text: bytes) -> Struct:
    if not text.startswith(b"{"):
        return NOT_AN_OBJECT
    try:
        return decode_draft(text)
    except (DecodeError, UnicodeDecodeError):
        return _read_patiently(text)


def _read_patiently(text: bytes) -> Struct:
    """Read an object that is not UTF-8, or has half a surrogate pair, or a number that fits nowhere."""
    buffer = bytearray(legible(text))
    fields = decode_fields(buffer)
    buffer[:] = text  # of which the fields are views
    return DraftRecord(*(_value(getattr(fields, name)) for name in FIELDS))


def _value(text: Raw) -> object:
    if text is MISSING:
        return MISSING
    if not bytes(text).startswith(b'"'):
        return None
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


def _encode(drafts: Sequence[Struct]) -> bytes:
    try:
        return encode_lines(drafts)
    except UnicodeEncodeError:
        return b"".join(map(_encode_patiently, drafts))


def _encode_patiently(draft: Struct) -> bytes:
    try:
        return encode_lines([draft])
    except UnicodeEncodeError:
        # Half a surrogate pair has no UTF-8: escaped, as it came, it is the same string.
        fields = structs.asdict(draft)
        return json.dumps(fields, separators=(",", ":"), default=lambda _value: None).encode() + b"\n"


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
