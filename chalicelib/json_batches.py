"""Cut a JSON document of any size into batches of whole records, and prove every cut.

*Cut and prove.* Finding the end of a record takes a parser, and parsing everything twice takes twice the
time. So guess: cut at the last place that looks like the gap between two records, close the array there, and
give it to the decoder. If the decoder accepts a whole array, the cut was between two records, and the proof
cost nothing. If not, measure one record with the parser, learn what the gap behind it looks like, and guess
again.

A wrong guess can never give a wrong result: it only costs time, and that has a budget of WASTE bytes for
each byte of the document that has been read. So the work is linear in the size of any input, and guesses
are short where they often fail.
"""

import re
from collections.abc import Callable, Iterable

from msgspec import DecodeError
from msgspec.json import Decoder

from chalicelib.json_lines import LineScanner
from chalicelib.json_scanner import BOM, TAIL, Form, end_of_value
from chalicelib.malformed import LONGEST_MAGIC, MalformedScan, Reason, identify
from chalicelib.records import RECORDS_KEY

WASTE = 2
SMALLEST_GUESS = 1024

decode_text = Decoder(str).decode
# The last byte of a record, the gap, and the next record up to its first key. In JSON, a quote before a key
# never closes a string, so this is never found within a string: only the depth of a gap can be wrong.
match_gap = re.compile(rb'(.[ \t\n\r]*[,{][ \t\n\r{]*"?)(?:[^"\\]{1,64}")?', re.DOTALL).match
# Any gap between two objects, with any white space; below, between any two values.
find_object_gaps = {
    "array": re.compile(rb"\}[ \t\n\r]*,[ \t\n\r]*\{").finditer,
    "lines": re.compile(rb"\}[ \t\n\r]*\{").finditer,
}
find_commas = re.compile(rb".,", re.DOTALL).finditer


class Cutter(LineScanner):
    """Cuts a document, given in pieces, into batches.

    `write_batch` gets a text. If it consists of whole records, it writes them and returns True.
    `write_broken_line` gets a line that is not JSON, in a document of one record a line.
    """

    def __init__(
        self,
        pieces: Iterable[bytes],
        write_batch: Callable[[bytes | memoryview, Form], bool],
        write_broken_line: Callable[[memoryview], None],
    ) -> None:
        super().__init__(pieces)
        self._write_batch = write_batch
        self._write_broken_line = write_broken_line
        self.are_lines = False  # whether the records stand one after another
        self._gaps: tuple[bytes, ...] = (b"",)  # what the last gap looked like, the longest match first
        self._gaps_vary = False  # whether the gap before it looked different
        self._objects = False  # whether the last record was an object
        self._wasted = 0

    def cut(self) -> None:
        """Write the whole document. MalformedScan where it stops being JSON."""
        self._fill(LONGEST_MAGIC)
        beginning = bytes(self._data[self._at : self._at + LONGEST_MAGIC])
        opening = self._peek()
        self.are_lines = opening == b"{" and not RECORDS_KEY
        if opening == b"[":
            self._cut_array()
        elif opening == b"{":
            (self._cut_lines if self.are_lines else self._cut_object)()
        else:
            raise self._malformed(identify(beginning) if opening else Reason.EMPTY)
        self._form = "lines"
        if self._peek():
            raise self._malformed(Reason.MORE)

    def _cut_array(self) -> None:
        self._form = "array"
        more = self._step() != b"]"
        while more:
            self._write_next()
            if more := self._peek() == b",":
                self._step()
        self._expect(b"]")

    def _cut_lines(self) -> None:
        while self._peek():
            self._write_next()
            joined = self._data[self._at - 1 : self._at] == b"}"
            self._fill(len(BOM))
            if not joined and self._at < len(self._data) and self._after_space() == self._at:
                raise self._malformed(Reason.NOT_JSON)

    def _cut_object(self) -> None:
        """Write the list under RECORDS_KEY. Everything around it is checked and skipped."""
        lists = 0
        self._form = "array"
        more = self._step() != b"}"
        while more:
            if self._peek() not in (b'"', b""):
                raise self._malformed(Reason.NOT_JSON)
            key = self._skip()
            self._expect(b":")
            if self._peek() == b"[" and _is_records_key(key):
                if (lists := lists + 1) > 1:
                    raise self._malformed(Reason.TWO_LISTS)
                self._cut_array()
            else:
                self._skip()
            if more := self._peek() == b",":
                self._step()
        self._expect(b"}")
        if not lists:
            raise self._malformed(Reason.NO_LIST)

    def _write_next(self) -> None:
        """Write the records from here to a guessed gap, or else the one that starts here."""
        self._fill(self.block // 8)
        cut = self._guess()
        if cut and self._write_text(cut):
            self._at = cut
        else:
            self._wasted += max(cut - self._at, 0)
            self._write_one()

    def _guess(self) -> int:
        """Find the end of the last record before a gap, as far as the budget allows; 0 without a gap."""
        reach = min(WASTE * self.position + self.block // 8 - self._wasted, self.block)
        if reach < SMALLEST_GUESS:
            return 0
        for gap in filter(None, self._gaps):
            if cut := self._data.rfind(gap, self._at, self._at + reach) + 1:
                return cut
            self._wasted += reach // 16  # a search takes time, too
        return self._guess_loosely(min(self._at + reach, len(self._data))) if self._gaps_vary else 0

    def _guess_loosely(self, end: int) -> int:
        find = find_commas if self._form == "array" and not self._objects else find_object_gaps[self._form]
        gaps = list(find(self._data, max(self._at, end - TAIL), end))
        self._wasted += TAIL // 16
        return gaps[-1].start() + 1 if gaps else 0

    def _write_one(self) -> None:
        try:
            size = self._size()  # first: it may move the buffer
        except MalformedScan as error:
            size = self._size_of_broken_line(error)
            if not size:
                raise
            self._write_broken(size)
            return
        end = self._at + size
        if not self._write_array(end):
            raise self._malformed(Reason.TOO_DEEP)
        self._objects = self._data[self._at] == ord("{")
        if gap := match_gap(self._data, end - 1):
            self._gaps_vary = gap[1] != self._gaps[-1]
            self._gaps = gap.group(0, 1)
        self._at = end

    def _write_broken(self, size: int) -> None:
        line = memoryview(self._data)[self._at : self._at + size]
        self._write_broken_line(line[: end_of_value(line, size)])
        self._at += size

    def _write_text(self, end: int) -> bool:
        if self._form == "lines":
            return self._write_batch(memoryview(self._data)[self._at : end], "lines")
        return self._write_array(end)

    def _write_array(self, end: int) -> bool:
        if end < len(self._data):
            return self._write_in_brackets(end)
        self._data += b" "  # to have a byte behind the records
        written = self._write_in_brackets(end)
        del self._data[end:]
        return written

    def _write_in_brackets(self, end: int) -> bool:
        # For a moment, brackets replace the bytes beside the records. This saves a copy.
        text = memoryview(self._data)[self._at - 1 : end + 1]
        neighbours = text[0], text[-1]
        text[0], text[-1] = b"[]"
        written = self._write_batch(text, "array")
        text[0], text[-1] = neighbours
        return written


def _is_records_key(key: bytes) -> bool:
    try:
        return decode_text(key) == RECORDS_KEY
    except (DecodeError, UnicodeDecodeError):
        return False
