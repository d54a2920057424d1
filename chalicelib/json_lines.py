"""Find a broken line among JSON Lines, which is rejected alone, without mistaking nested JSON for records.

A line counts as broken only if the document has one record a line: every line that is kept before it is a
record, it starts with "{", and so does the next line, after any byte order marks. The parser must have
stopped within the line.
"""

from msgspec import DecodeError

from chalicelib.json_scanner import BOM, Scanner, measure
from chalicelib.malformed import MalformedScan, Reason
from chalicelib.masking import mask

SPACE = b" \t\r\xef\xbb\xbf"


class LineScanner(Scanner):
    """Finds broken lines."""

    _broken_until = 0  # the offset in the document where the last broken line ends

    def _size_of_broken_line(self, error: MalformedScan) -> int:
        """Measure the line that starts here if it is a broken line; otherwise return 0."""
        size = self._size_of_line() if self._may_be_broken(error) else 0
        stopped = error.offset - self.position
        if not (size and stopped <= size + 1 and self._object_follows(size) and self._follows_records()):
            return 0
        self._broken_until = self.position + size
        return size

    def _may_be_broken(self, error: MalformedScan) -> bool:
        opening = self._data[self._at : self._at + 1]
        return self._form == "lines" and error.reason == Reason.NOT_JSON and opening == b"{"

    def _size_of_line(self) -> int:
        """Buffer and measure the line that starts here; 0 if no line follows."""
        wanted = self.block // 8
        while True:
            self._fill(wanted)
            size = self._data.find(b"\n", self._at, self._at + self.record_limit + 1) - self._at
            if size > 0 or self._ended or wanted > self.record_limit:
                return max(size, 0)
            wanted = 2 * wanted + 1

    def _object_follows(self, size: int) -> bool:
        """Whether the line behind the one of this size starts with "{", after any byte order marks."""
        ahead = size + 1
        while ahead <= self.record_limit + 1:
            self._fill(ahead + len(BOM))
            while self._data.startswith(BOM, self._at + ahead):
                ahead += len(BOM)
            start = self._at + ahead
            if self._ended or start + len(BOM) <= len(self._data):
                return ahead <= self.record_limit + 1 and self._data[start : start + 1] == b"{"
        return False

    def _follows_records(self) -> bool:
        """Whether every line before the position is a record, as far as lines are kept."""
        start = max(self._at - self.lines_before, 0)
        broken_until = self._broken_until - self._passed
        before = self._data[max(start, broken_until) : self._at]
        *lines, indent = before.split(b"\n")
        if broken_until < start:  # the first line is not whole
            if not lines:
                return False
            lines.pop(0)
        return not indent.strip(SPACE) and all(map(_is_record, lines))


def _is_record(line: bytearray) -> bool:
    text = line.strip(SPACE)
    try:
        return not text or bool(measure(mask(text)))
    except (DecodeError, RecursionError):
        return False
