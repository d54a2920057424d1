"""The extraction: bytes of retina scans in; processed and rejected records out. It knows no AWS.

A document is a JSON array of records, or records one after another: one alone, JSON Lines, or objects with
nothing between them, as Firehose writes. It is UTF-8, with or without a byte order mark, plain or gzip. It
flows through in batches of whole records, which `json_batches` cuts and `records` sorts; memory does not
grow with it.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from msgspec import DecodeError

from chalicelib.json_batches import Cutter
from chalicelib.records import FIELDS, Form, MalformedScan, sort_batch

__all__ = ["REVISION", "MalformedScan", "Summary", "decoded", "extract"]

REVISION = f"1:{','.join(FIELDS)}"
"""Changes whenever the output for some input does, so that a replay redoes it: with the fields by itself."""

PIECE = 64 * 1024
type Write = Callable[[bytes], object]


class Summary(NamedTuple):
    """What became of a document: records extracted and rejected, and bytes taken from the source."""

    extracted: int
    rejected: int
    bytes_read: int


def extract(source: Iterable[bytes], processed: Write, rejected: Write) -> Summary:
    """Write the valid records of a document to `processed` and all others to `rejected`, in their order.

    `processed` gets a JSON array with one record on each line (`[]` if there are none), `rejected` gets
    JSON Lines of RejectedRecord. Both are written while the source is read: when this raises, discard them.
    Raises MalformedScan; what `source`, `processed` and `rejected` raise passes through.
    """
    size = 0

    def counted() -> Iterator[bytes]:
        nonlocal size
        for chunk in source:
            size += len(chunk)
            yield chunk

    output = _Output(processed, rejected)
    Cutter(decoded(counted()), output.take_batch).cut()
    processed(b"\n]\n" if output.extracted else b"[]\n")
    return Summary(output.extracted, output.rejected, size)


def decoded(source: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the document in pieces of about 64 KiB at most; gzip, told by its first bytes, is decompressed.

    Raises MalformedScan where gzip is broken.
    """
    # However large the chunks are that come in, all work is done on small ones.
    pieces = (chunk[at : at + PIECE] for chunk in source for at in range(0, len(chunk), PIECE))
    head = next(pieces, b"")
    head += next(pieces, b"") if head == b"\x1f" else b""
    if head.startswith(b"\x1f\x8b"):
        yield from _decompressed(head, pieces)
    else:
        yield head
        yield from pieces


def _decompressed(rest: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    size, member = 0, zlib.decompressobj(wbits=31)
    while rest or (rest := next(pieces, b"")):
        if member.eof:
            member = zlib.decompressobj(wbits=31)
        try:
            piece = member.decompress(rest, PIECE)
        except zlib.error:
            raise MalformedScan("broken gzip", 0) from None  # from where on, nobody can tell
        yield piece
        size += len(piece)
        rest = member.unused_data or member.unconsumed_tail
    if not member.eof:
        raise MalformedScan("truncated gzip", size)


class _Output:
    """Writes sorted records where they belong."""

    def __init__(self, processed: Write, rejected: Write) -> None:
        self._processed, self._rejected = processed, rejected
        self.extracted = self.rejected = 0

    def take_batch(self, text: bytes | memoryview, form: Form) -> bool:
        try:
            batch = sort_batch(text, form, self.extracted + self.rejected)
        except (DecodeError, RecursionError):
            return False
        if batch.rejected_count:
            self._rejected(batch.rejected)
            self.rejected += batch.rejected_count
        if batch.valid_count:
            self._processed(b",\n" if self.extracted else b"[\n")
            self._processed(batch.valid[:-1].replace(b"\n", b",\n"))
            self.extracted += batch.valid_count
        return batch.valid_count + batch.rejected_count > 0
