"""Scans of nobody, to try a stage with: the sample's, and what is to become of them by the contract here."""

import gzip
import json
from itertools import cycle, islice
from typing import Any, NamedTuple

from chalicelib.extraction import extract
from infra.ops.local.cloud import ROOT

SAMPLE: list[dict[str, Any]] = json.loads((ROOT / "samples" / "ikerian_sample.json").read_text())


class Scans(NamedTuple):
    """A document, and the bytes that are to be published and rejected of it."""

    document: bytes
    published: bytes
    rejected: bytes

    @property
    def packed(self) -> bytes:
        """The document as gzip, which spares the operator's line."""
        return gzip.compress(self.document, compresslevel=1)

    @property
    def reasons(self) -> list[dict[str, Any]]:
        """What is rejected, and why, without the records."""
        lines = map(json.loads, self.rejected.splitlines())
        return [{"index": line["index"], "reason": line["reason"]} for line in lines]


def scans(count: int, *others: dict[str, str]) -> Scans:
    """Make a document of so many valid scans, and of others."""
    document = json.dumps([*islice(cycle(SAMPLE), count), *others]).encode()
    published, rejected = bytearray(), bytearray()
    extract([document], published.extend, rejected.extend)
    return Scans(document, bytes(published), bytes(rejected))
