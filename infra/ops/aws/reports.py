"""What the rejected bucket says of a version of an object: reasons and places, and not a word of a record."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

from infra.ops.aws.uploads import report_key

CHUNK = 1024 * 1024  # bytes
BEGINNING = 4096  # bytes of a line; a record, which may have 64 MiB, comes after its reason
FIRST = 3  # places that are told of a reason
TEXT = rb'("(?:[^"\\]|\\.)*")'
REJECTED = re.compile(rb'\{"index":(\d+),"reason":' + TEXT)
MALFORMED = re.compile(rb'\{"reason":' + TEXT + rb',"offset":(\d+)\}')


class Reason(NamedTuple):
    """Why records were rejected: how many, and the indexes of the first of them."""

    records: int
    first: list[int]


class Report(NamedTuple):
    """Reasons why records were rejected; or why, and at which byte, the whole document is malformed."""

    reasons: dict[str, Reason]
    malformed: str = ""
    offset: int = 0


def read_report(s3: Any, bucket: str, key: str, version: str) -> Report | None:
    """Read a report as a stream; None if there is none."""
    try:
        answer = s3.get_object(Bucket=bucket, Key=report_key(key, version))
    except s3.exceptions.NoSuchKey:
        return None
    with closing(answer["Body"]) as stream:
        return summarised(stream.iter_chunks(CHUNK))


def summarised(chunks: Iterable[bytes]) -> Report:
    """Sum up the lines of a report."""
    reasons: dict[str, Reason] = {}
    for line in _beginnings(chunks):
        if found := MALFORMED.match(line):
            return Report({}, json.loads(found[1]), int(found[2]))
        if found := REJECTED.match(line):
            text = json.loads(found[2])
            records, first = reasons.get(text, Reason(0, []))
            reasons[text] = Reason(records + 1, [*first, int(found[1])][:FIRST])
    return Report(reasons)


def _beginnings(chunks: Iterable[bytes]) -> Iterator[bytes]:
    line = b""
    for chunk in chunks:
        more, *lines = chunk.split(b"\n")
        line = (line + more[:BEGINNING])[:BEGINNING]
        for following in lines:
            yield line
            line = following[:BEGINNING]
    if line:
        yield line
