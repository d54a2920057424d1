"""What AWS does and MiniStack does not: one function each, with what AWS does, where that was read, and when.

Of a kind: what AWS answered, as recorded in public test suites; AWS's documentation; errors that somebody
reported. A rule that nobody is sure of is not here.
"""

import json
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id
from ministack.services import apigateway_v1, lambda_svc, s3, sqs

from infra.ops.local.strict.gate import Answer, Request, after, around, before

MIB = 1024 * 1024
S3 = "arn:aws:s3:::"
SMALLEST_PART = 5 * MIB
# A bucket with this tag takes smaller parts: for tests of a great many uploads. Its value is the reason.
SMALL_PARTS_TAG = "takes-small-parts"
INVOCATION = 6 * MIB  # bytes of a synchronous request
ASYNCHRONOUS = MIB
RESPONSE = INVOCATION + 100
# Seconds that a bucket's first versioning takes; with AWS up to 15 minutes. Tests set it for one bucket by
# this tag, which also lets it begin anew.
SETTLES = 0.3
SETTLES_TAG = "versioning-settles-in"
# MiniStack shows an account its own buckets only. A bucket with this tag is of the account that it names.
OWNER_TAG = "belongs-to"

# What a header of a write wants besides s3:PutObject.
HEADER_ACTIONS = {
    "if-match": "s3:GetObject",
    "x-amz-acl": "s3:PutObjectAcl",
    "x-amz-object-lock-legal-hold": "s3:PutObjectLegalHold",
    "x-amz-object-lock-mode": "s3:PutObjectRetention",
    "x-amz-tagging": "s3:PutObjectTagging",
}


@before(s3)
def checksums_of_parts_want_an_algorithm(request: Request) -> Answer | None:
    """Refuse a completion that names checksums if the upload was created without an algorithm.

    400 InvalidPart, although botocore gives every part a CRC32 by itself (AWS's answers in LocalStack's
    snapshots of multipart checksums, 2025-11).
    """
    upload, parts = _completion(request)
    if upload and not upload["checksum_algorithm"] and any(_checksums(part) for part in parts):
        return _invalid_part()
    return None


@before(s3)
def an_algorithm_wants_checksums_of_parts(request: Request) -> Answer | None:
    """Refuse a completion without the parts' checksums if the upload was created with an algorithm.

    400 InvalidRequest (the same snapshots). CRC64NVME is of the whole object and needs none
    (S3 User Guide, "Checking object integrity", 2025-11).
    """
    upload, parts = _completion(request)
    algorithm = upload["checksum_algorithm"] if upload else None
    if algorithm in {None, "CRC64NVME"} or all(_checksums(part) for part in parts):
        return None
    return _refused(
        "InvalidRequest",
        f"The upload was created using a {str(algorithm).lower()} checksum. "
        "The complete request must include the checksum for each part.",
    )


@before(s3)
def all_parts_but_the_last_have_5_mib(request: Request) -> Answer | None:
    """Refuse to complete an upload of smaller parts: 400 EntityTooSmall.

    S3 API, CompleteMultipartUpload, 2025-11.
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
def headers_of_a_write_want_their_own_permission(request: Request) -> Answer | None:
    """Refuse a write with tags, an ACL, a lock or If-Match to who lacks what that takes besides s3:PutObject.

    403 AccessDenied (S3 API, PutObject and CreateMultipartUpload, "Permissions"; S3 User Guide,
    "Conditional writes": If-Match wants s3:GetObject; 2025-11).
    """
    if not request.key or request.method not in {"PUT", "POST"}:
        return None
    headers = s3._merge_hoisted_amz_headers(request.headers, request.query)  # of a presigned URL
    resource = f"arn:aws:s3:::{request.bucket}/{request.key}"
    lacking = (
        action
        for name, action in HEADER_ACTIONS.items()
        if name in headers and not request.may(action, resource)
    )
    return next((_denied(action) for action in lacking), None)


@before(s3)
def a_bucket_is_its_owners(request: Request) -> Answer | None:
    """Refuse a request that expects somebody else to own the bucket: 403 AccessDenied.

    S3 User Guide, "Verifying bucket ownership with bucket owner condition", 2025-11.
    """
    expected = request.headers.get("x-amz-expected-bucket-owner")
    if expected in {None, _owner(request.bucket)}:
        return None
    return _refused("AccessDenied", "Access Denied", 403)


@around(iam_evaluator, "_resolve_condition_key")
def the_account_of_a_resource_is_its_owners(inner: Callable[..., Any], key: str, about: Any) -> Any:
    """Tell policies whose a bucket is by aws:ResourceAccount; MiniStack says the caller's, always.

    IAM User Guide, "AWS global condition context keys", 2025-11.
    """
    if key.lower() != "aws:resourceaccount" or not about.resource_arn.startswith(S3):
        return inner(key, about)
    return _owner(about.resource_arn.removeprefix(S3).partition("/")[0])


@after(s3)
def absence_is_only_told_to_who_may_list(request: Request, answer: Answer) -> Answer:
    """Say 403 AccessDenied of an absent key to who lacks s3:ListBucket.

    S3 API, GetObject and HeadObject, "Permissions", 2025-11.
    """
    absent = request.reads and answer[0] == HTTPStatus.NOT_FOUND and b"<Code>NoSuchKey</Code>" in answer[2]
    if not absent or request.may("s3:ListBucket", f"arn:aws:s3:::{request.bucket}"):
        return answer
    return _denied("s3:ListBucket")


@before(s3)
def versioning_takes_a_while(request: Request) -> None:
    """Note when a bucket is first versioned; the next rule is about the time until that has settled."""
    if request.method != "PUT" or request.key:
        return
    if "versioning" in request.query and s3._bucket_versioning.get(request.bucket) is None:
        _unsettled[request.bucket] = (time.monotonic() + SETTLES, set())
    if "tagging" in request.query and SETTLES_TAG.encode() in request.body:
        seconds = float(s3._parse_tags_xml(request.body)[SETTLES_TAG])
        _unsettled[request.bucket] = (time.monotonic() + seconds, set())


@after(s3)
def what_is_written_meanwhile_is_not_seen_yet(request: Request, answer: Answer) -> Answer:
    """Answer writes without a version while versioning settles, and reads of what they wrote with 404.

    NoSuchKey, and no x-amz-delete-marker (S3 User Guide, "Enabling versioning on buckets", 2025-11: up to 15
    minutes after it is first enabled, intermittently). Here: always, until the time is over.
    """
    until, keys = _unsettled.get(request.bucket, (0.0, set()))
    status, headers, body = answer
    if time.monotonic() > until or status >= HTTPStatus.MULTIPLE_CHOICES:
        return answer
    if request.writes:
        keys.add(request.key)
        return status, {name: headers[name] for name in headers if name != "x-amz-version-id"}, body
    if request.reads and request.key in keys:
        return _refused("NoSuchKey", "The specified key does not exist.", 404)
    return answer


_unsettled: dict[str, tuple[float, set[str]]] = {}  # bucket: until when, and the keys written meanwhile


@before(lambda_svc)
def an_invocation_has_6_mb(request: Request) -> Answer | None:
    """Refuse a larger payload, 1 MB for an asynchronous one: 413 RequestEntityTooLargeException.

    AWS Lambda Developer Guide, "Quotas", 2025-11; the words as reported in
    awslabs/aws-athena-query-federation#793, 2022-10.
    """
    if request.method != "POST" or not request.path.endswith("/invocations"):
        return None
    asynchronous = request.headers.get("x-amz-invocation-type") == "Event"
    limit = ASYNCHRONOUS if asynchronous else INVOCATION
    if len(request.body) <= limit:
        return None
    words = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
    return _lambda_refused("RequestEntityTooLargeException", words, 413)


@around(lambda_svc, "_execute_function_with_config_scope")
def a_response_has_6_mb(inner: Callable[..., Any], *invocation: Any) -> Any:
    """Let a function that answers more fail: Function.ResponseSizeTooLarge.

    AWS Lambda Developer Guide, "Quotas", 2025-11; the bytes as reported in DataBiosphere/azul#8192, 2026-07.
    """
    result = inner(*invocation)
    body = result.get("body")
    size = len(body if isinstance(body, str | bytes) else json.dumps(body))
    if size <= RESPONSE:
        return result
    words = f"Response payload size ({size} bytes) exceeded maximum allowed payload size ({RESPONSE} bytes)."
    return result | {
        "error": True,
        "function_error": "Unhandled",
        "body": {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": words},
    }


@around(apigateway_v1, "_call_lambda_raw")
async def an_api_hides_what_went_wrong(
    inner: Callable[..., Any], function: str, event: Any, **about: Any
) -> Any:
    """Answer for a function that failed with 502 "Internal server error", never with its error.

    DataBiosphere/azul#8192, 2026-07: an API in front of a response that was too large.
    """
    result, error = await inner(function, event, **about)
    if result and result.get("error"):
        return _proxied(502, "Internal server error"), None
    return result, error


@before(lambda_svc)
def a_queue_hides_a_message_as_long_as_its_function_runs(request: Request) -> Answer | None:
    """Refuse to map a queue with a shorter visibility timeout: 400 InvalidParameterValueException.

    github-aws-runners/terraform-aws-github-runner#5383, 2026-09; Lambda Developer Guide, "Using Lambda with
    Amazon SQS".
    """
    if request.method != "POST" or not request.path.rstrip("/").endswith("/event-source-mappings"):
        return None
    mapping = json.loads(request.body)
    queue = sqs._queue_by_arn(mapping.get("EventSourceArn", ""))
    name, _, error = lambda_svc._resolve_existing_esm_function(mapping.get("FunctionName", ""))
    if error or not queue:
        return None
    hidden = int(queue["attributes"].get("VisibilityTimeout", 30))
    timeout = int(lambda_svc._functions[name]["config"].get("Timeout", 3))
    if hidden >= timeout:
        return None
    words = f"Queue visibility timeout: {hidden} seconds is less than Function timeout: {timeout} seconds"
    return _lambda_refused("InvalidParameterValueException", words)


def _owner(bucket: str) -> str:
    owner: str = s3._bucket_tags.get(bucket, {}).get(OWNER_TAG) or get_account_id()
    return owner


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


def _invalid_part() -> Answer:
    return _refused("InvalidPart", "One or more of the specified parts could not be found.")


def _refused(code: str, words: str, status: int = 400) -> Answer:
    answer: Answer = s3._error(code, words, status)
    return answer


def _lambda_refused(code: str, words: str, status: int = 400) -> Answer:
    answer: Answer = lambda_svc.error_response_json(code, words, status)
    return answer


def _denied(action: str) -> Answer:
    return _refused("AccessDenied", f"The caller is not authorized to perform: {action}", 403)


def _proxied(status: int, words: str) -> dict[str, Any]:
    return {"body": {"statusCode": status, "body": json.dumps({"message": words})}}
