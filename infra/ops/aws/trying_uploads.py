"""What the stage makes of uploads, replaced and removed ones too: tried on objects of our own making."""

import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.exceptions import ClientError

from infra.ops.aws.asking import PAUSE, Processor, passes
from infra.ops.aws.synthetic import Scans, scans
from infra.ops.aws.target import PREFIX, Target, UnexpectedError
from infra.ops.aws.uploads import Outcome, UnhandledError, read, report_key, upload_by, versions

# More than two parts of the 8 MiB in which the pipeline writes.
MANY = 500_000
# Together more than two parts, too; so few that no alarm rings unless rejected_records_threshold is below.
REJECTED, LARGE = 4, 6_000_000  # records, and bytes of each
LOOK = 0.1  # seconds
UNVERSIONED = "the raw bucket keeps no versions"


class Uploads:
    """Tries each promise about uploads; says what it saw, or raises UnexpectedError."""

    def __init__(self, target: Target, folder: str) -> None:
        self._target = target
        self._folder = f"{PREFIX}{folder}/"
        self._settled = time.monotonic() + target.patience.bucket
        self._s3: Any = boto3.client("s3", region_name=target.region)
        self._processor = Processor(target)

    def checks(self) -> dict[str, Callable[[], str]]:
        """Name the promises, each with what tries it."""
        return {
            "a small object is published": self.small,
            "an output of several parts is published": self.several_parts,
            "the same key is replaced": self.replaced,
            "records that are not valid are rejected": self.rejected,
            "a malformed document is reported": self.malformed,
            "an event that comes again changes nothing": self.event_again,
            "the version below a removed one is published": self.removed,
            "what is undeleted is published": self.undeleted,
        }

    def small(self) -> str:
        """Upload one patient."""
        return self._publish("small", scans(1))

    def several_parts(self) -> str:
        """Upload what is published in three parts."""
        return self._publish("several-parts", scans(MANY))

    def replaced(self) -> str:
        """Replace an object of several parts by another one."""
        self._upload("replaced", scans(MANY).packed)
        return self._publish("replaced", scans(MANY + 1))

    def rejected(self) -> str:
        """Upload a valid record among others."""
        mixed = scans(1, *[{"scan": "x" * LARGE}] * REJECTED)
        outcome = self._upload("rejected", mixed.packed)
        self._expect(outcome, mixed)
        name = report_key(outcome.key, outcome.version)
        report = self._shown(lambda: read(self._s3, self._target.buckets.rejected, name))
        if report != mixed.rejected:
            raise UnexpectedError(f"the report has {_size(report)}, not {_size(mixed.rejected)}")
        reason = mixed.reasons[0]["reason"]
        return f"1 published, {REJECTED} rejected ({reason}), report of {_size(report)}"

    def malformed(self) -> str:
        """Upload half a document."""
        outcome = self._upload("malformed", b'[{"patient_id":')
        # It was there before the report would be, if at all.
        if not outcome.malformed or versions(self._s3, self._target.buckets.processed, outcome.key):
            raise UnexpectedError("it was published")
        return f"reported: {outcome.malformed}; nothing published"

    def event_again(self) -> str:
        """Send the event of an upload that is published once more."""
        outcome = self._upload("event-again", scans(1).packed)
        before = self._published(outcome.key)
        while error := self._processor.ask(outcome.key):
            if not passes(error) or time.monotonic() > self._settled:
                raise UnexpectedError(f"the function answered {error}")
            time.sleep(PAUSE)
        if (after := self._published(outcome.key)) != before:
            raise UnexpectedError(f"{before} became {after}")
        return f"no error; still {before}"

    def removed(self) -> str:
        """Remove the newest of two versions for good."""
        return self._patiently(self._key("removed"), self._remove_newest)

    def undeleted(self) -> str:
        """Delete an object and what was made of it, and take back the deletion."""
        return self._patiently(self._key("undeleted"), self._delete_and_undelete)

    def _remove_newest(self) -> str:
        first, second = scans(1), scans(2)
        before = self._upload_versioned("removed", first)
        newest = self._upload_versioned("removed", second)
        self._remove(self._target.buckets.raw, newest.key, newest.version)
        self._await(before)
        self._expect(before, first)
        return "the first of two versions, when the second was removed"

    def _delete_and_undelete(self) -> str:
        outcome = self._upload_versioned("undeleted", scan := scans(1))
        raw, processed, _ = self._target.buckets
        marker = self._s3.delete_object(Bucket=raw, Key=outcome.key).get("VersionId")
        if not marker:
            raise UnhandledError(UNVERSIONED)
        for one in versions(self._s3, processed, outcome.key):
            self._remove(processed, outcome.key, one["VersionId"])
        self._remove(raw, outcome.key, marker)
        self._await(outcome)
        self._expect(outcome, scan)
        return "again, when its delete marker was removed"

    def _publish(self, name: str, expected: Scans) -> str:
        outcome = self._upload(name, expected.packed)
        body = self._expect(outcome, expected)
        return f"{outcome.extracted:,} published, {_size(body)}, after {outcome.milliseconds / 1000:.1f} s"

    def _upload(self, name: str, document: bytes) -> Outcome:
        s3, buckets, seconds = self._s3, self._target.buckets, self._target.patience.upload
        key = self._key(name)
        return self._patiently(key, lambda: upload_by(s3, buckets, key, document, seconds=seconds))

    def _key(self, name: str) -> str:
        return f"{self._folder}{name}.json"

    def _patiently[T](self, key: str, attempt: Callable[[], T]) -> T:
        """Try until something comes of it: of a new bucket, the first objects and events may be lost."""
        while True:
            try:
                return attempt()
            except UnhandledError as error:
                self._give_up_if_hopeless(error, key)
            time.sleep(PAUSE)

    def _give_up_if_hopeless(self, error: UnhandledError, key: str) -> None:
        said = self._processor.ask(key)
        if (said and not passes(said)) or time.monotonic() > self._settled:
            answer = f"answered: {said}" if said else "said nothing"
            raise UnexpectedError(f"{error}; asked for it, the function {answer}")

    def _upload_versioned(self, name: str, document: Scans) -> Outcome:
        outcome = self._upload(name, document.packed)
        kept = versions(self._s3, self._target.buckets.raw, outcome.key)
        if outcome.version not in {one["VersionId"] for one in kept}:
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
        body = self._shown(lambda: read(self._s3, self._target.buckets.processed, key, version))
        if body != expected.published:
            raise UnexpectedError(f"{_size(body)} published, not the {_size(expected.published)} expected")
        return body

    def _published(self, key: str) -> str:
        return self._shown(lambda: self._head(key))

    def _head(self, key: str) -> str:
        try:
            head = self._s3.head_object(Bucket=self._target.buckets.processed, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] != "404":
                raise
            return ""
        return f"{head['ETag']} of {head['LastModified']:%H:%M:%S}, version {head.get('VersionId')}"

    def _shown[T: (str, bytes)](self, look: Callable[[], T]) -> T:
        """Look until there is something: a new bucket does not always show what has been seen in it."""
        deadline = max(self._settled, time.monotonic() + self._target.patience.upload)
        while not (found := look()) and time.monotonic() < deadline:
            time.sleep(LOOK)
        return found


def _size(body: bytes) -> str:
    return f"{len(body):,} bytes"
