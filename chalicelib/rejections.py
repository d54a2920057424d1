"""Encode rejected records, one on a line, each with its reason."""

from binascii import b2a_base64
from codecs import iterdecode
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import cast

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.json import Encoder

from chalicelib.reading import decode_fields, read


class RejectedRecord(Struct, omit_defaults=True, gc=False):
    """A record that was not extracted: its index in the document, from 0, the reason, and the whole record.

    `record` is the record as it came, without the line breaks between its values. If it is not valid UTF-8,
    `record_base64` has its exact bytes instead.
    """

    index: int
    reason: str
    record: Raw | UnsetType = UNSET
    record_base64: bytes | UnsetType = UNSET


encoder = Encoder()
encode, encode_lines = encoder.encode, encoder.encode_lines
LARGE = 1024 * 1024  # bytes of a record that is encoded in pieces
PIECE = 192 * 1024  # a multiple of 3, so that the pieces in base64 join to the base64 of the whole
# How the line of a document's first record begins if the record has none of the fields.
ALL_MISSING = encode(RejectedRecord(0, str(read(decode_fields(b"{}"))))).removesuffix(b"}")


def encode_rejected(records: Sequence[RejectedRecord], size: int) -> Iterator[bytes]:
    """Encode rejected records of at most `size` bytes in all.

    A large record is encoded in pieces, because a whole copy of it would take as much memory again.
    """
    if size >= LARGE or records[0].record is UNSET:
        yield from chain.from_iterable(map(_encode_in_pieces, records))
    else:
        lines = encode_lines(records)
        yield lines if _are_plain(lines, len(records)) else encode_lines(list(map(_encodable, records)))


def _are_plain(lines: bytes, records: int) -> bool:
    return lines.isascii() and lines.find(b"\r") < 0 and lines.count(b"\n") == records


def _encodable(rejected: RejectedRecord) -> RejectedRecord:
    text = bytes(rejected.record)  # type: ignore[arg-type] # it is set
    try:
        text.decode()
    except UnicodeDecodeError:
        return RejectedRecord(rejected.index, rejected.reason, record_base64=text)
    if b"\n" in text or b"\r" in text:
        return RejectedRecord(rejected.index, rejected.reason, Raw(_on_one_line(text)))
    return rejected


def _encode_in_pieces(rejected: RejectedRecord) -> Iterator[bytes]:
    exact = rejected.record is UNSET
    text = memoryview(cast("bytes", rejected.record_base64 if exact else rejected.record))
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    yield encode(RejectedRecord(rejected.index, rejected.reason)).removesuffix(b"}")
    if exact or not _is_utf8(map(bytes, pieces)):
        yield b',"record_base64":"'
        yield from (b2a_base64(piece, newline=False) for piece in pieces)
        yield b'"}\n'
    else:
        yield b',"record":'
        yield from (_on_one_line(bytes(piece)) for piece in pieces)
        yield b"}\n"


def _is_utf8(pieces: Iterable[bytes]) -> bool:
    try:
        for _ in iterdecode(pieces, "utf-8"):
            pass
    except UnicodeDecodeError:
        return False
    return True


def _on_one_line(text: bytes) -> bytes:
    # In JSON, a line break is never part of a value.
    return text.replace(b"\n", b"").replace(b"\r", b"")


def add_one_object_hint(line: bytes) -> bytes:
    """Add to the reason, if all fields are missing, that the document is one object."""
    hint = ALL_MISSING.removesuffix(b'"') + b'; the document is one object"'
    return line.replace(ALL_MISSING, hint, 1)
