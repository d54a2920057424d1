"""`check`: what would become of documents, without publishing them."""

import json
import shutil
import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import boto3
import msgspec

from chalicelib.answer import without_record
from chalicelib.decoders import records_of
from chalicelib.decoding import PIECE, Document
from chalicelib.extraction import Output, extract
from chalicelib.json_batches import Cutter
from chalicelib.json_scanner import Form
from chalicelib.malformed import MalformedReport, MalformedScan, Reason
from infra.ops.screen.progress import console

AROUND = 40  # bytes that are shown on either side of where a document is malformed
ALL_VALID, SOME_REJECTED, MALFORMED = 0, 3, 4  # exit codes


class Rejected(msgspec.Struct):
    """Records rejected for one reason: how many, and the first one's index (from 0) and line (from 1)."""

    count: int
    index: int
    line: int = 0


class Verdict(msgspec.Struct):
    """What would become of a document."""

    file: str
    extracted: int = 0
    rejected: int = 0
    reasons: dict[str, Rejected] = {}
    malformed: MalformedReport | None = None
    empty: bool = False

    @property
    def words(self) -> str:
        """Say it in a line."""
        if self.malformed:
            return f"malformed: {self.malformed.reason} at byte {self.malformed.offset}, nothing published"
        if self.empty:
            return "empty: nothing yet"
        counts = f"{self.extracted} extracted, {self.rejected} rejected"
        return f"refused: {counts}" if self.rejected and not self.extracted else counts

    @property
    def exit_code(self) -> int:
        """Tell a script how bad it is."""
        if self.malformed:
            return MALFORMED
        return SOME_REJECTED if self.rejected else ALL_VALID


def check(files: Iterable[str], *, as_json: bool) -> int:
    """Judge files, `-` and `s3://bucket/key`; returns the worst of their exit codes."""
    verdicts = []
    for name in files:
        with _opened(name) as file:
            verdict = judged(name, file)
            if not as_json:
                _show(verdict, file)
        verdicts.append(verdict)
    if as_json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(verdicts), indent=2) + "\n")
    return max(verdict.exit_code for verdict in verdicts)


def judged(name: str, file: IO[bytes]) -> Verdict:
    """Judge one document, as an upload of it would be."""
    tally = Tally()
    try:
        summary = extract(_chunks(file), len, tally.add)
    except MalformedScan as error:
        if error.reason == Reason.EMPTY and not file.tell():  # 0 bytes: nothing yet
            return Verdict(name, empty=True)
        return Verdict(name, malformed=MalformedReport(error.reason, error.offset))
    _number_lines(file, tally.reasons.values())
    return Verdict(name, summary.extracted, summary.rejected, tally.reasons)


class Tally:
    """Counts rejected records by reason."""

    def __init__(self) -> None:
        self.reasons: dict[str, Rejected] = {}
        self._line_ended = True

    def add(self, lines: bytes) -> None:
        """Count lines of the rejected bucket: whole ones, or a piece of a long one."""
        for line in filter(None, lines.split(b"\n")) if self._line_ended else ():
            rejection: dict[str, Any] = msgspec.json.decode(without_record(line))
            reason = self.reasons.setdefault(rejection["reason"], Rejected(0, rejection["index"]))
            reason.count += 1
        self._line_ended = lines.endswith(b"\n") if lines else self._line_ended


def _number_lines(file: IO[bytes], rejected: Iterable[Rejected]) -> None:
    """Find the lines on which records start."""
    first = sorted(rejected, key=lambda each: each.index)
    places = _places(file, [each.index for each in first])
    passed, line = 0, 1
    for piece in Document(_chunks(file)).text():
        while places and places[0] < passed + len(piece):
            first.pop(0).line = line + piece.count(b"\n", 0, places.pop(0) - passed)
        passed, line = passed + len(piece), line + piece.count(b"\n")


def _places(file: IO[bytes], indices: list[int]) -> list[int]:
    finder = Finder(indices)
    finder.cutter = Cutter(Document(_chunks(file)).text(), finder.write_batch, finder.write_broken_line)
    finder.cutter.cut()
    return finder.places


class Finder(Output):
    """Finds where in a document some records start, by their indices, in order."""

    cutter: Cutter

    def __init__(self, indices: list[int]) -> None:
        super().__init__(len, len)
        self._indices = indices
        self.places: list[int] = []

    def write_batch(self, text: bytes | memoryview, form: Form) -> bool:
        """Take a batch, and look for records in it."""
        first, whole = self.records, bytes(text)
        if not super().write_batch(text, form):
            return False
        if self._wanted(self.records):
            at = self.cutter.position - (form == "array")  # of the bracket before it
            self._find(first, [at + start for start in _starts(whole, form)])
        return True

    def write_broken_line(self, line: memoryview) -> None:
        """Take a line that is no JSON."""
        first = self.records
        super().write_broken_line(line)
        self._find(first, [self.cutter.position])

    def _wanted(self, end: int) -> int:
        return bisect_left(self._indices, end)

    def _find(self, first: int, starts: list[int]) -> None:
        wanted = self._wanted(self.records)
        self.places += [starts[index - first] for index in self._indices[:wanted]]
        del self._indices[:wanted]


def _starts(text: bytes, form: Form) -> Iterator[int]:
    end = 0
    for record in map(bytes, records_of(text, form)):
        start = text.find(record, end)
        yield start
        end = start + len(record)


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    """Open a document to be read several times."""
    if name != "-" and not name.startswith("s3://"):
        with Path(name).open("rb") as file:
            yield file
        return
    with TemporaryFile() as copy:
        if name == "-":
            shutil.copyfileobj(sys.stdin.buffer, copy)
        else:
            bucket, _, key = name.removeprefix("s3://").partition("/")
            boto3.client("s3").download_fileobj(bucket, key, copy)
        yield copy


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    return iter(lambda: file.read(PIECE), b"")


def _show(verdict: Verdict, file: IO[bytes]) -> None:
    console.print(f"{verdict.file}: {verdict.words}", highlight=False, markup=False)
    for reason, found in verdict.reasons.items():
        first = f"first: index {found.index}, line {found.line}"
        console.print(f"  {found.count} x {reason}; {first}", highlight=False, markup=False)
    if verdict.malformed:
        around = _around(file, verdict.malformed.offset)
        console.print(f"  around it: {around!r}", highlight=False, markup=False)


def _around(file: IO[bytes], offset: int) -> bytes:
    """Read the bytes around a place, as far as they can be decoded."""
    first, end, passed, found = max(offset - AROUND, 0), offset + AROUND, 0, b""
    with suppress(MalformedScan):
        for piece in Document(_chunks(file)).text():
            found += piece[max(first - passed, 0) : max(end - passed, 0)]
            passed += len(piece)
            if passed > end:
                break
    return found
