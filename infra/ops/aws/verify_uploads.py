"""Checks of uploads: published, replaced, rejected, removed and undeleted test objects."""

import time
from collections.abc import Callable
from typing import Any

import boto3

from infra.ops.aws.processor import RETRY_SECONDS, Processor, is_transient
from infra.ops.aws.synthetic import Scans, scans
from infra.ops.aws.target import PREFIX, Target, UnexpectedError
from infra.ops.aws.uploads import Outcome, UnhandledError, head, read, report_key, upload_with
from infra.ops.aws.versions import versions_of

# The output has more than two parts of 8 MiB, the part size of the pipeline.
MANY = 500_000
# The report has more than two parts, too. So few records ring no alarm, unless rejected_records_threshold is
# lower.
REJECTED, LARGE = 4, 6_000_000  # records, and bytes of each record
POLL_SECONDS = 0.1
UNVERSIONED = "the raw bucket keeps no versions"


class UploadChecks:
    """Each check returns what it observed, or raises UnexpectedError."""

    def __init__(self, target: Target, folder: str) -> None:
        self._target = target
        self._folder = f"{PREFIX}{folder}/"
        self._new_until = time.monotonic() + target.patience.bucket
        self._s3: Any = boto3.client("s3", region_name=target.region)
        self._processor = Processor(target)

    def checks(self) -> dict[str, Callable[[], str]]:
        """Return the checks by name."""
        return {
            "a small object is published": self.small,
            "an output of several parts is published": self.several_parts,
            "the same key is replaced": self.replaced,
            "records that are not valid are rejected": self.rejected,
            "a malformed document is reported": self.malformed,
            "a repeated event changes nothing": self.event_again,
            "after a removal the previous version is published": self.removed,
            "an undeleted object is published": self.undeleted,
        }

    def small(self) -> str:
        """Upload one patient."""
        return self._publish("small", scans(1))

    def several_parts(self) -> str:
        """Upload a document whose output has several parts."""
        return self._publish("several-parts", scans(MANY))

    def replaced(self) -> str:
        """Replace an object of several parts by another one."""
        self._upload("replaced", scans(MANY).packed)
        return self._publish("replaced", scans(MANY + 1))

    def rejected(self) -> str:
        """Upload one valid record and several that are not."""
        mixed = scans(1, *[{"scan": "x" * LARGE}] * REJECTED)
        outcome = self._upload("rejected", mixed.packed)
        self._expect(outcome, mixed)
        name = report_key(outcome.key, outcome.version)
        report = self._poll(lambda: read(self._s3, self._target.buckets.rejected, name))
        if report != mixed.rejected:
            raise UnexpectedError(f"the report has {_size(report)}, not {_size(mixed.rejected)}")
        reason = mixed.reasons[0]["reason"]
        return f"1 published, {REJECTED} rejected ({reason}), report of {_size(report)}"

    def malformed(self) -> str:
        """Upload half a document."""
        outcome = self._upload("malformed", b'[{"patient_id":')
        # Look right away: a wrong publication comes before the report.
        if not outcome.malformed or list(versions_of(self._s3, self._target.buckets.processed, outcome.key)):
            raise UnexpectedError("it was published")
        return f"reported: {outcome.malformed}; nothing published"

    def event_again(self) -> str:
        """Send the event of a published upload again."""
        outcome = self._upload("event-again", scans(1).packed)
        before = self._published(outcome.key)
        while error := self._processor.process(outcome.key):
            if not is_transient(error) or time.monotonic() > self._new_until:
                raise UnexpectedError(f"the function answered {error}")
            time.sleep(RETRY_SECONDS)
        if (after := self._published(outcome.key)) != before:
            raise UnexpectedError(f"{before} became {after}")
        return f"no error; still {before}"

    def removed(self) -> str:
        """Remove the newest of two versions permanently."""
        return self._retry_while_new(self._key("removed"), self._remove_newest)

    def undeleted(self) -> str:
        """Delete an object and its output, then remove the delete marker."""
        return self._retry_while_new(self._key("undeleted"), self._delete_and_undelete)

    def _remove_newest(self) -> str:
        first, second = scans(1), scans(2)
        before = self._upload_versioned("removed", first)
        newest = self._upload_versioned("removed", second)
        self._remove(self._target.buckets.raw, newest.key, newest.version)
        self._await(before)
        self._expect(before, first)
        return "the first of two versions, after the second was removed"

    def _delete_and_undelete(self) -> str:
        outcome = self._upload_versioned("undeleted", scan := scans(1))
        raw, processed, _ = self._target.buckets
        marker = self._s3.delete_object(Bucket=raw, Key=outcome.key).get("VersionId")
        if not marker:
            raise UnhandledError(UNVERSIONED)
        for one in versions_of(self._s3, processed, outcome.key):
            self._remove(processed, outcome.key, one.id)
        self._remove(raw, outcome.key, marker)
        self._await(outcome)
        self._expect(outcome, scan)
        return "again, after its delete marker was removed"

    def _publish(self, name: str, expected: Scans) -> str:
        outcome = self._upload(name, expected.packed)
        body = self._expect(outcome, expected)
        return f"{outcome.extracted:,} published, {_size(body)}, after {outcome.milliseconds / 1000:.1f} s"

    def _upload(self, name: str, document: bytes) -> Outcome:
        s3, buckets, seconds = self._s3, self._target.buckets, self._target.patience.upload
        key = self._key(name)
        return self._retry_while_new(key, lambda: upload_with(s3, buckets, key, document, seconds=seconds))

    def _key(self, name: str) -> str:
        return f"{self._folder}{name}.json"

    def _retry_while_new[T](self, key: str, attempt: Callable[[], T]) -> T:
        """Retry while the bucket is new: it may lose its first versions and events."""
        while True:
            try:
                return attempt()
            except UnhandledError as error:
                self._raise_unless_new(error, key)
            time.sleep(RETRY_SECONDS)

    def _raise_unless_new(self, error: UnhandledError, key: str) -> None:
        answer = self._processor.process(key)
        if (answer and not is_transient(answer)) or time.monotonic() > self._new_until:
            words = f"answers: {answer}" if answer else "reports no error"
            raise UnexpectedError(f"{error}; invoked for it, the function {words}")

    def _upload_versioned(self, name: str, document: Scans) -> Outcome:
        outcome = self._upload(name, document.packed)
        kept = versions_of(self._s3, self._target.buckets.raw, outcome.key)
        if outcome.version not in {one.id for one in kept}:
            raise UnhandledError(UNVERSIONED)
        return outcome

    def _remove(self, bucket: str, key: str, version: str) -> None:
        self._s3.delete_object(Bucket=bucket, Key=key, VersionId=version)

    def _await(self, outcome: Outcome) -> None:
        """Wait until this version is published."""
        deadline = time.monotonic() + self._target.patience.upload
        while not read(self._s3, self._target.buckets.processed, outcome.key, outcome.version):
            if time.monotonic() > deadline:
                raise UnhandledError(f"not published within {self._target.patience.upload:g} seconds")
            time.sleep(0.05)

    def _expect(self, outcome: Outcome, expected: Scans) -> bytes:
        key, version = outcome.key, outcome.version
        body = self._poll(lambda: read(self._s3, self._target.buckets.processed, key, version))
        if body != expected.published:
            raise UnexpectedError(f"{_size(body)} published, not the {_size(expected.published)} expected")
        return body

    def _published(self, key: str) -> str:
        return self._poll(lambda: self._described(key))

    def _described(self, key: str) -> str:
        found = head(self._s3, self._target.buckets.processed, key)
        if not found:
            return ""
        return f"{found['ETag']} of {found['LastModified']:%H:%M:%S}, version {found.get('VersionId')}"

    def _poll[T: (str, bytes)](self, look: Callable[[], T]) -> T:
        """Poll until a read returns something: reads of a new bucket may be inconsistent for a while."""
        deadline = max(self._new_until, time.monotonic() + self._target.patience.upload)
        while not (found := look()) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return found


def _size(body: bytes) -> str:
    return f"{len(body):,} bytes"
