"""Summaries of the reports in the rejected bucket: reasons, indexes and offsets, but no record."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

from infra.ops.aws.uploads import report_key

CHUNK = 1024 * 1024  # bytes
LINE_PREFIX = 4096  # bytes that are read of a line; the record, which may be large, comes after the reason
FIRST = 3  # indexes that are shown for each reason
TEXT = rb'("(?:[^"\\]|\\.)*")'
REJECTED = re.compile(rb'\{"index":(\d+),"reason":' + TEXT)
MALFORMED = re.compile(rb'\{"reason":' + TEXT + rb',"offset":(\d+)\}')


class ReasonCount(NamedTuple):
    """The number of records that were rejected for one reason, and the indexes of the first of them."""

    records: int
    first: list[int]


class Report(NamedTuple):
    """Counts by reason; or, for a malformed document, its reason and the offset in bytes."""

    reasons: dict[str, ReasonCount]
    malformed: str = ""
    offset: int = 0


def read_report(s3: Any, bucket: str, key: str, version: str) -> Report | None:
    """Summarise the report on a version; None if there is none."""
    try:
        answer = s3.get_object(Bucket=bucket, Key=report_key(key, version))
    except s3.exceptions.NoSuchKey:
        return None
    with closing(answer["Body"]) as stream:
        return summarise(stream.iter_chunks(CHUNK))


def summarise(chunks: Iterable[bytes]) -> Report:
    """Summarise a report that is read in chunks."""
    reasons: dict[str, ReasonCount] = {}
    for line in _line_prefixes(chunks):
        if found := MALFORMED.match(line):
            return Report({}, json.loads(found[1]), int(found[2]))
        if found := REJECTED.match(line):
            text = json.loads(found[2])
            records, first = reasons.get(text, ReasonCount(0, []))
            reasons[text] = ReasonCount(records + 1, [*first, int(found[1])][:FIRST])
    return Report(reasons)


def _line_prefixes(chunks: Iterable[bytes]) -> Iterator[bytes]:
    line = b""
    for chunk in chunks:
        more, *lines = chunk.split(b"\n")
        line = (line + more[:LINE_PREFIX])[:LINE_PREFIX]
        for following in lines:
            yield line
            line = following[:LINE_PREFIX]
    if line:
        yield line
