"""Decode the records of a batch: all at once, one by one, or split without decoding."""

from contextlib import suppress
from typing import Annotated, Any

from msgspec import DecodeError, Meta, Raw
from msgspec.json import Decoder

from chalicelib.json_scanner import Form
from chalicelib.masking import find_surrogate, mask, mask_surrogates, may_be_at_constant, may_have_constants
from chalicelib.reading import NOT_BLANK
from chalicelib.records import ScanRecord
from chalicelib.rows import copy_of_type

type Batch = bytes | memoryview


def _fast(kind: Any) -> Any:
    # The pattern of NOT_BLANK takes as long as everything else. Blank text is found in the output instead.
    return Annotated[str, Meta(min_length=1)] if kind == NOT_BLANK else kind


def _fast_or_masked(kind: Any) -> Any:
    return _fast(kind) | list[int] if kind == NOT_BLANK else kind


FastRecord = copy_of_type("FastRecord", ScanRecord, _fast)
MaskedRecord = copy_of_type("MaskedRecord", ScanRecord, _fast_or_masked)  # a masked NaN is a list
INVALID = Raw(b"")  # takes the place of a record that is not valid

decode_record = Decoder(FastRecord).decode
decode_records = {
    "array": Decoder(list[FastRecord]).decode,  # type: ignore[valid-type] # made at run time
    "lines": Decoder(FastRecord).decode_lines,
}
decode_masked = {
    "array": Decoder(list[MaskedRecord]).decode,  # type: ignore[valid-type] # made at run time
    "lines": Decoder(MaskedRecord).decode_lines,
}
decode_raw = {"array": Decoder(list[Raw]).decode, "lines": Decoder(Raw).decode_lines}


def split(text: Batch, form: Form) -> tuple[Batch | bytearray, list[Raw]]:
    """Split a batch into records. Returns what they are views of: the text, or a masked copy.

    DecodeError if the parser refuses both.
    """
    try:
        return text, decode_raw[form](text)
    except DecodeError as error:
        # Then no surrogate before it needs a mask.
        at_constant = may_be_at_constant(str(error))
    found = None
    if not at_constant and find_surrogate(text):
        found = _split(mask_surrogates(text), form)
    if not found and may_have_constants(text):
        found = _split(mask(text), form)
    if not found:
        raise DecodeError
    return found


def _split(text: bytearray, form: Form) -> tuple[bytearray, list[Raw]] | None:
    with suppress(DecodeError):
        return text, decode_raw[form](text)
    return None


def unmask(buffer: Batch | bytearray, text: Batch) -> None:
    """Copy the original text back into a masked copy, and so into all views of it."""
    if isinstance(buffer, bytearray):
        memoryview(buffer)[:] = text  # without a copy in between


def records_of(text: Batch, form: Form) -> list[Raw]:
    """Split a batch into records as they are in the document."""
    buffer, records = split(text, form)
    unmask(buffer, text)
    return records


def decode_each(raws: list[Raw]) -> tuple[list[Any], list[int]]:
    """Decode records one by one. Returns them, INVALID where that failed, and the indices of these."""
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
