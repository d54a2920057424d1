"""What S3 does and MiniStack does not."""

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
# A bucket with this tag takes smaller parts: for tests of a great many uploads. Its value is the reason.
SMALL_PARTS_TAG = "takes-small-parts"
# Seconds until a bucket's first versioning has settled; with AWS up to 15 minutes. For tests, this tag begins
# that time anew and says how long it is.
SETTLES = 0.3
SETTLES_TAG = "versioning-settles-in"
_unsettled: dict[str, tuple[float, set[str]]] = {}  # bucket: until when, and the keys written meanwhile

# MiniStack shows an account its own buckets only. A bucket with this tag is of the account that it names.
OWNER_TAG = "belongs-to"

# What a header of a write wants besides s3:PutObject.
HEADER_ACTIONS = {
    "if-match": "s3:GetObject",
    "x-amz-acl": "s3:PutObjectAcl",
    "x-amz-tagging": "s3:PutObjectTagging",
}


@before(s3)
def checksums_of_parts_want_an_algorithm(request: Request) -> Answer | None:
    """Refuse a completion that names checksums of parts if the upload was created without an algorithm.

    400 InvalidPart, although botocore sends a CRC32 with every part by itself (answers of AWS in LocalStack's
    snapshots, 2025-11 to 2026-02).
    """
    upload, parts = _completion(request)
    if not upload or upload["checksum_algorithm"] or not any(_checksums(part) for part in parts):
        return None
    return _refused("InvalidPart", "One or more of the specified parts could not be found.")


@before(s3)
def an_algorithm_wants_checksums_of_parts(request: Request) -> Answer | None:
    """Refuse a completion without the parts' checksums if the upload was created with an algorithm.

    400 InvalidRequest (the same snapshots). Not with CRC64NVME, which is of the whole object.
    """
    upload, parts = _completion(request)
    algorithm = upload["checksum_algorithm"] if upload else None
    if algorithm in {None, "CRC64NVME"} or all(_checksums(part) for part in parts):
        return None
    return _refused("InvalidRequest", f"The {algorithm} checksum of each part must be named.")


@before(s3)
def all_parts_but_the_last_have_5_mib(request: Request) -> Answer | None:
    """Refuse to complete an upload of smaller parts: 400 EntityTooSmall.

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
def headers_of_a_write_want_a_permission_of_their_own(request: Request) -> Answer | None:
    """Refuse a write with tags, an ACL or If-Match to who lacks what that takes besides s3:PutObject.

    403 AccessDenied (S3 API, PutObject, "Permissions"; S3 User Guide, "How to prevent object overwrites with
    conditional writes"; 2026-11).
    """
    if not request.key or request.method not in {"PUT", "POST"}:
        return None
    headers = s3._merge_hoisted_amz_headers(request.headers, request.query)  # of a presigned URL
    resource = f"arn:aws:s3:::{request.bucket}/{request.key}"
    wanted = [action for name, action in HEADER_ACTIONS.items() if name in headers]
    return next((_denied(action) for action in wanted if not request.may(action, resource)), None)


@before(s3)
def versioning_settles_after_a_while(request: Request) -> None:
    """Note when a bucket is first versioned, for the next rule."""
    if request.method != "PUT" or request.key:
        return
    if "versioning" in request.query and s3._bucket_versioning.get(request.bucket) is None:
        _unsettled[request.bucket] = (time.monotonic() + SETTLES, set())
    if "tagging" in request.query and SETTLES_TAG.encode() in request.body:
        seconds = float(s3._parse_tags_xml(request.body)[SETTLES_TAG])
        _unsettled[request.bucket] = (time.monotonic() + seconds, set())


@after(s3)
def what_is_written_meanwhile_is_not_seen_yet(request: Request, answer: Answer) -> Answer:
    """Answer writes without a version until versioning has settled, and reads of what they wrote with 404.

    NoSuchKey, and no x-amz-delete-marker (S3 User Guide, "Enabling versioning on buckets", 2026-11: GET may
    for up to 15 minutes). Here all do, so that tests need no luck.
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
def absence_is_only_told_to_who_may_list(request: Request, answer: Answer) -> Answer:
    """Say 403 AccessDenied of an absent key to who lacks s3:ListBucket.

    S3 API, GetObject and HeadObject, "Permissions", 2026-11.
    """
    there_is_the_bucket = request.bucket in s3._buckets
    absent = request.reads and answer[0] == HTTPStatus.NOT_FOUND and "versionId" not in request.query
    if not (absent and there_is_the_bucket) or request.may("s3:ListBucket", f"arn:aws:s3:::{request.bucket}"):
        return answer
    return _denied("s3:ListBucket")


@before(s3)
def a_bucket_is_its_owners(request: Request) -> Answer | None:
    """Refuse a request that expects somebody else to own the bucket: 403 AccessDenied.

    S3 User Guide, "Verifying bucket ownership with bucket owner condition", 2025-11.
    """
    expected = request.headers.get("x-amz-expected-bucket-owner")
    if expected is None or owner(request.bucket) in {None, expected}:
        return None
    return _refused("AccessDenied", "Access Denied", HTTPStatus.FORBIDDEN)


@before(s3)
def an_event_has_one_destination(request: Request) -> Answer | None:
    """Refuse a notification that names two destinations for the same event and key, of whatever kinds.

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
def a_function_that_s3_tells_may_be_invoked_by_it(request: Request) -> Answer | None:
    """Refuse to notify a function that its own policy does not let S3 invoke for the bucket.

    400 InvalidArgument (S3 User Guide, "Granting permissions to publish event notification messages",
    2025-11; the words as in webiny/webiny-js#1807).
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
    """Name the account that a bucket belongs to; None where there is none of that name."""
    if bucket not in s3._buckets:
        return None
    account: str = s3._bucket_tags.get(bucket, {}).get(OWNER_TAG) or get_account_id()
    return account


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Say whether an event of some key would go to both."""
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
    """Find the multipart upload that a request completes, and the parts that it names."""
    upload = s3._multipart_uploads.get(request.upload) if request.upload else None
    return upload, list(_parts(request.body)) if upload else []


def _parts(body: bytes) -> Iterator[dict[str, str]]:
    try:
        root = s3.fromstring(body)
    except s3.ParseError:  # MiniStack refuses it
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
