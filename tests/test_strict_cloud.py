"""The strict cloud: each rule in infra/ops/local/strict, tested with a real client."""

import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.ops.aws.posting import post
from infra.ops.local.cloud import REGION
from tests.account import acting_as, allow
from tests.deployment import FUNCTION, Deployment, new_key

MIB = 1024 * 1024
SIX_MB = 6 * MIB
TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
UNRELATED = "arn:aws:iam::aws:policy/AdministratorAccess"
ANSWERS_ANY_SIZE = """
def handler(event, context):
    if "body" in event:
        return {"statusCode": 200, "body": "x" * int(event["body"] or "0")}
    return "x" * event["bytes"]
"""
REPORTS_FAILURES = """
import json
def handler(event, context):
    messages = {json.loads(one["body"])["name"]: one for one in event["Records"]}
    failed = json.loads(json.loads(event["Records"][0]["body"])["failed"])
    return {"batchItemFailures": [
        {"itemIdentifier": messages[name]["messageId"] if name in messages else name}
        for name in failed if name != "a" or "a" in messages
    ]}
"""


def refusal(
    call: Callable[..., object], *arguments: Any, **parameters: Any
) -> tuple[int, str, dict[str, str]]:
    """Expect an error; return its status, code and headers."""
    with pytest.raises(ClientError) as error:
        call(*arguments, **parameters)
    about = error.value.response["ResponseMetadata"]
    return about["HTTPStatusCode"], error.value.response["Error"]["Code"], about["HTTPHeaders"]


@contextmanager
def user(*statements: dict[str, Any]) -> Iterator[Any]:
    """Yield an S3 client of a user with exactly these permissions."""
    with acting_as(f"user-{uuid.uuid4()}", *statements):
        yield boto3.Session().client("s3")


def objects(bucket: str) -> str:
    return f"arn:aws:s3:::{bucket}/*"


@pytest.fixture
def client(deployment: Deployment) -> Any:
    return deployment.s3


@pytest.fixture
def bucket(deployment: Deployment) -> str:
    return deployment.processed


class Multipart:
    """A multipart upload, with S3's answers for its parts."""

    def __init__(self, client: Any, bucket: str, **algorithm: str) -> None:
        self.s3 = client
        self.upload = {"Bucket": bucket, "Key": new_key()}
        self.upload["UploadId"] = self.s3.create_multipart_upload(**self.upload, **algorithm)["UploadId"]
        self.parts: list[dict[str, Any]] = []

    def send(self, size: int) -> None:
        number = len(self.parts) + 1
        part = self.s3.upload_part(**self.upload, PartNumber=number, Body=b"x" * size)
        self.parts.append(part | {"PartNumber": number})

    def complete(self, *fields: str) -> None:
        """Complete it, with these fields of each part."""
        parts = [{name: part[name] for name in ("PartNumber", *fields)} for part in self.parts]
        self.s3.complete_multipart_upload(**self.upload, MultipartUpload={"Parts": parts})


def test_part_checksums_are_refused_if_the_upload_has_no_algorithm(client: Any, bucket: str) -> None:
    upload = Multipart(client, bucket)
    upload.send(5)

    assert refusal(upload.complete, "ETag", "ChecksumCRC32")[:2] == (400, "InvalidPart")
    upload.complete("ETag")


def test_part_checksums_are_required_if_the_upload_has_an_algorithm(client: Any, bucket: str) -> None:
    upload = Multipart(client, bucket, ChecksumAlgorithm="CRC32")
    upload.send(5)

    assert refusal(upload.complete, "ETag")[:2] == (400, "InvalidRequest")
    upload.complete("ETag", "ChecksumCRC32")


def test_all_parts_but_the_last_have_at_least_5_mib(client: Any, bucket: str) -> None:
    small, large = Multipart(client, bucket), Multipart(client, bucket)
    for upload, size in ((small, 5 * MIB - 1), (large, 5 * MIB)):
        upload.send(size)
        upload.send(1)

    assert refusal(small.complete, "ETag")[:2] == (400, "EntityTooSmall")
    large.complete("ETag")


@pytest.mark.parametrize("operation", ["head_object", "get_object"])
def test_a_missing_key_is_403_for_a_caller_who_may_not_list(bucket: str, operation: str) -> None:
    absent = {"Bucket": bucket, "Key": new_key()}
    reads = allow("s3:GetObject", objects(bucket))

    with user(reads) as s3:
        assert refusal(getattr(s3, operation), **absent)[0] == 403
    with user(reads, allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")) as s3:
        assert refusal(getattr(s3, operation), **absent)[0] == 404


@pytest.mark.parametrize("operation", ["put_object", "create_multipart_upload"])
@pytest.mark.parametrize(
    ("action", "about"),
    [
        ("s3:PutObjectTagging", {"Tagging": "a=b"}),
        ("s3:PutObjectAcl", {"ACL": "bucket-owner-full-control"}),
    ],
)
def test_tags_and_acls_require_a_permission_of_their_own(
    bucket: str, operation: str, action: str, about: dict[str, str]
) -> None:
    put = {"Bucket": bucket, "Key": new_key(), **about}
    puts = allow("s3:PutObject", objects(bucket))

    with user(puts) as s3:
        assert refusal(getattr(s3, operation), **put)[:2] == (403, "AccessDenied")
    with user(puts, allow(action, objects(bucket))) as s3:
        assert permitted(getattr(s3, operation), **put)


def permitted(call: Callable[..., object], **parameters: Any) -> bool:
    """Say whether IAM permits a call, whether or not it succeeds."""
    try:
        call(**parameters)
    except ClientError as error:
        return error.response["Error"]["Code"] != "AccessDenied"
    return True


def test_a_write_with_if_match_requires_permission_to_read(client: Any, bucket: str, stored_key: str) -> None:
    stands = {"Bucket": bucket, "Key": stored_key}
    etag = client.head_object(**stands)["ETag"]
    puts = allow("s3:PutObject", objects(bucket))

    with user(puts) as s3:
        assert refusal(s3.put_object, **stands, IfMatch=etag)[:2] == (403, "AccessDenied")
        s3.put_object(**stands)
    with user(puts, allow("s3:GetObject", objects(bucket))) as s3:
        assert refusal(s3.put_object, **stands, IfMatch=etag)[:2] == (412, "PreconditionFailed")


def test_while_versioning_is_new_an_object_is_not_visible_and_has_no_version(
    client: Any, bucket: str, stored_key: str
) -> None:
    tag = {"Key": "versioning-settles-in", "Value": "0.5"}
    client.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [tag]})
    settled = time.monotonic() + 0.5
    fresh = {"Bucket": bucket, "Key": new_key()}

    assert "VersionId" not in client.put_object(**fresh)

    for read in (client.head_object, client.get_object):
        status, _, headers = refusal(read, **fresh)
        assert status == 404
        assert "x-amz-delete-marker" not in headers
    assert client.get_object(Bucket=bucket, Key=stored_key)
    time.sleep(max(0, settled - time.monotonic()))
    assert client.head_object(**fresh)["VersionId"]


def test_versioning_is_new_when_it_is_first_enabled(client: Any) -> None:
    bucket = f"young-{uuid.uuid4()}"
    client.create_bucket(Bucket=bucket)
    enabled = {"Bucket": bucket, "VersioningConfiguration": {"Status": "Enabled"}}
    client.put_bucket_versioning(**enabled)

    assert "VersionId" not in client.put_object(Bucket=bucket, Key="first")

    client.put_bucket_versioning(**enabled)
    time.sleep(0.5)
    assert "VersionId" in client.put_object(Bucket=bucket, Key="second")


@pytest.mark.parametrize("operation", ["head_object", "get_object"])
def test_a_deleted_object_is_distinguishable_from_one_that_never_existed(
    client: Any, bucket: str, stored_key: str, operation: str
) -> None:
    # MiniStack does this without a rule of ours. The pipeline relies on it.
    deleted = {"Bucket": bucket, "Key": stored_key}
    marker = client.delete_object(**deleted)["VersionId"]
    read = getattr(client, operation)

    status, _, headers = refusal(read, **deleted)
    assert (status, headers["x-amz-delete-marker"]) == (404, "true")
    status, _, headers = refusal(read, **deleted, VersionId=marker)
    assert (status, headers["x-amz-delete-marker"]) == (405, "true")
    assert "x-amz-delete-marker" not in refusal(read, Bucket=bucket, Key=new_key())[2]


def made(deployment: Deployment, name: str, source: str) -> str:
    """Create a function; returns its ARN."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("function.py", source)
    created = deployment.functions.create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role=deployment.functions.get_function_configuration(FunctionName=FUNCTION)["Role"],
        Handler="function.handler",
        Code={"ZipFile": package.getvalue()},
        Timeout=60,
    )
    return created["FunctionArn"]


@pytest.fixture(scope="module")
def function(deployment: Deployment) -> str:
    """A function that answers with as many bytes as its event says."""
    return made(deployment, "answers-any-size", ANSWERS_ANY_SIZE)


@pytest.fixture(scope="module")
def reporting(deployment: Deployment) -> str:
    """A function that reports the failed messages that its first message names, known or not."""
    return made(deployment, "reports-failures", REPORTS_FAILURES)


@pytest.mark.parametrize(("kind", "limit"), [("RequestResponse", SIX_MB), ("Event", MIB)])
def test_an_event_has_at_most_6_mb_or_1_mb_if_asynchronous(
    deployment: Deployment, function: str, kind: Any, limit: int
) -> None:
    status, code, _ = refusal(
        deployment.functions.invoke, FunctionName=function, InvocationType=kind, Payload=b" " * (limit + 1)
    )
    assert (status, code) == (413, "RequestEntityTooLargeException")
    fits = b'{"bytes":1}'.ljust(limit)
    deployment.functions.invoke(FunctionName=function, InvocationType=kind, Payload=fits)


def test_a_response_has_at_most_6_mb(deployment: Deployment, function: str) -> None:
    def answer(size: int) -> Any:
        payload = json.dumps({"bytes": size - len('""')}).encode()
        return deployment.functions.invoke(FunctionName=function, Payload=payload)

    assert "FunctionError" not in answer(SIX_MB)
    too_large = answer(SIX_MB + 101)
    assert too_large["FunctionError"] == "Unhandled"
    assert json.loads(too_large["Payload"].read())["errorType"] == "Function.ResponseSizeTooLarge"


def test_with_zero_concurrency_an_event_goes_to_the_failure_queue_without_an_attempt(
    deployment: Deployment, function: str
) -> None:
    functions, sqs = deployment.functions, boto3.client("sqs")
    url = sqs.create_queue(QueueName="without-attempt")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["QueueArn"]
    destination: Any = {"OnFailure": {"Destination": arn}}
    functions.put_function_event_invoke_config(FunctionName=function, DestinationConfig=destination)
    functions.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    try:
        event = b'{"bytes": 1}'
        functions.invoke(FunctionName=function, InvocationType="Event", Payload=event)
        (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    finally:
        functions.delete_function_concurrency(FunctionName=function)
        functions.delete_function_event_invoke_config(FunctionName=function)

    record = json.loads(message["Body"])
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert record["requestPayload"] == json.loads(event)
    assert "responsePayload" not in record


@pytest.fixture(scope="module")
def api(function: str) -> str:
    """The URL of an API in front of the function."""
    apis: Any = boto3.client("apigateway")
    api = apis.create_rest_api(name="answers-any-size")["id"]
    root = {"restApiId": api, "resourceId": apis.get_resources(restApiId=api)["items"][0]["id"]}
    apis.put_method(**root, httpMethod="POST", authorizationType="NONE")
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations"
    apis.put_integration(**root, httpMethod="POST", type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    apis.create_deployment(restApiId=api, stageName="api")
    return f"{apis.meta.endpoint_url}/restapis/{api}/api/_user_request_/"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"5", 200, "xxxxx"),
        (b"5".ljust(SIX_MB), 413, '{"message": "Request Too Long"}'),
        (b"%d" % (SIX_MB + 100), 502, '{"message": "Internal server error"}'),
        (b"not a number", 502, '{"message": "Internal server error"}'),
    ],
    ids=["fits", "request", "response", "error"],
)
def test_an_api_has_the_limits_of_its_function_and_hides_its_errors(
    api: str, body: bytes, status: int, words: str
) -> None:
    answer = post(api, body, {"Content-Type": "text/plain"}, region=None)

    assert (answer.status, answer.body.decode()) == (status, words)


RECEIVES = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")


def queue(**attributes: str) -> tuple[str, str]:
    """Create a queue; returns its URL and its ARN."""
    sqs: Any = boto3.client("sqs")
    url = sqs.create_queue(QueueName=f"queue-{uuid.uuid4()}", Attributes=attributes)["QueueUrl"]
    about = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, about["Attributes"]["QueueArn"]


@contextmanager
def role_that_may(*actions: str) -> Iterator[None]:
    """Grant the function's role more permissions for a while."""
    iam = boto3.client("iam")
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow(action, "*") for action in actions]})
    iam.put_role_policy(RoleName=FUNCTION, PolicyName="more", PolicyDocument=policy)
    try:
        yield
    finally:
        iam.delete_role_policy(RoleName=FUNCTION, PolicyName="more")


@contextmanager
def mapping(deployment: Deployment, arn: str, function: str, **about: Any) -> Iterator[str]:
    created = deployment.functions.create_event_source_mapping(
        EventSourceArn=arn, FunctionName=function, **about
    )
    yield created["UUID"]
    deployment.functions.delete_event_source_mapping(UUID=created["UUID"])


def refused_mapping(deployment: Deployment, arn: str, function: str) -> tuple[int, str]:
    create = deployment.functions.create_event_source_mapping
    return refusal(create, EventSourceArn=arn, FunctionName=function)[:2]


def test_a_visibility_timeout_must_be_at_least_the_function_timeout(
    deployment: Deployment, function: str
) -> None:
    (_, brief), (_, long) = (queue(VisibilityTimeout=seconds) for seconds in ("59", "60"))

    with role_that_may(*RECEIVES):
        assert refused_mapping(deployment, brief, function) == (400, "InvalidParameterValueException")
        with mapping(deployment, long, function):
            pass


@pytest.mark.parametrize("action", RECEIVES)
def test_a_mapping_requires_a_role_that_may_receive(
    deployment: Deployment, function: str, action: str
) -> None:
    _, arn = queue(VisibilityTimeout="60")

    with role_that_may(*set(RECEIVES) - {action}):
        assert refused_mapping(deployment, arn, function) == (400, "InvalidParameterValueException")


@pytest.mark.parametrize(
    ("failed", "left"),
    [("[]", 0), ('["a"]', 1), ('["unknown"]', 2), ('[""]', 2)],
    ids=["none", "one", "an unknown one", "an empty one"],
)
def test_an_unknown_failed_message_fails_the_whole_batch(
    deployment: Deployment, reporting: str, failed: str, left: int
) -> None:
    url, arn = queue(VisibilityTimeout="60")
    sqs: Any = boto3.client("sqs")
    bodies = [json.dumps({"name": name, "failed": failed}) for name in "ab"]
    sqs.send_message_batch(
        QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]
    )

    with (
        role_that_may(*RECEIVES),
        mapping(deployment, arn, reporting, FunctionResponseTypes=["ReportBatchItemFailures"]) as uuid,
    ):
        while (
            "No records" in deployment.functions.get_event_source_mapping(UUID=uuid)["LastProcessingResult"]
        ):
            time.sleep(0.1)
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    assert sorted(counts.values()) == sorted(["0", str(left)])


@pytest.mark.parametrize("verb", ["get", "update", "delete"])
def test_every_operation_on_a_mapping_requires_its_own_action(deployment: Deployment, verb: str) -> None:
    assert deployment
    unknown = {"UUID": str(uuid.uuid4())}

    for action, code in (("Create", "AccessDeniedException"), (verb.title(), "ResourceNotFoundException")):
        with acting_as(f"user-{uuid.uuid4()}", allow(f"lambda:{action}EventSourceMapping", "*")):
            functions: Any = boto3.Session().client("lambda")
            assert refusal(getattr(functions, f"{verb}_event_source_mapping"), **unknown)[1] == code


def notified(**destination: Any) -> dict[str, Any]:
    """Make a notification configuration with one destination."""
    ((kind, arn),) = destination.items()
    rules = [{"Name": "suffix", "Value": ".json"}]
    about = {"Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": rules}}}
    return {f"{kind}Configurations": [{f"{kind}Arn": arn, **about}]}


def open_to_s3(url: str, arn: str, bucket: str) -> None:
    condition = {"ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}}
    statement = allow("sqs:SendMessage", arn) | {
        "Principal": {"Service": "s3.amazonaws.com"},
        "Condition": condition,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    boto3.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})


def test_a_notified_queue_must_permit_s3_to_send(client: Any, bucket: str) -> None:
    # MiniStack does this without a rule of ours.
    url, arn = queue()
    put = {"Bucket": bucket, "NotificationConfiguration": notified(Queue=arn)}

    assert refusal(client.put_bucket_notification_configuration, **put)[:2] == (400, "InvalidArgument")
    open_to_s3(url, arn, "another")
    assert refusal(client.put_bucket_notification_configuration, **put)[:2] == (400, "InvalidArgument")
    open_to_s3(url, arn, bucket)
    client.put_bucket_notification_configuration(**put)
    client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})


def test_an_event_has_one_destination_and_a_function_must_permit_s3_to_invoke_it(
    deployment: Deployment, client: Any, bucket: str, function: str
) -> None:
    url, arn = queue()
    open_to_s3(url, arn, bucket)
    by_s3 = notified(LambdaFunction=function)
    put = client.put_bucket_notification_configuration
    source = f"arn:aws:s3:::{bucket}"

    assert refusal(put, Bucket=bucket, NotificationConfiguration=by_s3)[:2] == (400, "InvalidArgument")
    deployment.functions.add_permission(
        FunctionName=function,
        StatementId="s3",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceArn=source,
    )
    put(Bucket=bucket, NotificationConfiguration=by_s3)
    both = by_s3 | notified(Queue=arn)
    assert refusal(put, Bucket=bucket, NotificationConfiguration=both)[:2] == (400, "InvalidArgument")
    both["QueueConfigurations"][0]["Filter"]["Key"]["FilterRules"][0]["Value"] = ".txt"
    put(Bucket=bucket, NotificationConfiguration=both)
    put(Bucket=bucket, NotificationConfiguration={})


@pytest.fixture
def boundary(deployment: Deployment) -> Iterator[str]:
    """A policy that allows everything. Only its ARN matters here."""
    assert deployment
    iam = boto3.client("iam")
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow("*", "*")]})
    arn = iam.create_policy(PolicyName=f"boundary-{uuid.uuid4()}", PolicyDocument=policy)["Policy"]["Arn"]
    yield arn
    iam.delete_policy(PolicyArn=arn)


def test_a_permission_to_create_roles_with_a_boundary_covers_no_others(boundary: str) -> None:
    trust = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
    grant = json.dumps({"Version": "2012-10-17", "Statement": [allow("*", "*")]})
    within = {"Condition": {"StringEquals": {"iam:PermissionsBoundary": boundary}}}
    may = [allow(action, "*") | within for action in ("iam:CreateRole", "iam:PutRolePolicy")]
    root: Any = boto3.client("iam")
    root.create_role(RoleName="unbound", AssumeRolePolicyDocument=trust)

    with acting_as(f"user-{uuid.uuid4()}", *may):
        iam: Any = boto3.Session().client("iam")
        make = {"RoleName": "bound", "AssumeRolePolicyDocument": trust}
        assert refusal(iam.create_role, **make)[1] == "AccessDenied"
        assert refusal(iam.create_role, **make, PermissionsBoundary=UNRELATED)[1] == "AccessDenied"
        iam.create_role(**make, PermissionsBoundary=boundary)
        policy = {"PolicyName": "p", "PolicyDocument": grant}
        assert refusal(iam.put_role_policy, RoleName="unbound", **policy)[1] == "AccessDenied"
        iam.put_role_policy(RoleName="bound", **policy)

    root.delete_role_policy(RoleName="bound", PolicyName="p")
    for role in ("bound", "unbound"):
        root.delete_role(RoleName=role)
