"""Check the outcome of every upload of a workload, in buckets, logs and failures."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import boto3

from infra.ops.aws.uploads import report_key
from tests.chaos.documents import CANARIES, Expected, digest
from tests.chaos.worker_pool import BUCKETS
from tests.chaos.workload import HOT, Workload


class Verdict(NamedTuple):
    """The keys with a fault, by fault."""

    lost: list[str]  # the current version is neither published nor reported
    stale: list[str]  # an older version than the current one is published
    wrong: list[str]  # the processed or rejected object is not the expected one
    twice: list[str]  # a key with one version was published more than once
    leaks: list[str]  # a canary is in metadata, a log line or a failure

    @property
    def faultless(self) -> bool:
        return not any(self)


class Found(NamedTuple):
    """An object in a bucket."""

    version: str
    metadata: dict[str, str]
    body: bytes


def judge(workload: Workload, log: str, failed: list[dict[str, Any]]) -> Verdict:
    """Check every key, every log line and every failure."""
    s3 = boto3.client("s3")
    faults = {
        key: set(KeyCheck(s3, key, erased=key in workload.erased).faults(versions))
        for key, versions in workload.expected.items()
    }
    by_kind = {kind: [key for key in faults if kind in faults[key]] for kind in Verdict._fields}
    by_kind["leaks"] += leaks([*log.splitlines(), *(json.dumps(without_keys(event)) for event in failed)])
    return Verdict(**by_kind)


def publications() -> int:
    """Count all versions of all processed objects."""
    pages = boto3.client("s3").get_paginator("list_object_versions").paginate(Bucket=BUCKETS.processed)
    return sum(len(page.get("Versions", [])) for page in pages)


class KeyCheck:
    """Checks one key in the three buckets."""

    def __init__(self, s3: Any, key: str, *, erased: bool) -> None:
        self._s3 = s3
        self._key = key
        self._erased = erased

    def faults(self, expected: dict[str, Expected]) -> Iterator[str]:
        raw = self._read(BUCKETS.raw, self._key)
        current = raw.version if raw else None
        yield from self._published(expected, current)
        for version, outcome in expected.items():
            yield from self._reported(version, outcome, current=version == current)
        if HOT not in self._key and self._publications() > 1:
            yield "twice"

    def _published(self, expected: dict[str, Expected], current: str | None) -> Iterator[str]:
        published = self._read(BUCKETS.processed, self._key)
        made_from = published and published.metadata["source-version"]
        if current and not expected[current].malformed and made_from != current:
            if published:
                yield "stale"
            elif not self._erased:
                yield "lost"
        if published and made_from and digest(published.body) != expected[made_from].published:
            yield "wrong"
        if published and leaks([str(published.metadata)]):
            yield "leaks"

    def _reported(self, version: str, expected: Expected, *, current: bool) -> Iterator[str]:
        report = self._read(BUCKETS.rejected, report_key(self._key, version))
        # An older version may have been replaced before a worker read it.
        if current and not report and (expected.rejected or expected.malformed):
            yield "lost"
        if report and not is_expected(report.body, expected):
            yield "wrong"
        if report and leaks([str(report.metadata)]):
            yield "leaks"

    def _publications(self) -> int:
        listing = self._s3.list_object_versions(Bucket=BUCKETS.processed, Prefix=self._key)
        return len(listing.get("Versions", []))

    def _read(self, bucket: str, key: str) -> Found | None:
        try:
            answer = self._s3.get_object(Bucket=bucket, Key=key)
        except self._s3.exceptions.NoSuchKey:
            return None
        return Found(answer["VersionId"], answer["Metadata"], answer["Body"].read())


def is_expected(report: bytes, expected: Expected) -> bool:
    if expected.malformed:
        return set(json.loads(report)) == {"reason", "offset"}
    return digest(report) == expected.rejected


def leaks(lines: list[str]) -> list[str]:
    return [line for line in lines if any(canary in line for canary in CANARIES)]


def without_keys(event: dict[str, Any]) -> dict[str, Any]:
    """Remove the keys, which an event in the failure queue must contain."""
    copy: dict[str, Any] = json.loads(json.dumps(event))
    for record in copy.get("Records", []):
        del record["s3"]["object"]["key"]
    return copy
