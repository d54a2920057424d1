"""Decode an upload as a stream: plain or gzip, UTF-8 or UTF-16."""

import codecs
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from chalicelib.malformed import MalformedScan, Reason

PIECE = 64 * 1024
GZIP = b"\x1f\x8b"
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()

type Pieces = Iterator[bytes]


class Document:
    """A document that is being read: how many bytes have been read so far, and whether they are gzip."""

    def __init__(self, source: Iterable[bytes]) -> None:
        self._source = source
        self.bytes_read = 0
        self.compressed = False

    def text(self) -> Pieces:
        """Yield the document, decompressed and in UTF-8, in pieces of about 64 KiB.

        The first bytes tell whether it is gzip or UTF-16. Raises MalformedScan where gzip is broken.
        """
        head, pieces = _with_head(self._pieces())
        self.compressed = head.startswith(GZIP)
        if self.compressed:
            head, pieces = _with_head(_decompress(pieces))
        yield from _to_utf8(pieces) if head.startswith(UTF_16) else pieces

    def _pieces(self) -> Pieces:
        # Small pieces, whatever the size of the chunks that come in.
        for chunk in self._source:
            self.bytes_read += len(chunk)
            for at in range(0, len(chunk), PIECE):
                yield chunk[at : at + PIECE]


def _with_head(pieces: Pieces) -> tuple[bytes, Pieces]:
    """Read enough to recognise the format. Returns that, and all pieces."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= len(GZIP):
            break
    return head, chain([head], pieces)


def _decompress(pieces: Pieces) -> Pieces:
    """Decompress all members. Zeros behind a member are padding."""
    size, member, rest = 0, zlib.decompressobj(wbits=31), b""
    while rest or (rest := next(pieces, b"")):
        if member.eof:
            rest = rest.lstrip(b"\0")
            rest += next(pieces, b"") if rest == GZIP[:1] else b""
            if not rest:
                continue
            if not rest.startswith(GZIP):
                raise MalformedScan(Reason.MORE, size)
            member = zlib.decompressobj(wbits=31)
        piece = _inflate(member, rest)
        yield piece
        size += len(piece)
        rest = member.unused_data or member.unconsumed_tail
    while piece := _inflate(member, b""):
        yield piece
        size += len(piece)
    if not member.eof:
        raise MalformedScan(Reason.TRUNCATED_GZIP, size)


def _inflate(member: "zlib._Decompress", data: bytes) -> bytes:
    try:
        return member.decompress(data, PIECE)
    except zlib.error:
        raise MalformedScan(Reason.BROKEN_GZIP, 0) from None  # zlib does not say where it broke


def _to_utf8(pieces: Pieces) -> Pieces:
    """Convert UTF-16 to UTF-8. A lone surrogate becomes invalid UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
    for piece in pieces:
        yield decoder.decode(piece).encode("utf-8", "surrogatepass")
    try:
        yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # the document ends within a character
        yield REPLACEMENT
