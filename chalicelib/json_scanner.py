"""Read a JSON document as a stream: buffer a part of it, keep the position, and measure values."""

import re
from collections.abc import Iterable
from typing import ClassVar, Literal

from msgspec import DecodeError, Raw
from msgspec.json import Decoder

from chalicelib.malformed import RECORD_LIMIT, MalformedScan, Reason
from chalicelib.masking import LONGEST_PARTIAL_CONSTANT, is_about_surrogate, mask, match_partial_constant

type Form = Literal["array", "lines"]

BLOCK = 512 * 1024
# Until a block of this size has been freed once, glibc maps and unmaps every such block, which is slow.
bytes(8 * BLOCK)

measure = Decoder(Raw).decode
BOM = b"\xef\xbb\xbf"
# A byte order mark between records is white space: several files, or their lines, may have been joined.
match_space = re.compile(rb"(?:[ \t\n\r]+|\xef\xbb\xbf)*").match
TAIL = 16 * 1024  # bytes at the end of a text that are searched at a time
PARTIAL_LITERALS = (b"tr", b"tru", b"fa", b"fal", b"fals", b"nu", b"nul")
match_error = re.compile(r"JSON is malformed: (.*) \(byte (\d+)\)").match
# The errors whose offset is one byte too far.
ONE_TOO_FAR = ("trailing characters", "invalid character in unicode escape")


class Scanner:
    """A document, given in pieces, and a position in it: in an array, or between values one after another."""

    block: ClassVar[int] = BLOCK
    record_limit: ClassVar[int] = RECORD_LIMIT
    lines_before: ClassVar[int] = (
        64 * 1024
    )  # bytes that are kept before the position, to check the lines in them

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = filter(None, pieces)
        self._form: Form = "lines"
        # The buffer starts with a byte that is not of the document, so that every record has one before it.
        self._data = bytearray(b"\n")
        self._masked = bytearray()  # a copy of the buffer, if measuring needs one
        self._at, self._passed = 1, -1  # the position in the buffer, and the buffer's in the document
        self._ended = False

    @property
    def position(self) -> int:
        """The offset in the document."""
        return self._passed + self._at

    def _fill(self, size: int) -> None:
        """Read until at least `size` bytes are buffered after the position, or the document ends."""
        ahead, wanted = len(self._data) - self._at, max(size, self.block)
        if ahead >= size or self._ended:
            return
        kept = min(self._at, max(self.lines_before, 1) if self._form == "lines" else 1)
        if self._at - kept > self.block // 8:
            self._passed += self._at - kept
            rest, self._at = self._data[self._at - kept :], kept
            self._data = bytearray().join((rest, *self._read(wanted - ahead)))
        # Append in place: a record may be large.
        while len(self._data) - self._at < wanted and (pieces := self._read(self.block)):
            self._data += b"".join(pieces)
        self._masked = bytearray()
        self._ended = len(self._data) - self._at < wanted

    def _read(self, size: int) -> list[bytes]:
        """Read pieces of at least `size` bytes in all, or until the document ends."""
        pieces = []
        while size > 0 and (piece := next(self._pieces, b"")):
            pieces.append(piece)
            size -= len(piece)
        return pieces

    def _peek(self) -> bytes:
        """Pass over white space. Returns the next byte; nothing at the end."""
        while True:
            self._at = self._after_space()
            if self._ended or len(self._data) - self._at >= len(BOM):
                return bytes(self._data[self._at : self._at + 1])
            self._fill(len(BOM))

    def _after_space(self) -> int:
        space = match_space(self._data, self._at)
        return space.end() if space else self._at

    def _step(self) -> bytes:
        self._at += 1
        return self._peek()

    def _expect(self, wanted: bytes) -> None:
        if (found := self._peek()) != wanted:
            raise self._malformed(Reason.NOT_JSON if found else Reason.TRUNCATED)
        self._at += 1

    def _skip(self) -> bytes:
        """Pass over a value, and return it."""
        size = self._size()  # first: it may move the buffer
        self._at += size
        return bytes(self._data[self._at - size : self._at])

    def _size(self) -> int:
        """Buffer the value that starts here, and measure it."""
        while True:
            length = min(len(self._data) - self._at, self.record_limit + 1)
            with memoryview(self._masked or self._data)[self._at : self._at + length] as ahead:
                size = self._measure(ahead, length)
            if not size and (self._ended or length > self.record_limit):
                size = self._size_at_end(length)
            if (size or length) > self.record_limit:
                raise self._malformed(Reason.TOO_LARGE)
            if not size and self._ended:
                raise self._malformed(Reason.TRUNCATED, length)
            if size > self.block:
                self._masked = bytearray()  # it is large
            if size:
                return size
            self._fill(min(2 * length, self.record_limit + 1))

    def _size_at_end(self, length: int) -> int:
        """Measure with bytes appended: the parser does not check a literal or an escape at the end."""
        self._masked = bytearray()  # one copy at a time
        padded = mask(memoryview(self._data)[self._at : self._at + length])
        padded += b"\0\0\0"
        return self._measure(padded, length)

    def _measure(self, text: bytearray | memoryview, length: int) -> int:
        """Measure a value in the first `length` bytes of a text; 0 if it continues after them."""
        try:
            size = len(memoryview(measure(text)))
        except RecursionError:
            raise self._malformed(Reason.TOO_DEEP) from None
        except DecodeError as error:
            return self._size_from_error(str(error), text, length)
        # A number at the end may go on in the next piece.
        return size if self._ended or size < length or text[-1] in b'}]"el' else 0

    def _size_from_error(self, error: str, text: bytearray | memoryview, length: int) -> int:
        """Learn from the parser's error where it stopped: behind the value, or within it."""
        match = match_error(error)
        stopped = int(match[2]) - (match[1] in ONE_TOO_FAR) if match else length
        if match and match[1] == "trailing characters":
            return end_of_value(text, stopped)
        maskable = is_about_surrogate(error) or bytes(text[stopped : stopped + 1]) in (b"N", b"I")
        if maskable and not self._masked:
            self._masked = mask(self._data)
            return self._measure(memoryview(self._masked)[self._at : self._at + length], length)
        if stopped >= length - _size_of_partial_constant(text, length) or (
            stopped and bytes(text[stopped - 1 : length]) in PARTIAL_LITERALS
        ):
            return 0
        raise self._malformed(Reason.NOT_JSON, stopped) from None

    def _malformed(self, reason: Reason, ahead: int = 0) -> MalformedScan:
        return MalformedScan(reason, self.position + ahead)


def end_of_value(text: bytearray | memoryview, end: int) -> int:
    """Go back from `end` over white space, without a copy of the whole text."""
    while not (tail := bytes(text[max(end - TAIL, 0) : end]).rstrip()):
        end -= TAIL
    return max(end - TAIL, 0) + len(tail)


def _size_of_partial_constant(text: bytearray | memoryview, length: int) -> int:
    """Measure how much of NaN or Infinity the text ends with."""
    tail = bytes(text[max(length - LONGEST_PARTIAL_CONSTANT, 0) : length])
    partial = match_partial_constant(tail)
    return len(partial[1]) if partial else 0
