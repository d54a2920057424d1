"""`verify` passes a correct stage, and names the failed checks of a faulty one."""

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
# The same command for an API that is not new, so that a response of 500 is not retried for two minutes.
WITH_AN_OLD_API = """
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
    "a repeated event changes nothing",
    "after a removal the previous version is published",
    "an undeleted object is published",
    *REPORTS,
    *SEVERAL_PARTS,
}
POSTS = {"POST is answered with the patients", "POST with gzip is answered with the patients"}

NOTHING = {"app.py": "def data_processor(event, context):\n    return None\n"}
ERROR = {"app.py": "def app(event, context):\n    return {'statusCode': 500, 'body': 'no'}\n"}
EMPTY = {"app.py": "def app(event, context):\n    return {'statusCode': 200, 'body': '{}'}\n"}
# A bug that the code once had: part checksums, although the upload was created without an algorithm.
WITH_CHECKSUMS = ('"ETag": part["ETag"]}', '"ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}')
NO_PATIENTS = ("extract(source, processed.write", 'extract([b"[]"], processed.write')
ALWAYS_AGAIN = ("if published and published.metadata == _metadata(source)", "if False")
API = FUNCTION.removesuffix("-data-processor")


@pytest.fixture(autouse=True)
def short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "POLL_SECONDS", 0.3)


@pytest.fixture
def target(deployment: Deployment) -> Target:
    """The stage, as one that is not new. The timeout of an upload allows for a busy machine."""
    patience = Patience(bucket=0, api=0, upload=20)
    return Target(deployment.buckets, FUNCTION, deployment.url, REGION, patience)


def broken(target: Target) -> dict[str, str]:
    """Verify a stage; returns the failed checks, with what they observed."""
    return {line.check: line.seen for line in verification.verify(target, print) if not line.passed}


def left(deployment: Deployment) -> list[str]:
    return [one.key for bucket in deployment.buckets for one in versions(deployment.s3, bucket, PREFIX)]


def test_a_correct_stage_passes_and_nothing_is_left_in_it(deployment: Deployment) -> None:
    deployment.upload(b"[{}]", f"{PREFIX}left-by-one-that-was-killed.json")

    done = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "The stage local does what it should." in done.stdout
    assert left(deployment) == []


def test_a_faulty_stage_fails_and_the_failed_checks_are_named_on_screen_and_on_github(
    deployment: Deployment, tmp_path: Path
) -> None:
    page = tmp_path / "summary.md"
    environment = os.environ | {"GITHUB_STEP_SUMMARY": str(page)}

    with running(deployment, API, packed(ERROR)):
        command = [sys.executable, "-c", WITH_AN_OLD_API, "verify", "--stage", "local"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert (
        "2 of 13 failed: POST is answered with the patients; POST with gzip is answered with the patients."
        in done.stderr
    )
    assert "| POST is answered with the patients | 500 no | NO |" in page.read_text()
    assert "| POST without a signature is refused | 403 | yes |" in page.read_text()
    assert "| POST signed by nobody is refused | 403 | yes |" in page.read_text()
    assert left(deployment) == []


def test_wrong_part_checksums_and_a_missing_permission_are_named(
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


def test_a_processor_that_does_nothing_fails_every_check_of_uploads(
    deployment: Deployment, target: Target
) -> None:
    with running(deployment, FUNCTION, packed(NOTHING)):
        seen = broken(target._replace(patience=Patience(bucket=0, api=0, upload=0.5)))

    assert seen.keys() == UPLOADS
    assert all("invoked for it, the function reports no error" in words for words in seen.values())
    assert left(deployment) == []


def test_wrong_content_and_a_needless_publication_are_noticed(deployment: Deployment, target: Target) -> None:
    code = edited(deployed_code(deployment, FUNCTION), "chalicelib/pipeline.py", NO_PATIENTS, ALWAYS_AGAIN)

    with running(deployment, FUNCTION, code), running(deployment, API, packed(EMPTY)):
        seen = broken(target)

    assert seen.keys() == UPLOADS | POSTS
    assert {seen[post] for post in POSTS} == {"200 {}"}
    several = "3 bytes published, not the 26,000,003 bytes expected"
    assert seen["an output of several parts is published"] == several
    assert seen["a malformed document is reported"] == "it was published"
    assert " became " in seen["a repeated event changes nothing"]


def test_verify_waits_until_versioning_of_a_new_bucket_works(deployment: Deployment, target: Target) -> None:
    uploads = UploadChecks(target._replace(patience=Patience(bucket=60, api=0, upload=1)), "new")
    new = {deployment.raw: 1, deployment.processed: 4, deployment.rejected: 7}

    with settling(new):
        assert uploads.rejected()
    with settling(dict.fromkeys(deployment.buckets, 2)):
        assert uploads.event_again()
        assert uploads.malformed()


@contextmanager
def settling(buckets: dict[str, int]) -> Iterator[None]:
    """Make the buckets behave as if versioning were new, for so many seconds."""
    s3 = boto3.client("s3")
    for bucket, seconds in buckets.items():
        tag: TagTypeDef = {"Key": "versioning-settles-in", "Value": str(seconds)}
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [tag]})
    try:
        yield
    finally:
        for bucket in buckets:
            s3.delete_bucket_tagging(Bucket=bucket)


def test_inconsistent_reads_of_a_new_bucket_are_retried(target: Target) -> None:
    with every_other_read_fails():
        uploads = UploadChecks(target, "now-and-then")
        for seen in (uploads.rejected, uploads.event_again, uploads.removed):
            assert seen()


@contextmanager
def every_other_read_fails() -> Iterator[None]:
    """Answer the first, third, ... read of an object with 404."""
    reads: Counter[str] = Counter()

    def answer(model: OperationModel, params: dict[str, Any], **_: Any) -> Any:
        reads[params["url"]] += 1
        if reads[params["url"]] % 2 == 0:
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


def test_only_transient_errors_of_a_new_bucket_are_retried(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    transient = ["1 of 1 uploads: 0a1b ContentionError", "1 of 1 uploads: 0a1b UnseenError"]
    answers = iter([*transient, None, "1 of 1 uploads: 0a1b ObjectStoreError put_object: AccessDenied"])
    monkeypatch.setattr(Processor, "process", lambda *_: next(answers))
    uploads = UploadChecks(target._replace(patience=Patience(bucket=60)), "transient")

    assert "no error" in uploads.event_again()
    with pytest.raises(UnexpectedError, match="AccessDenied"):
        uploads.event_again()


def test_a_throttled_invocation_is_retried(deployment: Deployment, target: Target) -> None:
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


def test_an_object_that_appears_during_the_cleanup_is_removed_too(deployment: Deployment) -> None:
    late = partial(deployment.s3.put_object, Bucket=deployment.rejected, Key=f"{PREFIX}late.json")
    verification.clear_away(deployment.s3, deployment.buckets, 20)  # left by another test
    late()
    threading.Timer(0.15, late).start()

    assert verification.clear_away(deployment.s3, deployment.buckets, 20) == "2 versions removed"
    assert left(deployment) == []


def test_a_cleanup_that_never_ends_is_an_error(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reappear(s3: Any, bucket: str, prefix: str) -> Iterator[Version]:
        s3.put_object(Bucket=bucket, Key=f"{prefix}again")
        return versions(s3, bucket, prefix)

    with monkeypatch.context() as patch:
        patch.setattr(verification, "versions", reappear)
        with pytest.raises(UnexpectedError, match=r"^[1-9]\d* versions removed, and 3 more came$"):
            verification.clear_away(deployment.s3, deployment.buckets, 0.2)
    assert left(deployment) == []


def test_a_notification_without_removals_is_detected(deployment: Deployment, target: Target) -> None:
    uploads = UploadChecks(target._replace(patience=Patience(bucket=0, api=0, upload=3)), "uploads-alone")

    with notified_of(deployment, ["s3:ObjectCreated:*"]):
        for check in (uploads.removed, uploads.undeleted):
            with pytest.raises(UnexpectedError, match=r"not published .* the function reports no error"):
                check()


@contextmanager
def notified_of(deployment: Deployment, events: list[EventType]) -> Iterator[None]:
    """Notify the function of other events for a while."""
    before = deployment.s3.get_bucket_notification_configuration(Bucket=deployment.raw)
    (entry,) = before["LambdaFunctionConfigurations"]
    put = partial(deployment.s3.put_bucket_notification_configuration, Bucket=deployment.raw)
    put(NotificationConfiguration={"LambdaFunctionConfigurations": [{**entry, "Events": events}]})
    try:
        yield
    finally:
        put(NotificationConfiguration={"LambdaFunctionConfigurations": [entry]})


def test_a_missing_api_is_not_mistaken_for_a_protected_one(target: Target) -> None:
    posts = PostChecks(target._replace(url=target.url.replace("/restapis/", "/restapis/no")))

    for refused in (posts.unsigned, posts.by_nobody):
        with pytest.raises(UnexpectedError, match="even with your signature"):
            refused()


def test_an_api_without_authorization_is_detected(deployment: Deployment, target: Target) -> None:
    with open_to_all(target.url.split("/")[4]):
        assert deployment.post(b"[]", signed=False).status == 200
        posts = PostChecks(target)

        for refused in (posts.unsigned, posts.by_nobody):
            with pytest.raises(UnexpectedError, match="200"):
                refused()


@contextmanager
def open_to_all(api: str) -> Iterator[None]:
    """Accept unsigned posts for a while."""
    client = boto3.client("apigateway")
    paths = {item["path"]: item["id"] for item in client.get_resources(restApiId=api)["items"]}
    method = partial(client.update_method, restApiId=api, resourceId=paths["/process"], httpMethod="POST")
    method(patchOperations=[{"op": "replace", "path": "/authorizationType", "value": "NONE"}])
    try:
        yield
    finally:
        method(patchOperations=[{"op": "replace", "path": "/authorizationType", "value": "AWS_IAM"}])
