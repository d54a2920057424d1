"""Cut a JSON document of any size into batches of whole records, and prove every cut.

*Cut and prove.* Finding out where a record ends takes a parser, and parsing twice takes twice the time.
So guess: take the buffer up to the last place that looks like the gap between two records, as gaps
looked before, close the array there and give it to the parser that is wanted anyway. JSON is
deterministic: if the text before the cut is a whole array, the cut was between two records, and the
proof cost nothing. If it is not, the guess was wrong; guess again on less text. When guesses have wasted
more than the document so far would justify, walk: measure one record with the parser, and learn from it
what gaps look like. Guesses never decide anything, so no input can make them give a wrong result, and
the budget keeps the work linear in the size of the input.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Protocol

from msgspec import DecodeError, Raw
from msgspec.json import Decoder

RECORD_LIMIT = 8 * 1024 * 1024
BLOCK = 64 * 1024
SMALLEST_GUESS = 1024
WHITE_SPACE = b" \t\n\r"

measure = Decoder(Raw).decode
skip_white_space = re.compile(rb"[ \t\n\r]*").match
# The gap between two records: the end of one, and the first key of the next.
find_gap = {
    False: re.compile(rb'[^ \t\n\r][ \t\n\r]*,[ \t\n\r]*(?:\{[ \t\n\r]*(?:"[^"\\]{0,64}")?)?').match,
    True: re.compile(rb'[^ \t\n\r][ \t\n\r]+\{[ \t\n\r]*(?:"[^"\\]{0,64}")?').match,
}
error_place = re.compile(r"(.*) \(byte (\d+)\)").fullmatch
find_escaped_surrogate = re.compile(rb"\\u[dD][89a-fA-F]").search
veil_surrogates = re.compile(rb"\\(?:u[dD][89a-fA-F]([0-9a-fA-F]{2})|.)", re.DOTALL).sub


class MalformedScan(Exception):  # noqa: N818 - the word of the field for such a document
    """The document as a whole is no use: one of a few reasons, and the byte of the decoded document."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} (byte {offset})")
        self.reason = reason
        self.offset = offset


class Sieve(Protocol):
    """What takes the records."""

    def batch(self, text: bytes, *, lines: bool) -> bool:
        """Take a batch if it is whole; say whether it was."""

    def record(self, text: bytes) -> None:
        """Take one record that is whole."""


def sift(chunks: Iterable[bytes], sieve: Sieve) -> None:
    """Give every record of a document to `sieve`, in order; MalformedScan at the first byte that is no JSON."""
    text = _Text(chunks)
    text.skip_byte_order_mark()
    opening = text.peek()
    if not opening:
        raise text.fault("empty")
    if opening == b"[":
        _Cutter(text, sieve, lines=False).array()
    elif opening == b"{":
        _Cutter(text, sieve, lines=True).lines()
    else:
        raise text.fault("neither an array nor an object")


class _Text:
    """The document: what of it is in memory (`data`), and the place reached in that (`at`)."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._pieces = _pieces(chunks)
        self._passed = 0
        self.data = b""
        self.at = 0
        self.ended = False

    @property
    def offset(self) -> int:
        return self._passed + self.at

    @property
    def ahead(self) -> int:
        return len(self.data) - self.at

    def fill(self, size: int) -> None:
        """Have at least `size` bytes ahead, or all that are left."""
        if self.ended or self.ahead >= size:
            return
        parts, have = [self.data[self.at :]], self.ahead
        while have < size and (piece := next(self._pieces, b"")):
            parts.append(piece)
            have += len(piece)
        self.ended = have < size
        self._passed += self.at
        self.data, self.at = b"".join(parts), 0

    def peek(self) -> bytes:
        """Pass over white space; the byte that follows, or nothing at the end."""
        while True:
            match = skip_white_space(self.data, self.at)
            self.at = match.end() if match else self.at
            if self.ahead or self.ended:
                return self.data[self.at : self.at + 1]
            self.fill(1)

    def skip_byte_order_mark(self) -> None:
        self.fill(3)
        if self.data.startswith(b"\xef\xbb\xbf"):
            self.at = 3

    def fault(self, reason: str, ahead: int = 0) -> MalformedScan:
        return MalformedScan(reason, self.offset + ahead)


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    # However large the chunks are that come in, what is held is small.
    for chunk in chunks:
        for start in range(0, len(chunk), BLOCK):
            yield chunk[start : start + BLOCK]


class _Cutter:
    def __init__(self, text: _Text, sieve: Sieve, *, lines: bool) -> None:
        self._text = text
        self._sieve = sieve
        self._lines = lines
        self._gap = b""
        self._guess = RECORD_LIMIT
        self._wasted = 0

    def array(self) -> None:
        text = self._text
        text.at += 1
        if text.peek() != b"]":
            self._take()
            while text.peek() == b",":
                text.at += 1
                text.peek()
                self._take()
        if text.peek() != b"]":
            raise text.fault("not JSON" if text.peek() else "truncated")
        text.at += 1
        if text.peek():
            raise text.fault("trailing characters")

    def lines(self) -> None:
        text = self._text
        while text.peek():
            self._take()
            text.fill(1)
            if text.ahead and text.data[text.at] not in WHITE_SPACE:
                raise text.fault("not JSON")

    def _take(self) -> None:
        """Take one batch, or one record, that starts here."""
        text = self._text
        text.fill(BLOCK)
        while self._wasted <= 2 * text.offset + BLOCK and (cut := self._guess_cut()):
            if self._sieve.batch(self._framed(cut), lines=self._lines):
                text.at = cut
                self._guess = min(2 * self._guess, RECORD_LIMIT)
                return
            self._wasted += cut - text.at
            self._guess = max((cut - text.at) // 4, SMALLEST_GUESS)
            if cut - text.at <= SMALLEST_GUESS:
                break
        self._walk()

    def _guess_cut(self) -> int:
        text = self._text
        end = min(len(text.data), text.at + self._guess)
        if text.ended and end == len(text.data):
            return end if self._lines else max(text.data.rfind(b"]", text.at), text.at)
        return text.data.rfind(self._gap, text.at, end) + 1 if self._gap else 0

    def _framed(self, cut: int) -> bytes:
        text = memoryview(self._text.data)[self._text.at : cut]
        return bytes(text) if self._lines else b"".join((b"[", text, b"]"))

    def _walk(self) -> None:
        text = self._text
        record = self._measured()
        if len(record) > RECORD_LIMIT:
            raise text.fault("record larger than 8 MiB")
        end = text.at + len(record)
        if not self._sieve.batch(self._framed(end), lines=self._lines):
            self._sieve.record(record)
        if gap := find_gap[self._lines](text.data, end - 1):
            self._gap = gap.group()
        text.at = end

    def _measured(self) -> bytes:
        text = self._text
        while True:
            record = self._value()
            if record is not None:
                return record
            if text.ended:
                raise text.fault("truncated", text.ahead)
            if text.ahead > RECORD_LIMIT:
                raise text.fault("record larger than 8 MiB")
            text.fill(min(2 * text.ahead, RECORD_LIMIT + 1))

    def _value(self) -> bytes | None:
        """Measure the value that starts here; None if it does not end in the buffer."""
        text = self._text
        try:
            whole = bytes(measure(self._unveiled()))
        except DecodeError as error:
            return self._stopped(str(error))
        except RecursionError:
            raise text.fault("nested too deeply") from None
        # A number may go on in the bytes to come.
        return whole if text.ended or len(whole) < text.ahead or whole[-1:] in b'}]"el' else None

    def _stopped(self, message: str) -> bytes | None:
        """Learn from the parser's error, which says where it stopped."""
        text = self._text
        match = error_place(message)
        stopped = int(match[2]) if match else text.ahead
        if match and match[1].endswith("trailing characters"):
            return text.data[text.at : text.at + stopped - 1].rstrip(WHITE_SPACE)
        if stopped >= text.ahead:
            return None
        raise text.fault("not JSON", stopped)

    def _unveiled(self) -> bytes | memoryview:
        """What is ahead, each escaped surrogate replaced: alone it is JSON, but not to msgspec."""
        text = self._text
        if not find_escaped_surrogate(text.data, text.at):
            return memoryview(text.data)[text.at :]
        return veil_surrogates(_veil, text.data[text.at :])


def _veil(escape: re.Match[bytes]) -> bytes:
    return rb"\ue0" + escape[1] if escape[1] else escape[0]
