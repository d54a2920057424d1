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

from msgspec import DecodeError
from msgspec.json import Decoder

from chalicelib.json_lines import are_records
from chalicelib.json_scanner import BOM, TAIL, Form, Scanner, end_of_value
from chalicelib.malformed import LONGEST_MAGIC, MalformedScan, Reason, named
from chalicelib.records import RECORDS_KEY

WASTE = 2
SMALLEST_GUESS = 1024

decode_text = Decoder(str).decode
# The end of one record, and the next up to its first key. A quote before a key does not close a string, so
# in JSON this is never found inside of one: only the depth of a gap can be guessed wrong.
match_gap = re.compile(rb'(.[ \t\n\r]*[,{][ \t\n\r{]*"?)(?:[^"\\]{1,64}")?', re.DOTALL).match
# The same, whatever the white space in it: between objects, and between anything else.
find_object_gaps = {
    "array": re.compile(rb"\}[ \t\n\r]*,[ \t\n\r]*\{").finditer,
    "lines": re.compile(rb"\}[ \t\n\r]*\{").finditer,
}
find_commas = re.compile(rb".,", re.DOTALL).finditer


class Cutter(Scanner):
    """Cuts a document, given in pieces, into batches.

    `take_batch` takes all records of a text if it is whole, and says whether it was. `take_broken_line`
    takes a line that is no JSON, in a document of one record a line.
    """

    def __init__(
        self,
        pieces: Iterable[bytes],
        take_batch: Callable[[bytes | memoryview, Form], bool],
        take_broken_line: Callable[[memoryview], None],
    ) -> None:
        super().__init__(pieces)
        self._take_batch = take_batch
        self._take_broken_line = take_broken_line
        self.opening = b""  # the first byte that is no white space
        self._gaps: tuple[bytes, ...] = (b"",)  # what the last gap looked like, the most of it first
        self._varied = False  # whether the one before looked otherwise
        self._objects = False  # whether the last record was an object
        self._wasted = 0
        self._mended = 0  # where the last line ends that was broken

    def cut(self) -> None:
        """Take the whole document; MalformedScan where it stops being JSON."""
        self._fill(LONGEST_MAGIC)
        beginning = bytes(self._data[self._at : self._at + LONGEST_MAGIC])
        self.opening = self._peek()
        if self.opening == b"[":
            self._cut_array()
        elif self.opening == b"{":
            (self._cut_object if RECORDS_KEY else self._cut_lines)()
        else:
            raise self._fault(named(beginning) if self.opening else Reason.EMPTY)
        self._form = "lines"
        if self._peek():
            raise self._fault(Reason.MORE)

    def _cut_array(self) -> None:
        self._form = "array"
        more = self._step() != b"]"
        while more:
            self._take()
            if more := self._peek() == b",":
                self._step()
        self._expect(b"]")

    def _cut_lines(self) -> None:
        while self._peek():
            self._take()
            joined = self._data[self._at - 1 : self._at] == b"}"
            self._fill(len(BOM))
            if not joined and self._at < len(self._data) and self._behind_space() == self._at:
                raise self._fault(Reason.NOT_JSON)

    def _cut_object(self) -> None:
        """Take the list under RECORDS_KEY; check what is around it, and skip it."""
        lists = 0
        self._form = "array"
        more = self._step() != b"}"
        while more:
            if self._peek() not in (b'"', b""):
                raise self._fault(Reason.NOT_JSON)
            key = self._skip()
            self._expect(b":")
            if self._peek() == b"[" and _is_records_key(key):
                if (lists := lists + 1) > 1:
                    raise self._fault(Reason.TWO_LISTS)
                self._cut_array()
            else:
                self._skip()
            if more := self._peek() == b",":
                self._step()
        self._expect(b"}")
        if not lists:
            raise self._fault(Reason.NO_LIST)

    def _take(self) -> None:
        """Take the records from here to some gap, or else the one that starts here."""
        self._fill(self.block // 8)
        cut = self._guess()
        if cut and self._take_text(cut):
            self._at = cut
        else:
            self._wasted += max(cut - self._at, 0)
            self._walk()

    def _guess(self) -> int:
        """Find the farthest gap that the budget allows; 0 if there is none."""
        reach = min(WASTE * self.position + self.block // 8 - self._wasted, self.block)
        if reach < SMALLEST_GUESS:
            return 0
        for gap in filter(None, self._gaps):
            if cut := self._data.rfind(gap, self._at, self._at + reach) + 1:
                return cut
            self._wasted += reach // 16  # for looking takes time, too
        return self._guess_loosely(min(self._at + reach, len(self._data))) if self._varied else 0

    def _guess_loosely(self, end: int) -> int:
        find = find_commas if self._form == "array" and not self._objects else find_object_gaps[self._form]
        gaps = list(find(self._data, max(self._at, end - TAIL), end))
        self._wasted += TAIL // 16
        return gaps[-1].start() + 1 if gaps else 0

    def _walk(self) -> None:
        try:
            size = self._size()  # first: it may move what is in memory
        except MalformedScan as fault:
            if not self._pass_broken_line(fault):
                raise
            return
        end = self._at + size
        if not self._take_array(end):
            raise self._fault(Reason.TOO_DEEP)
        self._objects = self._data[self._at] == ord("{")
        if gap := match_gap(self._data, end - 1):
            self._varied = gap[1] != self._gaps[-1]
            self._gaps = gap.group(0, 1)
        self._at = end

    def _take_text(self, end: int) -> bool:
        if self._form == "lines":
            return self._take_batch(memoryview(self._data)[self._at : end], "lines")
        return self._take_array(end)

    def _take_array(self, end: int) -> bool:
        if end < len(self._data):
            return self._take_in_brackets(end)
        self._data += b" "
        taken = self._take_in_brackets(end)
        del self._data[end:]
        return taken

    def _take_in_brackets(self, end: int) -> bool:
        # Instead of a copy with brackets around it: brackets in the place of its neighbours, for a moment.
        text = memoryview(self._data)[self._at - 1 : end + 1]
        neighbours = text[0], text[-1]
        text[0], text[-1] = b"[]"
        taken = self._take_batch(text, "array")
        text[0], text[-1] = neighbours
        return taken

    def _pass_broken_line(self, fault: MalformedScan) -> bool:
        """Reject the line that starts here by itself, if it can be told that it is no more than a line."""
        stopped = fault.offset - self.position
        if self._form == "array" or fault.reason != Reason.NOT_JSON or self._data[self._at] != ord("{"):
            return False
        size = self._size_of_line()
        # Where the parser stopped tells that it took nothing of the next line for a part of this one.
        following = self._data[self._at + size + 1 : self._at + size + 5].removeprefix(BOM)
        if not (size and stopped <= size + 1 and following.startswith(b"{") and self._comes_after_lines()):
            return False
        line = memoryview(self._data)[self._at : self._at + size]
        self._take_broken_line(line[: end_of_value(line, size)])
        self._at += size
        self._mended = self.position
        return True

    def _size_of_line(self) -> int:
        """Measure the line that starts here, and have the next one's beginning in memory; 0 without one."""
        wanted = self.block // 8
        while True:
            self._fill(wanted)
            size = self._data.find(b"\n", self._at, self._at + self.record_limit + 1) - self._at
            if size > 0 or self._ended or wanted > self.record_limit:
                self._fill(size + 1 + len(BOM) + 1)
                return max(size, 0)
            wanted = 2 * wanted + 1

    def _comes_after_lines(self) -> bool:
        start = max(self._at - self.lines_before, 0)
        mended = self._mended - self._passed
        before = self._data[max(start, mended) : self._at]
        return are_records(before, whole=mended >= start)


def _is_records_key(key: bytes) -> bool:
    try:
        return decode_text(key) == RECORDS_KEY
    except (DecodeError, UnicodeDecodeError):
        return False
