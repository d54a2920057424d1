"""The extraction: bytes of retina scans in; processed and rejected records out. It knows no AWS.

A document is a JSON array of records, or one record, or records one after another (JSON Lines, or any
white space between them), in UTF-8 with or without a byte order mark, plain or gzip. It flows through in
batches of whole records, which `json_batches` cuts; memory does not grow with it.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from msgspec import UNSET, DecodeError, Raw, ValidationError, defstruct, structs
from msgspec.json import Decoder, Encoder

from chalicelib.json_batches import BLOCK, MalformedScan, sift
from chalicelib.records import (
    FIELDS,
    NOT_AN_OBJECT,
    NotText,
    PatientRecord,
    RejectedRecord,
    reason_to_reject,
)

__all__ = ["REVISION", "MalformedScan", "Summary", "decoded", "extract"]

REVISION = "1"
"""Changes whenever the output for some input would, so that a replay redoes what was published before."""

type Write = Callable[[bytes], object]

# The fields as they are, whatever they are: what a batch with an invalid record is read as.
Draft = defstruct("Draft", [(name, Any, UNSET) for name in FIELDS], gc=False)
encode = Encoder()
records_of = {False: Decoder(list[PatientRecord]).decode, True: Decoder(PatientRecord).decode_lines}
drafts_of = {False: Decoder(list[Draft]).decode, True: Decoder(Draft).decode_lines}  # type: ignore[valid-type]
raws_of = {False: Decoder(list[Raw]).decode, True: Decoder(Raw).decode_lines}


class Summary(NamedTuple):
    """What became of a document: records extracted and rejected, and bytes taken from the source."""

    extracted: int
    rejected: int
    bytes_read: int


def extract(source: Iterable[bytes], processed: Write, rejected: Write) -> Summary:
    """Write the valid records of a document to `processed` and the others to `rejected`, in order.

    `processed` gets a JSON array with one record on each line (`[]` if there is none), `rejected` JSON
    Lines of RejectedRecord. Both are written while the source is read: when this raises, discard them.
    Raises MalformedScan; what `source`, `processed` and `rejected` raise passes through.
    """
    taken = _Counted(source)
    sieve = _Sieve(processed, rejected)
    sift(decoded(taken), sieve)
    sieve.close()
    return Summary(sieve.extracted, sieve.rejected, taken.size)


def decoded(source: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the document itself: gzip, told by its first two bytes, is decompressed; all else is as it is.

    A gzip document yields pieces of at most 64 KiB. Raises MalformedScan for broken gzip.
    """
    chunks = filter(None, source)
    head = next(chunks, b"")
    while head == b"\x1f" and (more := next(chunks, b"")):
        head += more
    if head.startswith(b"\x1f\x8b"):
        yield from _decompressed(head, chunks)
    else:
        yield from filter(None, (head,))
        yield from chunks


def _decompressed(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    member = zlib.decompressobj(wbits=31)
    rest = head
    try:
        while rest or (rest := next(chunks, b"")):
            if member.eof:
                member = zlib.decompressobj(wbits=31)
            piece = member.decompress(rest, BLOCK)
            size += len(piece)
            yield piece
            rest = member.unused_data if member.eof else member.unconsumed_tail
    except zlib.error:
        raise MalformedScan("broken gzip", size) from None
    if not member.eof:
        raise MalformedScan("truncated gzip", size)


class _Counted:
    """The source, and how many bytes were taken from it."""

    def __init__(self, source: Iterable[bytes]) -> None:
        self._source = source
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._source:
            self.size += len(chunk)
            yield chunk


class _Sieve:
    """Judges records, and writes each where it belongs."""

    def __init__(self, processed: Write, rejected: Write) -> None:
        self._processed = processed
        self._rejected = rejected
        self.extracted = 0
        self.rejected = 0

    def batch(self, text: bytes, *, lines: bool) -> bool:
        try:
            if lines and b"}{" in text:
                return False
            try:
                records = records_of[lines](text)
                if not records:
                    return False  # an empty array between two commas
                if all(not reason_to_reject(structs.asdict(record)) for record in records):
                    self._extract(records)
                    return True
            except (ValidationError, UnicodeDecodeError):
                pass
            if lines:
                drafts_of[lines](text)
            raws = raws_of[lines](text)
        except (DecodeError, UnicodeDecodeError, RecursionError):
            return False
        for raw in raws:
            self.record(bytes(raw))
        return True

    def record(self, text: bytes) -> None:
        """Judge one record that is JSON, whatever else it is."""
        fields = _fields(text)
        reason = NOT_AN_OBJECT if fields is None else reason_to_reject(fields)
        if reason:
            self._reject(text, reason)
        else:
            self._extract([PatientRecord(*map(fields.get, FIELDS))])

    def close(self) -> None:
        self._processed(b"\n]\n" if self.extracted else b"[]\n")

    def _extract(self, records: list[PatientRecord]) -> None:
        lead = b",\n" if self.extracted else b"[\n"
        self._processed(lead + _lines(records)[:-1].replace(b"\n", b",\n"))
        self.extracted += len(records)

    def _reject(self, text: bytes, reason: str) -> None:
        line = RejectedRecord(self.extracted + self.rejected, reason)
        try:
            text.decode()
        except UnicodeDecodeError:
            line.record_base64 = text
        else:
            # Within a record, only white space can hold a line break.
            line.record = Raw(text.translate(None, b"\r\n"))
        self._rejected(encode.encode(line) + b"\n")
        self.rejected += 1


def _lines(records: list[PatientRecord]) -> bytes:
    try:
        return encode.encode_lines(records)
    except UnicodeEncodeError:
        # Half of a surrogate pair has no UTF-8; the standard library writes it as it came, escaped.
        return b"".join(json.dumps(structs.asdict(r), separators=(",", ":")).encode() + b"\n" for r in records)


def _fields(text: bytes) -> dict[str, object] | None:
    """Read the fields of a record that is JSON, but perhaps not valid UTF-8; None if it is no object."""
    if not text.startswith(b"{"):
        return None
    fields = _loads(text.decode("utf-8", "surrogateescape"))
    legible = _loads(text.decode("utf-8", "replace"))
    return {name: value if value == legible.get(name) else NotText() for name, value in fields.items() if name in FIELDS}


def _loads(text: str) -> dict[str, object]:
    # float: it takes numbers of any length, and no number is ever extracted.
    return json.loads(text, parse_int=float)  # type: ignore[no-any-return]
