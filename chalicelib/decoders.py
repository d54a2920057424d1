"""Decode the records of a batch: all at once, one by one, or told apart and not decoded."""

from contextlib import suppress
from typing import Annotated, Any

from msgspec import DecodeError, Meta, Raw
from msgspec.json import Decoder

from chalicelib.json_scanner import Form
from chalicelib.legible import find_constants, find_halves, legible, without_halves
from chalicelib.records import ScanRecord, Text
from chalicelib.rows import twin

type Batch = bytes | memoryview


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


def split(text: Batch, form: Form) -> tuple[Batch | bytearray, list[Raw]]:
    """Tell the records of a batch apart: in itself, or in a copy that the parser can read."""
    with suppress(DecodeError):
        return text, decode_raw[form](text)
    buffer = _made_readable(text)
    return buffer, decode_raw[form](buffer)


def _made_readable(text: Batch) -> bytearray:
    if find_constants(text):
        return legible(text)
    if find_halves(text):
        return without_halves(text)
    raise DecodeError


def restore(buffer: Batch | bytearray, text: Batch) -> None:
    """Let records that were told apart in a copy be views of the text as it came."""
    if isinstance(buffer, bytearray):
        memoryview(buffer)[:] = text  # without a copy between the two


def records_of(text: Batch, form: Form) -> list[Raw]:
    """Tell the records of a batch apart."""
    buffer, records = split(text, form)
    restore(buffer, text)
    return records


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
