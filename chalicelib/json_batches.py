"""Cut a JSON document of any size into batches of whole records, and prove every cut.

*Cut and prove.* To find where a record ends takes a parser, and to parse everything twice takes twice the
time. So guess: take the text up to the last place that looks like the gap between two records, close the
array there, and give it to the parser that is wanted anyway. JSON is deterministic: if that is a whole
array, the cut was between two records, and the proof cost nothing. If it is not, walk: let the parser
measure one record, learn what the gap behind it looks like, and guess again.

A guess decides nothing, so no input can turn one into a wrong answer. Wrong guesses cost time, and have a
budget: WASTE bytes for each that the document has been read so far. That keeps the work linear in the size
of any input, and makes guesses short where they often fail.
"""

import re
from collections.abc import Callable, Iterable

from msgspec import DecodeError, Raw
from msgspec.json import Decoder

from chalicelib.records import Form, MalformedScan, Reason, legible

BLOCK = 512 * 1024
bytes(8 * BLOCK)  # until so large a block has been freed, glibc maps each anew, at a cost
RECORD_LIMIT = 8 * 1024 * 1024
WASTE = 2
SMALLEST_GUESS = 1024

measure = Decoder(Raw).decode
match_space = re.compile(rb"[ \t\n\r]*").match
# The end of one record, and the next up to its first key. A quote before a key does not close a string, so
# in JSON this is never found inside of one: only the depth of a gap can be guessed wrong.
match_gap = re.compile(rb'(.[ \t\n\r]*[,{][ \t\n\r{]*"?)(?:[^"\\]{1,64}")?', re.DOTALL).match
BEGUN_LITERALS = (b"tr", b"tru", b"fa", b"fal", b"fals", b"nu", b"nul")
ONE_TOO_FAR = ("trailing characters", "invalid character in unicode escape")
match_error = re.compile(r"JSON is malformed: (.*) \(byte (\d+)\)").match


class Cutter:
    """Cuts a document, given in pieces, into batches.

    `take_batch` takes all records of a text if it is whole, and says whether it was.
    """

    def __init__(
        self, pieces: Iterable[bytes], take_batch: Callable[[bytes | memoryview, Form], bool]
    ) -> None:
        self._pieces = filter(None, pieces)
        self._take_batch = take_batch
        self._form: Form = "array"
        self._data = self._text = bytearray()  # what of the document is in memory, and the same to measure
        self._at = self._passed = 0  # how much of that has been passed, and how much before it
        self._ended = False
        self._gaps: tuple[bytes, ...] = ()  # what the last gap looked like, the most of it first
        self._wasted = 0

    def cut(self) -> None:
        """Take the whole document; MalformedScan where it stops being JSON."""
        self._fill(3)
        self._at = 3 if self._data.startswith(b"\xef\xbb\xbf") else 0
        opening = bytes(self._peek())
        if opening not in (b"[", b"{"):
            raise self._fault("neither an array nor an object" if opening else "empty")
        cut = self._cut_array if opening == b"[" else self._cut_lines
        cut()

    def _cut_array(self) -> None:
        more = self._step() != b"]"
        while more:
            self._take()
            if more := self._peek() == b",":
                self._step()
        if self._peek() != b"]":
            raise self._fault("not JSON" if self._peek() else "truncated")
        if self._step():
            raise self._fault("more after the end")

    def _cut_lines(self) -> None:
        self._form = "lines"
        while self._peek():
            self._take()
            joined = self._data[self._at - 1 : self._at] == b"}"
            self._fill(1)
            if not joined and self._data[self._at : self._at + 1].strip():
                raise self._fault("not JSON")

    def _take(self) -> None:
        """Take the records from here to some gap, or else the one that starts here."""
        self._fill(BLOCK // 8)
        cut = self._guess()
        if cut and self._take_text(cut):
            self._at = cut
        else:
            self._wasted += max(cut - self._at, 0)
            self._walk()

    def _guess(self) -> int:
        """Find the farthest gap that the budget allows; 0 if there is none."""
        reach = min(WASTE * (self._passed + self._at) + BLOCK // 8 - self._wasted, BLOCK)
        for gap in self._gaps if reach >= SMALLEST_GUESS else ():
            if cut := self._data.rfind(gap, self._at, self._at + reach) + 1:
                return cut
            self._wasted += reach // 16  # for looking takes time, too
        return 0

    def _walk(self) -> None:
        size = self._size()  # first: it may move what is in memory
        end = self._at + size
        if not self._take_batch(b"".join((b"[", memoryview(self._data)[self._at : end], b"]")), "array"):
            raise self._fault("nested too deeply")
        if gap := match_gap(self._data, end - 1):
            self._gaps = gap.group(0, 1)
        self._at = end

    def _take_text(self, end: int) -> bool:
        text = memoryview(self._data)[self._at - 1 : end + 1]
        if self._form == "lines":
            return self._take_batch(text[1:-1], "lines")
        # Instead of a copy with brackets around it: brackets in the place of its neighbours, for a moment.
        neighbours = text[0], text[-1]
        text[0], text[-1] = b"[]"
        taken = self._take_batch(text, "array")
        text[0], text[-1] = neighbours
        return taken

    def _size(self) -> int:
        """Measure the record that starts here; have all of it in memory."""
        while True:
            ahead = memoryview(self._text)[self._at : self._at + RECORD_LIMIT + 1]
            size = self._measured(ahead, len(ahead))
            if not size and (self._ended or len(ahead) > RECORD_LIMIT):
                # The parser does not look at a literal or a surrogate with nothing behind it.
                size = self._measured(legible(bytes(ahead) + b"\0\0\0"), len(ahead))
            if (size or len(ahead)) > RECORD_LIMIT:
                raise self._fault("record larger than 8 MiB")
            if not size and self._ended:
                raise self._fault("truncated", len(ahead))
            if size:
                return size
            self._fill(min(2 * len(ahead), RECORD_LIMIT + 1))

    def _measured(self, text: bytes | memoryview, length: int) -> int:
        """Measure as far as the text goes, which has `length` bytes; 0 if that is not far enough."""
        try:
            size = len(memoryview(measure(text)))
        except RecursionError:
            raise self._fault("nested too deeply") from None
        except DecodeError as error:
            return self._stopped(str(error), text, length)
        # A number at the end may go on in the next piece.
        return size if self._ended or size < length or text[-1] in b'}]"el' else 0

    def _stopped(self, error: str, text: bytes | memoryview, length: int) -> int:
        """Learn from the parser's error where it stopped: behind the record, or in its midst."""
        if "surrogate" in error or "hex escape" in error:
            self._text = bytearray(legible(bytes(self._data)))
            return self._measured(memoryview(self._text)[self._at : self._at + length], length)
        match = match_error(error)
        stopped = int(match[2]) - (match[1] in ONE_TOO_FAR) if match else length
        if match and match[1] == "trailing characters":
            return len(bytes(text[:stopped]).rstrip())
        if stopped >= length or (stopped and bytes(text[stopped - 1 : length]) in BEGUN_LITERALS):
            return 0
        raise self._fault("not JSON", stopped) from None

    def _step(self) -> bytearray:
        self._at += 1
        return self._peek()

    def _peek(self) -> bytearray:
        """Pass over white space and return the byte behind it; none at the end."""
        while True:
            space = match_space(self._data, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._data) or self._ended:
                return self._data[self._at : self._at + 1]
            self._fill(1)

    def _fill(self, size: int) -> None:
        """Have at least `size` bytes ahead, or all that are left; and one behind, to put a bracket there."""
        ahead, wanted, kept = len(self._data) - self._at, max(size, BLOCK), min(self._at, 1)
        if ahead >= size or self._ended:
            return
        parts: list[bytes | bytearray] = [self._data[self._at - kept :]]
        while ahead < wanted and (piece := next(self._pieces, b"")):
            parts.append(piece)
            ahead += len(piece)
        self._passed += self._at - kept
        self._data = self._text = bytearray().join(parts)
        self._at, self._ended = kept, ahead < wanted

    def _fault(self, reason: Reason, ahead: int = 0) -> MalformedScan:
        return MalformedScan(reason, self._passed + self._at + ahead)
