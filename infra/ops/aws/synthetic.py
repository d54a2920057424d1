"""Synthetic documents for the checks of `verify`, with the output that this checkout's contract expects."""

import gzip
import json
from itertools import cycle, islice
from typing import Any, NamedTuple

from chalicelib.extraction import extract
from infra.ops.local.cloud import ROOT

SAMPLE: list[dict[str, Any]] = json.loads((ROOT / "samples" / "ikerian_sample.json").read_text())


class Scans(NamedTuple):
    """A document, with the bytes that the pipeline must publish and reject."""

    document: bytes
    published: bytes
    rejected: bytes

    @property
    def packed(self) -> bytes:
        """The document in gzip, to save upload time."""
        return gzip.compress(self.document, compresslevel=1)

    @property
    def reasons(self) -> list[dict[str, Any]]:
        """Index and reason of each rejected record."""
        lines = map(json.loads, self.rejected.splitlines())
        return [{"index": line["index"], "reason": line["reason"]} for line in lines]


def scans(count: int, *others: dict[str, str]) -> Scans:
    """Make a document of `count` valid scans and of other records."""
    document = json.dumps([*islice(cycle(SAMPLE), count), *others]).encode()
    published, rejected = bytearray(), bytearray()
    extract([document], published.extend, rejected.extend)
    return Scans(document, bytes(published), bytes(rejected))
