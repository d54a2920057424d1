"""Rules of S3 that MiniStack does not enforce."""

import time
from collections.abc import Iterator
from http import HTTPStatus
from itertools import combinations
from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import lambda_svc, s3

from infra.ops.local.strict.gate import Answer, Request, after, before

MIB = 1024 * 1024
SMALLEST_PART = 5 * MIB
# A bucket with this tag accepts smaller parts, for tests of many uploads. The value says why.
SMALL_PARTS_TAG = "takes-small-parts"
# Seconds until versioning that was first enabled takes effect; with AWS up to 15 minutes. For tests, this tag
# starts the period again and sets its length.
SETTLES = 0.3
SETTLES_TAG = "versioning-settles-in"
_unsettled: dict[str, tuple[float, set[str]]] = {}  # by bucket: end of the period, keys written in it

# MiniStack shows an account only its own buckets. This tag names another account as the bucket's owner.
OWNER_TAG = "belongs-to"

# Permissions that a header of a write requires in addition to s3:PutObject.
HEADER_ACTIONS = {
    "if-match": "s3:GetObject",
    "x-amz-acl": "s3:PutObjectAcl",
    "x-amz-tagging": "s3:PutObjectTagging",
}


@before(s3)
def part_checksums_require_an_algorithm(request: Request) -> Answer | None:
    """Refuse to complete an upload with part checksums if it was created without an algorithm.

    400 InvalidPart, although botocore sends a CRC32 with every part (AWS's answers in LocalStack's snapshots,
    2025-11 to 2026-02).
    """
    upload, parts = _completion(request)
    if not upload or upload["checksum_algorithm"] or not any(_checksums(part) for part in parts):
        return None
    return _refused("InvalidPart", "One or more of the specified parts could not be found.")


@before(s3)
def an_algorithm_requires_part_checksums(request: Request) -> Answer | None:
    """Refuse to complete an upload without part checksums if it was created with an algorithm.

    400 InvalidRequest (the same snapshots). Except for CRC64NVME, a checksum of the whole object.
    """
    upload, parts = _completion(request)
    algorithm = upload["checksum_algorithm"] if upload else None
    if algorithm in {None, "CRC64NVME"} or all(_checksums(part) for part in parts):
        return None
    return _refused("InvalidRequest", f"The {algorithm} checksum of each part must be named.")


@before(s3)
def all_parts_but_the_last_have_5_mib(request: Request) -> Answer | None:
    """Refuse to complete an upload with smaller parts: 400 EntityTooSmall.

    S3 User Guide, "Amazon S3 multipart upload limits"; the code as in pingcap/tidb#30534. 2026-11.
    """
    upload, parts = _completion(request)
    if not upload or SMALL_PARTS_TAG in s3._bucket_tags.get(request.bucket, {}):
        return None
    numbers = sorted(int(part["PartNumber"]) for part in parts)
    sizes = [upload["parts"][number]["size"] for number in numbers if number in upload["parts"]]
    if all(size >= SMALLEST_PART for size in sizes[:-1]):
        return None
    return _refused("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")


@before(s3)
def some_headers_of_a_write_require_another_permission(request: Request) -> Answer | None:
    """Refuse a write with tags, an ACL or If-Match if the caller lacks the additional permission.

    403 AccessDenied (S3 API, PutObject, "Permissions"; S3 User Guide, "How to prevent object overwrites with
    conditional writes"; 2026-11).
    """
    if not request.key or request.method not in {"PUT", "POST"}:
        return None
    headers = s3._merge_hoisted_amz_headers(request.headers, request.query)  # of a presigned URL
    resource = f"arn:aws:s3:::{request.bucket}/{request.key}"
    required = [action for name, action in HEADER_ACTIONS.items() if name in headers]
    return next((_denied(action) for action in required if not request.may(action, resource)), None)


@before(s3)
def versioning_takes_effect_after_a_while(request: Request) -> None:
    """Record when versioning is first enabled on a bucket, for the next rule."""
    if request.method != "PUT" or request.key:
        return
    if "versioning" in request.query and s3._bucket_versioning.get(request.bucket) is None:
        _unsettled[request.bucket] = (time.monotonic() + SETTLES, set())
    if "tagging" in request.query and SETTLES_TAG.encode() in request.body:
        seconds = float(s3._parse_tags_xml(request.body)[SETTLES_TAG])
        _unsettled[request.bucket] = (time.monotonic() + seconds, set())


@after(s3)
def an_object_written_before_that_is_not_visible_yet(request: Request, answer: Answer) -> Answer:
    """Until versioning takes effect, omit the version id of writes, and answer reads of their keys with 404.

    NoSuchKey, without x-amz-delete-marker (S3 User Guide, "Enabling versioning on buckets", 2026-11). With
    AWS a GET may fail so for up to 15 minutes. Here every one does, so that tests are deterministic.
    """
    until, keys = _unsettled.get(request.bucket, (0.0, set()))
    status, headers, body = answer
    if time.monotonic() > until:
        return answer
    if request.writes and status == HTTPStatus.OK:
        keys.add(request.key)
        return status, {name: headers[name] for name in headers if name != "x-amz-version-id"}, body
    if request.reads and request.key in keys and status != HTTPStatus.NOT_FOUND:
        return _refused("NoSuchKey", "The specified key does not exist.", HTTPStatus.NOT_FOUND)
    return answer


@after(s3)
def a_missing_key_is_404_only_for_a_caller_who_may_list(request: Request, answer: Answer) -> Answer:
    """Answer 403 AccessDenied for a missing key if the caller lacks s3:ListBucket.

    S3 API, GetObject and HeadObject, "Permissions", 2026-11.
    """
    bucket_exists = request.bucket in s3._buckets
    missing = request.reads and answer[0] == HTTPStatus.NOT_FOUND and "versionId" not in request.query
    if not (missing and bucket_exists) or request.may("s3:ListBucket", f"arn:aws:s3:::{request.bucket}"):
        return answer
    return _denied("s3:ListBucket")


@before(s3)
def an_expected_bucket_owner_is_checked(request: Request) -> Answer | None:
    """Refuse a request that names another expected bucket owner: 403 AccessDenied.

    S3 User Guide, "Verifying bucket ownership with bucket owner condition", 2025-11.
    """
    expected = request.headers.get("x-amz-expected-bucket-owner")
    if expected is None or owner(request.bucket) in {None, expected}:
        return None
    return _refused("AccessDenied", "Access Denied", HTTPStatus.FORBIDDEN)


@before(s3)
def an_event_has_one_destination(request: Request) -> Answer | None:
    """Refuse a notification with two destinations for the same event and key.

    400 InvalidArgument (S3 User Guide, "Configuring event notifications using object key name filtering",
    2025-11; hashicorp/terraform-provider-aws#765; aws/chalice#1999).
    """
    if request.key or request.method != "PUT" or "notification" not in request.query:
        return None
    rules = s3._parse_notification_config_raw(request.body.decode())
    if not any(_overlap(one, other) for one, other in combinations(rules, 2)):
        return None
    return _refused("InvalidArgument", "Configuration is ambiguously defined.")


@before(s3)
def a_notified_function_must_permit_s3_to_invoke_it(request: Request) -> Answer | None:
    """Refuse a notification to a function whose policy does not permit S3 to invoke it for the bucket.

    400 InvalidArgument (S3 User Guide, "Granting permissions to publish event notification messages",
    2025-11; the message as in webiny/webiny-js#1807).
    """
    if request.key or request.method != "PUT" or "notification" not in request.query:
        return None
    rules = s3._parse_notification_config_raw(request.body.decode())
    closed = [rule["arn"] for rule in rules if rule["type"] == "lambda" and not _invokes(request, rule)]
    if not closed:
        return None
    words = "Unable to validate the following destination configurations"
    return _refused("InvalidArgument", words)


def owner(bucket: str) -> str | None:
    """Return the account that owns a bucket; None if there is no such bucket."""
    if bucket not in s3._buckets:
        return None
    account: str = s3._bucket_tags.get(bucket, {}).get(OWNER_TAG) or get_account_id()
    return account


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Say whether both rules match some event of some key."""
    same_event = any(
        s3._event_matches(event, [pattern]) or s3._event_matches(pattern, [event])
        for event in one["events"]
        for pattern in other["events"]
    )
    starts = [rule["filter_prefix"] or "" for rule in (one, other)]
    ends = [rule["filter_suffix"] or "" for rule in (one, other)]
    same_start = starts[0].startswith(starts[1]) or starts[1].startswith(starts[0])
    return same_event and same_start and (ends[0].endswith(ends[1]) or ends[1].endswith(ends[0]))


def _invokes(request: Request, rule: dict[str, Any]) -> bool:
    function = lambda_svc._functions.get(rule["arn"].split(":")[6])
    statements = function["policy"]["Statement"] if function else []
    bucket = f"arn:aws:s3:::{request.bucket}"
    return any(
        said["Principal"] == {"Service": "s3.amazonaws.com"}
        and said.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn", bucket) == bucket
        for said in statements
    )


def _completion(request: Request) -> tuple[dict[str, Any] | None, list[dict[str, str]]]:
    """Return the multipart upload that a request completes, and the parts in its body."""
    upload = s3._multipart_uploads.get(request.upload) if request.upload else None
    return upload, list(_parts(request.body)) if upload else []


def _parts(body: bytes) -> Iterator[dict[str, str]]:
    try:
        root = s3.fromstring(body)
    except s3.ParseError:  # MiniStack refuses the request
        return
    for element in root.iter():
        if element.tag.endswith("Part"):
            yield {child.tag.rpartition("}")[2]: child.text for child in element}


def _checksums(part: dict[str, str]) -> list[str]:
    return [name for name in part if name.startswith("Checksum")]


def _denied(action: str) -> Answer:
    return _refused(
        "AccessDenied", f"The caller is not authorized to perform: {action}", HTTPStatus.FORBIDDEN
    )


def _refused(code: str, words: str, status: int = HTTPStatus.BAD_REQUEST) -> Answer:
    answer: Answer = s3._error(code, words, int(status))
    return answer
