"""The extraction: bytes of retina scans in; processed and rejected records out. It knows no AWS.

A document is a JSON array of records, or records one after another: one alone, JSON Lines, or objects with
nothing between them, as Firehose writes. It is UTF-8 or UTF-16, plain or gzip. It flows through in batches of
whole records, which `json_batches` cuts and `sorting` sorts; memory grows with the largest record alone.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, cast

import msgspec

from chalicelib.decoding import Document
from chalicelib.json_batches import Cutter
from chalicelib.json_scanner import Form
from chalicelib.malformed import MalformedScan, Reason
from chalicelib.records import RECORDS_KEY, PatientRecord, ScanRecord
from chalicelib.rows import NOTHING_THERE, RejectedRecord, rejected_lines, said_of_one_object
from chalicelib.sorting import sort_batch

type Write = Callable[[bytes], object]


def _contract() -> bytes:
    _, schemas = msgspec.json.schema_components([PatientRecord, ScanRecord])
    described = (
        {word: rule for word, rule in each.items() if word != "description"} for each in schemas.values()
    )
    return msgspec.json.encode([RECORDS_KEY, *described])


REVISION = f"2:{zlib.crc32(_contract()):08x}"
"""Changes when the output for some input does, so that a replay redoes it: with the contract by itself."""


class Summary(NamedTuple):
    """What became of a document: records extracted and rejected, and bytes taken from the source."""

    extracted: int
    rejected: int
    bytes_read: int

    @property
    def refused(self) -> bool:
        """Whether there are records, and none is valid: the document is of another kind than it should be."""
        return self.rejected > 0 and self.extracted == 0


def extract(
    source: Iterable[bytes],
    processed: Write,
    rejected: Write,
    bounded: Callable[[Iterator[bytes]], Iterator[bytes]] = iter,
) -> Summary:
    """Write the valid records of a document to `processed` and all others to `rejected`, in their order.

    `processed` gets a JSON array with one record on each line (`[]` if there are none), `rejected` gets
    JSON Lines of RejectedRecord. Both are written while the source is read: when this raises, discard them.
    `bounded` passes on the document, decompressed and in UTF-8, unless it is too large for the caller. Raises
    MalformedScan; what `source`, `processed`, `rejected` and `bounded` raise passes through.
    """
    document = Document(source)
    text = bounded(document.text())
    output = Output(processed, rejected)
    cutter = Cutter(text, output.take_batch, output.take_broken_line)
    try:
        cutter.cut()
    except MalformedScan:
        # Gzip that is broken is told first, wherever in it something else is: it is read to its end.
        for _ in text if document.compressed else ():
            pass
        raise
    output.finish(one_object=cutter.opening == b"{" and output.records == 1)
    return Summary(output.extracted, output.rejected, document.bytes_read)


class Output:
    """Writes sorted records where they belong."""

    def __init__(self, processed: Write, rejected: Write) -> None:
        self._processed, self._rejected = processed, rejected
        self._held: list[bytes] = []  # the first record, while it may be all there is
        self.extracted = self.rejected = 0

    @property
    def records(self) -> int:
        """How many records there have been."""
        return self.extracted + self.rejected

    def take_batch(self, text: bytes | memoryview, form: Form) -> bool:
        """Take all records of a text if it is whole; says whether it was."""
        self._release()
        try:
            batch = sort_batch(text, form, self.records)
        except (msgspec.DecodeError, RecursionError):
            return False
        if batch.rejected:
            self._reject(batch.rejected, len(text))
        if batch.valid_count:
            self._processed(b",\n" if self.extracted else b"[\n")
            self._processed(batch.valid[:-1].replace(b"\n", b",\n"))
            self.extracted += batch.valid_count
        return batch.valid_count + len(batch.rejected) > 0

    def take_broken_line(self, line: memoryview) -> None:
        """Take a line that is no JSON, among lines that are records."""
        self._release()
        rejected = RejectedRecord(self.records, Reason.NOT_JSON, record_base64=cast("bytes", line))
        self._reject([rejected], len(line))

    def finish(self, *, one_object: bool) -> None:
        """Write what is left. If the document is one object without the fields, they may be within it."""
        if one_object and self._held:
            self._held[0] = said_of_one_object(self._held[0])
        self._release()
        self._processed(b"\n]\n" if self.extracted else b"[]\n")

    def _reject(self, records: Sequence[RejectedRecord], size: int) -> None:
        first = not self.records
        for piece in rejected_lines(records, size):
            if self._held or (first and piece.startswith(NOTHING_THERE)):
                self._held.append(piece)
            else:
                self._rejected(piece)
        self.rejected += len(records)

    def _release(self) -> None:
        for piece in self._held:
            self._rejected(piece)
        self._held.clear()
