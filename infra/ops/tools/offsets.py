"""Find the offsets at which records start in a document."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from chalicelib.decoders import records_of
from chalicelib.extraction import Output
from chalicelib.json_batches import Cutter
from chalicelib.json_scanner import Form


def find_offsets(pieces: Iterable[bytes], indices: list[int]) -> list[int]:
    """Return the offset, in decoded text, of each of these records. The indices are in ascending order."""
    finder = OffsetFinder(indices)
    finder.cutter = Cutter(pieces, finder.write_batch, finder.write_broken_line)
    finder.cutter.cut()
    return finder.offsets


class OffsetFinder(Output):
    """Finds the offsets at which records start, given their indices in ascending order."""

    cutter: Cutter

    def __init__(self, indices: list[int]) -> None:
        super().__init__(len, len)
        self._indices = indices
        self.offsets: list[int] = []

    def write_batch(self, text: bytes | memoryview, form: Form) -> bool:
        """Extract a batch, and find the wanted records in it."""
        first, whole = self.records, bytes(text)
        if not super().write_batch(text, form):
            return False
        if self._wanted(self.records):
            at = self.cutter.position - (form == "array")  # the bracket before it
            self._find(first, [at + start for start in _starts(whole, form)])
        return True

    def write_broken_line(self, line: memoryview) -> None:
        """Count a line that is not JSON, and find it if it is wanted."""
        first = self.records
        super().write_broken_line(line)
        self._find(first, [self.cutter.position])

    def _wanted(self, end: int) -> int:
        return bisect_left(self._indices, end)

    def _find(self, first: int, starts: list[int]) -> None:
        wanted = self._wanted(self.records)
        self.offsets += [starts[index - first] for index in self._indices[:wanted]]
        del self._indices[:wanted]


def _starts(text: bytes, form: Form) -> Iterator[int]:
    end = 0
    for record in map(bytes, records_of(text, form)):
        start = text.find(record, end)
        yield start
        end = start + len(record)
