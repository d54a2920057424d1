"""Decode the records of a batch: all at once, one by one, or told apart and not decoded."""

from collections.abc import Iterator
from typing import Annotated, Any

from msgspec import DecodeError, Meta, Raw
from msgspec.json import Decoder

from chalicelib.json_scanner import Form
from chalicelib.legible import legible, without_halves
from chalicelib.records import ScanRecord, Text
from chalicelib.rows import twin


def _fast(kind: Any) -> Any:
    # A pattern costs as much as all the rest; what begins like white space is looked at afterwards.
    return Annotated[str, Meta(min_length=1)] if kind == Text else kind


FastRecord = twin("FastRecord", ScanRecord, _fast)
INVALID = Raw(b"")  # stands for a record that is not valid

decode_record = Decoder(FastRecord).decode
decode_records = {
    "array": Decoder(list[FastRecord]).decode,  # type: ignore[valid-type] # made at run time
    "lines": Decoder(FastRecord).decode_lines,
}
decode_raw = {"array": Decoder(list[Raw]).decode, "lines": Decoder(Raw).decode_lines}


def split(text: bytes, form: Form) -> tuple[bytearray, list[Raw]]:
    """Tell the records of a batch apart, in a copy that the parser can read."""
    for buffer in _made_readable(text):
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


def _made_readable(text: bytes) -> Iterator[bytearray]:
    yield bytearray(text)
    if (halves := without_halves(text)) != text:
        yield halves
    if (readable := legible(text)) != halves:
        yield readable


def decode_each(raws: list[Raw]) -> tuple[list[Any], list[int]]:
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
