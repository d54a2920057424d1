"""`verify` tells a stage that keeps its promises from one that does not, and names the broken ones."""

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse, HTTPHeaders
from botocore.exceptions import ClientError
from botocore.model import OperationModel
from mypy_boto3_s3.literals import EventType
from mypy_boto3_s3.type_defs import TagTypeDef

from infra.ops.aws import verification
from infra.ops.aws.processor import Processor
from infra.ops.aws.target import PREFIX, Patience, Target, UnexpectedError
from infra.ops.aws.verify_posts import PostChecks
from infra.ops.aws.verify_uploads import UploadChecks
from infra.ops.aws.versions import Version, versions
from infra.ops.local.cloud import REGION, ROOT
from tests.deployment import FUNCTION, Deployment, without_permission
from tests.function_code import deployed_code, edited, packed, running

COMMAND = [sys.executable, "-m", "infra.ops", "verify", "--stage", "local"]
# The same of an API that is no longer new: an answer of 500 is not given two minutes.
OF_AN_OLD_API = """
import runpy
from infra.ops.aws.target import Patience, Target
Target.__new__.__defaults__ = (Patience(api=0),)
runpy.run_module("infra.ops", run_name="__main__")
"""
REPORTS = {"records that are not valid are rejected", "a malformed document is reported"}
SEVERAL_PARTS = {
    "an output of several parts is published",
    "the same key is replaced",
    "records that are not valid are rejected",
}
UPLOADS = {
    "a small object is published",
    "an event that comes again changes nothing",
    "the version below a removed one is published",
    "what is undeleted is published",
    *REPORTS,
    *SEVERAL_PARTS,
}
POSTS = {"POST is answered with the patients", "POST of gzip is, too"}

NOTHING = {"app.py": "def data_processor(event, context):\n    return None\n"}
ERROR = {"app.py": "def app(event, context):\n    return {'statusCode': 500, 'body': 'no'}\n"}
EMPTY = {"app.py": "def app(event, context):\n    return {'statusCode': 200, 'body': '{}'}\n"}
# As it was: a completion that names the checksums, although the upload was created without an algorithm.
WITH_CHECKSUMS = ('"ETag": part["ETag"]}', '"ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}')
NO_PATIENTS = ("extract(source, processed.write", 'extract([b"[]"], processed.write')
ALWAYS_AGAIN = ("if published and published.metadata == _origin(source)", "if False")
API = FUNCTION.removesuffix("-data-processor")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "PAUSE", 0.3)


@pytest.fixture
def target(deployment: Deployment) -> Target:
    """The stage, no longer new; an upload has time on a machine that is busy."""
    patience = Patience(bucket=0, api=0, upload=20)
    return Target(deployment.buckets, FUNCTION, deployment.url, REGION, patience)


def broken(target: Target) -> dict[str, str]:
    """Verify a stage; returns the promises that it does not keep, each with what was seen."""
    return {line.check: line.seen for line in verification.verify(target, print) if not line.passed}


def left(deployment: Deployment) -> list[str]:
    return [one.key for bucket in deployment.buckets for one in versions(deployment.s3, bucket, PREFIX)]


def test_a_stage_that_keeps_its_promises_passes_and_nothing_is_left_in_it(deployment: Deployment) -> None:
    deployment.upload(b"[{}]", f"{PREFIX}left-by-one-that-was-killed.json")

    done = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "The stage local does what it should." in done.stdout
    assert left(deployment) == []


def test_a_stage_that_breaks_a_promise_fails_and_the_promise_is_named_here_and_on_github(
    deployment: Deployment, tmp_path: Path
) -> None:
    page = tmp_path / "summary.md"
    environment = os.environ | {"GITHUB_STEP_SUMMARY": str(page)}

    with running(deployment, API, packed(ERROR)):
        command = [sys.executable, "-c", OF_AN_OLD_API, "verify", "--stage", "local"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "2 of 13 failed: POST is answered with the patients; POST of gzip is, too." in done.stderr
    assert "| POST is answered with the patients | 500 no | NO |" in page.read_text()
    assert "| POST without a signature is refused | 403 | yes |" in page.read_text()
    assert "| POST signed by nobody is refused | 403 | yes |" in page.read_text()
    assert left(deployment) == []


def test_a_completion_that_names_checksums_and_a_permission_that_lacks_are_named(
    deployment: Deployment, target: Target
) -> None:
    code = edited(deployed_code(deployment, FUNCTION), "chalicelib/upload.py", WITH_CHECKSUMS)
    denied = without_permission("s3:PutObject", f"arn:aws:s3:::{deployment.rejected}/*")

    with running(deployment, FUNCTION, code), denied:
        seen = broken(target._replace(patience=Patience(bucket=60, api=0, upload=3)))

    assert seen.keys() == SEVERAL_PARTS | REPORTS
    for reported in REPORTS:
        assert "AccessDenied" in seen[reported]
    for several in SEVERAL_PARTS - REPORTS:
        assert "complete_multipart_upload: InvalidPart" in seen[several]


def test_a_processor_that_does_nothing_keeps_no_promise_about_uploads(
    deployment: Deployment, target: Target
) -> None:
    with running(deployment, FUNCTION, packed(NOTHING)):
        seen = broken(target._replace(patience=Patience(bucket=0, api=0, upload=0.5)))

    assert seen.keys() == UPLOADS
    assert all("invoked for it, the function reports no error" in words for words in seen.values())
    assert left(deployment) == []


def test_what_is_published_or_answered_is_read_and_what_is_published_again_is_noticed(
    deployment: Deployment, target: Target
) -> None:
    code = edited(deployed_code(deployment, FUNCTION), "chalicelib/pipeline.py", NO_PATIENTS, ALWAYS_AGAIN)

    with running(deployment, FUNCTION, code), running(deployment, API, packed(EMPTY)):
        seen = broken(target)

    assert seen.keys() == UPLOADS | POSTS
    assert {seen[post] for post in POSTS} == {"200 {}"}
    several = "3 bytes published, not the 26,000,003 bytes expected"
    assert seen["an output of several parts is published"] == several
    assert seen["a malformed document is reported"] == "it was published"
    assert " became " in seen["an event that comes again changes nothing"]


def test_a_new_bucket_is_given_the_time_that_its_versioning_takes(
    deployment: Deployment, target: Target
) -> None:
    uploads = UploadChecks(target._replace(patience=Patience(bucket=60, api=0, upload=1)), "new")
    new = {deployment.raw: 1, deployment.processed: 4, deployment.rejected: 7}

    with settling(new):
        assert uploads.rejected()
    with settling(dict.fromkeys(deployment.buckets, 2)):
        assert uploads.event_again()
        assert uploads.malformed()


@contextmanager
def settling(buckets: dict[str, int]) -> Iterator[None]:
    """Have buckets whose versioning settles in so many seconds."""
    s3 = boto3.client("s3")
    for bucket, seconds in buckets.items():
        tag: TagTypeDef = {"Key": "versioning-settles-in", "Value": str(seconds)}
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [tag]})
    try:
        yield
    finally:
        for bucket in buckets:
            s3.delete_bucket_tagging(Bucket=bucket)


def test_what_a_new_bucket_shows_only_now_and_then_is_looked_at_again(target: Target) -> None:
    with every_other_look_in_vain():
        uploads = UploadChecks(target, "now-and-then")
        for seen in (uploads.rejected, uploads.event_again, uploads.removed):
            assert seen()


@contextmanager
def every_other_look_in_vain() -> Iterator[None]:
    """Answer the first, third, ... look at an object with 404."""
    looks: Counter[str] = Counter()

    def answer(model: OperationModel, params: dict[str, Any], **_: Any) -> Any:
        looks[params["url"]] += 1
        if looks[params["url"]] % 2 == 0:
            return None
        code = "404" if model.name == "HeadObject" else "NoSuchKey"
        said = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 404}}
        return AWSResponse(params["url"], 404, HTTPHeaders(), None), said

    boto3.setup_default_session()
    session = boto3.DEFAULT_SESSION
    assert session
    for operation in ("HeadObject", "GetObject"):
        session.events.register(f"before-call.s3.{operation}", answer)
    try:
        yield
    finally:
        boto3.setup_default_session()


def test_a_failure_that_passes_in_a_new_bucket_is_given_time_and_no_other_is(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    passing = ["1 of 1 uploads: 0a1b ContentionError", "1 of 1 uploads: 0a1b UnseenError"]
    answers = iter([*passing, None, "1 of 1 uploads: 0a1b ObjectStoreError put_object: AccessDenied"])
    monkeypatch.setattr(Processor, "process", lambda *_: next(answers))
    uploads = UploadChecks(target._replace(patience=Patience(bucket=60)), "passing")

    assert "no error" in uploads.event_again()
    with pytest.raises(UnexpectedError, match="AccessDenied"):
        uploads.event_again()


def test_a_function_that_is_busy_is_asked_again(deployment: Deployment, target: Target) -> None:
    functions, key = deployment.functions, f"{PREFIX}busy.json"
    free = partial(functions.delete_function_concurrency, FunctionName=FUNCTION)
    functions.put_function_concurrency(FunctionName=FUNCTION, ReservedConcurrentExecutions=0)
    try:
        with pytest.raises(ClientError, match="TooManyRequestsException"):
            Processor(target._replace(patience=Patience(upload=0))).process(key)
        threading.Timer(0.5, free).start()
        assert Processor(target).process(key) is None
    finally:
        free()


def test_what_comes_while_the_rest_is_removed_is_removed_too(deployment: Deployment) -> None:
    late = partial(deployment.s3.put_object, Bucket=deployment.rejected, Key=f"{PREFIX}late.json")
    verification.clear_away(deployment.s3, deployment.buckets, 20)  # what another test has left
    late()
    threading.Timer(0.15, late).start()

    assert verification.clear_away(deployment.s3, deployment.buckets, 20) == "2 versions removed"
    assert left(deployment) == []


def test_what_comes_again_and_again_is_told(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    def come_again(s3: Any, bucket: str, prefix: str) -> Iterator[Version]:
        s3.put_object(Bucket=bucket, Key=f"{prefix}again")
        return versions(s3, bucket, prefix)

    with monkeypatch.context() as patch:
        patch.setattr(verification, "versions", come_again)
        with pytest.raises(UnexpectedError, match=r"^[1-9]\d* versions removed, and 3 more came$"):
            verification.clear_away(deployment.s3, deployment.buckets, 0.2)
    assert left(deployment) == []


def test_a_notification_of_uploads_alone_is_seen(deployment: Deployment, target: Target) -> None:
    uploads = UploadChecks(target._replace(patience=Patience(bucket=0, api=0, upload=3)), "uploads-alone")

    with notified_of(deployment, ["s3:ObjectCreated:*"]):
        for not_told in (uploads.removed, uploads.undeleted):
            with pytest.raises(UnexpectedError, match=r"not published .* the function reports no error"):
                not_told()


@contextmanager
def notified_of(deployment: Deployment, events: list[EventType]) -> Iterator[None]:
    """Have the raw bucket tell its function of other events for a while."""
    before = deployment.s3.get_bucket_notification_configuration(Bucket=deployment.raw)
    (entry,) = before["LambdaFunctionConfigurations"]
    put = partial(deployment.s3.put_bucket_notification_configuration, Bucket=deployment.raw)
    put(NotificationConfiguration={"LambdaFunctionConfigurations": [{**entry, "Events": events}]})
    try:
        yield
    finally:
        put(NotificationConfiguration={"LambdaFunctionConfigurations": [entry]})


def test_an_api_that_is_not_there_is_not_taken_for_a_closed_one(target: Target) -> None:
    posts = PostChecks(target._replace(url=target.url.replace("/restapis/", "/restapis/no")))

    for refused in (posts.unsigned, posts.by_nobody):
        with pytest.raises(UnexpectedError, match="even with your signature"):
            refused()


def test_an_api_that_is_open_to_all_is_seen(deployment: Deployment, target: Target) -> None:
    with open_to_all(target.url.split("/")[4]):
        assert deployment.post(b"[]", signed=False).status == 200
        posts = PostChecks(target)

        for refused in (posts.unsigned, posts.by_nobody):
            with pytest.raises(UnexpectedError, match="200"):
                refused()


@contextmanager
def open_to_all(api: str) -> Iterator[None]:
    """Let everybody post for a while."""
    client = boto3.client("apigateway")
    paths = {item["path"]: item["id"] for item in client.get_resources(restApiId=api)["items"]}
    method = partial(client.update_method, restApiId=api, resourceId=paths["/process"], httpMethod="POST")
    method(patchOperations=[{"op": "replace", "path": "/authorizationType", "value": "NONE"}])
    try:
        yield
    finally:
        method(patchOperations=[{"op": "replace", "path": "/authorizationType", "value": "AWS_IAM"}])
