"""`check`: validate documents, without publishing them."""

import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import boto3
import msgspec

from chalicelib.answer import without_record
from chalicelib.decoding import PIECE, Document
from chalicelib.extraction import extract
from chalicelib.malformed import MalformedReport, MalformedScan, Reason
from infra.ops.screen.progress import console
from infra.ops.tools.offsets import find_offsets

CONTEXT = 40  # bytes that are shown on either side of the error in a malformed document
ALL_VALID, SOME_REJECTED, MALFORMED = 0, 3, 4  # exit codes


class Rejected(msgspec.Struct):
    """Records rejected for one reason: their number, and index (from 0) and line (from 1) of the first."""

    count: int
    index: int
    line: int = 0


class Verdict(msgspec.Struct):
    """What an upload of a document would lead to."""

    file: str
    extracted: int = 0
    rejected: int = 0
    reasons: dict[str, Rejected] = {}
    malformed: MalformedReport | None = None
    empty: bool = False

    @property
    def summary(self) -> str:
        """The verdict in one line."""
        if self.malformed:
            return f"malformed: {self.malformed.reason} at byte {self.malformed.offset}, nothing published"
        if self.empty:
            return "empty: nothing yet"
        counts = f"{self.extracted} extracted, {self.rejected} rejected"
        return f"refused: {counts}" if self.rejected and not self.extracted else counts

    @property
    def exit_code(self) -> int:
        """Exit code for the verdict."""
        if self.malformed:
            return MALFORMED
        return SOME_REJECTED if self.rejected else ALL_VALID


def check(files: Iterable[str], *, as_json: bool) -> int:
    """Check files, `-` and `s3://bucket/key`; returns the highest of their exit codes."""
    verdicts = []
    for name in files:
        with _opened(name) as file:
            verdict = verdict_on(name, file)
            if not as_json:
                _show(verdict, file)
        verdicts.append(verdict)
    if as_json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(verdicts), indent=2) + "\n")
    return max(verdict.exit_code for verdict in verdicts)


def verdict_on(name: str, file: IO[bytes]) -> Verdict:
    """Check one document, with the extraction of an upload."""
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
    """Set the line on which each of the records starts."""
    first = sorted(rejected, key=lambda each: each.index)
    offsets = find_offsets(Document(_chunks(file)).text(), [each.index for each in first])
    passed, line = 0, 1
    for piece in Document(_chunks(file)).text():
        while offsets and offsets[0] < passed + len(piece):
            first.pop(0).line = line + piece.count(b"\n", 0, offsets.pop(0) - passed)
        passed, line = passed + len(piece), line + piece.count(b"\n")


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    """Open a document so that it can be read several times."""
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
    console.print(f"{verdict.file}: {verdict.summary}", highlight=False, markup=False)
    for reason, found in verdict.reasons.items():
        first = f"first: index {found.index}, line {found.line}"
        console.print(f"  {found.count} x {reason}; {first}", highlight=False, markup=False)
    if verdict.malformed:
        context = _context(file, verdict.malformed.offset)
        console.print(f"  around it: {context!r}", highlight=False, markup=False)


def _context(file: IO[bytes], offset: int) -> bytes:
    """Read the bytes around an offset, as far as they can be decoded."""
    first, end, passed, found = max(offset - CONTEXT, 0), offset + CONTEXT, 0, b""
    with suppress(MalformedScan):
        for piece in Document(_chunks(file)).text():
            found += piece[max(first - passed, 0) : max(end - passed, 0)]
            passed += len(piece)
            if passed > end:
                break
    return found
