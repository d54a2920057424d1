"""The extraction: bytes of retina scans in; processed and rejected records out. It knows nothing of AWS.

A document is a JSON array of records, or records one after another: one alone, JSON Lines, or objects with
nothing between them, as Firehose writes. It is UTF-8 or UTF-16, plain or gzip. `json_batches` cuts it into
batches of whole records, and `sorting` sorts these. Memory grows with the largest record, not the document.
"""

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, cast

import msgspec
from msgspec.inspect import multi_type_info

from chalicelib.decoding import Document
from chalicelib.json_batches import Cutter
from chalicelib.json_scanner import Form
from chalicelib.malformed import MalformedScan, Reason
from chalicelib.records import RECORDS_KEY, PatientRecord, ScanRecord
from chalicelib.rejections import ALL_MISSING, RejectedRecord, add_one_object_hint, encode_rejected
from chalicelib.sorting import sort_batch

type Write = Callable[[bytes], object]


def revision_of(records_key: str | None, *types: type[msgspec.Struct]) -> str:
    """Return the revision of a contract. Comments and docstrings do not change it."""
    _, schemas = msgspec.json.schema_components(types)
    described = [
        {word: rule for word, rule in each.items() if word != "description"} for each in schemas.values()
    ]
    # Several types have the same schema: text and times, for example. Addresses differ in every process.
    fields = re.sub(r" at 0x\w+", "", repr(multi_type_info(types)))
    return f"2:{zlib.crc32(msgspec.json.encode([records_key, described, fields])):08x}"


REVISION = revision_of(RECORDS_KEY, PatientRecord, ScanRecord)
"""Changes whenever an output may change, so that a replay redoes it. It is derived from the contract."""


class Summary(NamedTuple):
    """What became of a document: how many records were extracted and rejected, and how many bytes read."""

    extracted: int
    rejected: int
    bytes_read: int

    @property
    def refused(self) -> bool:
        """Whether there are records, but none is valid: probably this is another kind of document."""
        return self.rejected > 0 and self.extracted == 0


def extract(
    source: Iterable[bytes],
    processed: Write,
    rejected: Write,
    bounded: Callable[[Iterator[bytes]], Iterator[bytes]] = iter,
) -> Summary:
    """Write the valid records of a document to `processed` and all others to `rejected`, in their order.

    `processed` gets a JSON array with one record on each line (`[]` if there are none), `rejected` gets
    JSON Lines of RejectedRecord, a long line in pieces. Both are written while the source is read: if this
    raises, discard them. `bounded` gets the document, decompressed and in UTF-8, and yields it; it may raise
    if that is too large. Raises MalformedScan, and whatever the four arguments raise.
    """
    document = Document(source)
    text = bounded(document.text())
    output = Output(processed, rejected)
    cutter = Cutter(text, output.write_batch, output.write_broken_line)
    try:
        cutter.cut()
    except MalformedScan:
        # Broken gzip is reported first, wherever else the document is broken: read all of it to find out.
        for _ in text if document.compressed else ():
            pass
        raise
    output.finish(one_object=cutter.are_lines and output.records == 1)
    return Summary(output.extracted, output.rejected, document.bytes_read)


class Output:
    """Writes valid records to `processed`, and all others to `rejected`."""

    def __init__(self, processed: Write, rejected: Write) -> None:
        self._processed, self._rejected = processed, rejected
        self._held: list[bytes] = []  # the line of the first record, while it may be the only one
        self.extracted = self.rejected = 0

    @property
    def records(self) -> int:
        """How many records have been written."""
        return self.extracted + self.rejected

    def write_batch(self, text: bytes | memoryview, form: Form) -> bool:
        """Write all records of a text if it consists of whole records. Returns whether it does."""
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

    def write_broken_line(self, line: memoryview) -> None:
        """Write a line that is not JSON to `rejected`."""
        self._release()
        rejected = RejectedRecord(self.records, Reason.NOT_JSON, record_base64=cast("bytes", line))
        self._reject([rejected], len(line))

    def finish(self, *, one_object: bool) -> None:
        """Write what is left. `one_object`: whether the document is one object, and so the only record."""
        if one_object and self._held:
            self._held[0] = add_one_object_hint(self._held[0])
        self._release()
        self._processed(b"\n]\n" if self.extracted else b"[]\n")

    def _reject(self, records: Sequence[RejectedRecord], size: int) -> None:
        first = not self.records
        for piece in encode_rejected(records, size):
            if self._held or (first and piece.startswith(ALL_MISSING)):
                self._held.append(piece)
            else:
                self._rejected(piece)
        self.rejected += len(records)

    def _release(self) -> None:
        for piece in self._held:
            self._rejected(piece)
        self._held.clear()
