"""Read a JSON document as a stream: what of it is in memory, where one is in it, and how long a value is."""

import re
from collections.abc import Iterable
from typing import ClassVar, Literal

from msgspec import DecodeError, Raw
from msgspec.json import Decoder

from chalicelib.legible import BEGUN, legible, match_begun
from chalicelib.malformed import RECORD_LIMIT, MalformedScan, Reason

type Form = Literal["array", "lines"]

BLOCK = 512 * 1024
bytes(8 * BLOCK)  # until so large a block has been freed, glibc maps each anew, at a cost

measure = Decoder(Raw).decode
BOM = b"\xef\xbb\xbf"
match_space = {
    "array": re.compile(rb"[ \t\n\r]*").match,
    # Where a file may start, of which others may have made one, a byte order mark is white space.
    "lines": re.compile(rb"(?:[ \t\n\r]+|\xef\xbb\xbf)*").match,
}
TAIL = 16 * 1024  # bytes in which to look for the end of something
BEGUN_LITERALS = (b"tr", b"tru", b"fa", b"fal", b"fals", b"nu", b"nul")
ONE_TOO_FAR = ("trailing characters", "invalid character in unicode escape")
match_error = re.compile(r"JSON is malformed: (.*) \(byte (\d+)\)").match


class Scanner:
    """A document, given in pieces, and a place in it: in an array, or between values that are one a line."""

    block: ClassVar[int] = BLOCK
    record_limit: ClassVar[int] = RECORD_LIMIT
    lines_before: ClassVar[int] = 64 * 1024  # bytes behind that are kept, to look at what a line comes after

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = filter(None, pieces)
        self._form: Form = "lines"
        # What of the document is in memory, and the same to measure: behind a byte that is not of it.
        self._data = self._text = bytearray(b"\n")
        self._at, self._passed = 1, -1  # how much of that has been passed, and how much before it
        self._ended = False

    @property
    def position(self) -> int:
        """How many bytes of the document have been passed."""
        return self._passed + self._at

    def _fill(self, size: int) -> None:
        """Have at least `size` bytes ahead, or all that are left; and at least one behind, for a bracket."""
        ahead, wanted = len(self._data) - self._at, max(size, self.block)
        if ahead >= size or self._ended:
            return
        kept = min(self._at, max(self.lines_before, 1) if self._form == "lines" else 1)
        if kept < self._at:
            self._passed += self._at - kept
            rest, self._at = self._data[self._at - kept :], kept
            self._data = bytearray().join((rest, *self._pieces_of(wanted - ahead)))
        # What is still missing is added in its place: a record may be large.
        while len(self._data) - self._at < wanted and (pieces := self._pieces_of(self.block)):
            self._data += b"".join(pieces)
        self._text = self._data
        self._ended = len(self._data) - self._at < wanted

    def _pieces_of(self, size: int) -> list[bytes]:
        """Take pieces of at least `size` bytes together, or all that are left."""
        pieces = []
        while size > 0 and (piece := next(self._pieces, b"")):
            pieces.append(piece)
            size -= len(piece)
        return pieces

    def _peek(self) -> bytes:
        """Pass over white space and return the byte behind it; none at the end."""
        while True:
            self._at = self._behind_space()
            if self._ended or len(self._data) - self._at >= len(BOM):
                return bytes(self._data[self._at : self._at + 1])
            self._fill(len(BOM))

    def _behind_space(self) -> int:
        space = match_space[self._form](self._data, self._at)
        return space.end() if space else self._at

    def _step(self) -> bytes:
        self._at += 1
        return self._peek()

    def _expect(self, wanted: bytes) -> None:
        if (found := self._peek()) != wanted:
            raise self._fault(Reason.NOT_JSON if found else Reason.TRUNCATED)
        self._at += 1

    def _skip(self) -> bytes:
        """Pass over a value, and return it."""
        size = self._size()  # first: it may move what is in memory
        self._at += size
        return bytes(self._data[self._at - size : self._at])

    def _size(self) -> int:
        """Measure the value that starts here; have all of it in memory."""
        while True:
            length = min(len(self._data) - self._at, self.record_limit + 1)
            with memoryview(self._text)[self._at : self._at + length] as ahead:
                size = self._measured(ahead, length)
            if not size and (self._ended or length > self.record_limit):
                size = self._size_at_end(length)
            if (size or length) > self.record_limit:
                raise self._fault(Reason.TOO_LARGE)
            if not size and self._ended:
                raise self._fault(Reason.TRUNCATED, length)
            if size > self.block:
                self._text = self._data  # a copy as large as that is not kept
            if size:
                return size
            self._fill(min(2 * length, self.record_limit + 1))

    def _size_at_end(self, length: int) -> int:
        """Measure once more: the parser does not look at a literal or a surrogate with nothing behind it."""
        self._text = self._data  # one copy at a time
        padded = legible(memoryview(self._data)[self._at : self._at + length])
        padded += b"\0\0\0"
        return self._measured(padded, length)

    def _measured(self, text: bytearray | memoryview, length: int) -> int:
        """Measure as far as the text goes, which has `length` bytes; 0 if that is not far enough."""
        try:
            size = len(memoryview(measure(text)))
        except RecursionError:
            raise self._fault(Reason.TOO_DEEP) from None
        except DecodeError as error:
            return self._stopped(str(error), text, length)
        # A number at the end may go on in the next piece.
        return size if self._ended or size < length or text[-1] in b'}]"el' else 0

    def _stopped(self, error: str, text: bytearray | memoryview, length: int) -> int:
        """Learn from the parser's error where it stopped: behind the value, or in its midst."""
        match = match_error(error)
        stopped = int(match[2]) - (match[1] in ONE_TOO_FAR) if match else length
        if match and match[1] == "trailing characters":
            return end_of_value(text, stopped)
        mendable = (
            "surrogate" in error
            or "hex escape" in error
            or bytes(text[stopped : stopped + 1]) in (b"N", b"I")
        )
        if mendable and self._text is self._data:
            self._text = legible(self._data)
            return self._measured(memoryview(self._text)[self._at : self._at + length], length)
        if stopped >= length - _begun(bytes(text[:length][-BEGUN:])) or (
            stopped and bytes(text[stopped - 1 : length]) in BEGUN_LITERALS
        ):
            return 0
        raise self._fault(Reason.NOT_JSON, stopped) from None

    def _fault(self, reason: Reason, ahead: int = 0) -> MalformedScan:
        return MalformedScan(reason, self.position + ahead)


def end_of_value(text: bytearray | memoryview, end: int) -> int:
    """Go back over white space, without a copy of all the text."""
    while not (tail := bytes(text[max(end - TAIL, 0) : end]).rstrip()):
        end -= TAIL
    return max(end - TAIL, 0) + len(tail)


def _begun(end: bytes) -> int:
    """Measure what is begun of NaN or Infinity at the end."""
    begun = match_begun(end)
    return len(begun[1]) if begun else 0
