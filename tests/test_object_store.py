"""The object store, with real requests to the local cloud's S3."""

import pytest

from chalicelib.object_store import (
    IF_ABSENT,
    UNCONDITIONAL,
    Absence,
    Condition,
    ObjectStore,
    ObjectStoreError,
    OvertakenError,
    Source,
    Upload,
)
from chalicelib.upload import PART_SIZE
from tests.deployment import Deployment, new_key


@pytest.fixture
def store(deployment: Deployment) -> ObjectStore:
    return ObjectStore(deployment.s3)


def open_upload(
    store: ObjectStore, deployment: Deployment, key: str, condition: Condition = UNCONDITIONAL
) -> Upload:
    return Upload(store, deployment.processed, key, condition, "application/json", {"source-version": "1"})


def test_an_object_is_read_as_it_was_written(store: ObjectStore, deployment: Deployment) -> None:
    key, body = new_key(), bytes(range(256)) * 1000
    version = deployment.s3.put_object(Bucket=deployment.processed, Key=key, Body=body)["VersionId"]

    source = store.open(deployment.processed, key)

    assert isinstance(source, Source)
    with source:
        assert source.head.version == version
        assert b"".join(source) == body


def test_a_deleted_object_is_distinguished_from_one_that_is_not_visible(
    store: ObjectStore, deployment: Deployment
) -> None:
    key = new_key()
    assert store.open(deployment.processed, key) is Absence.UNSEEN
    assert store.head(deployment.processed, key) is None

    deployment.s3.put_object(Bucket=deployment.processed, Key=key, Body=b"")
    deployment.s3.delete_object(Bucket=deployment.processed, Key=key)

    assert store.open(deployment.processed, key) is Absence.DELETED
    assert store.head(deployment.processed, key) is None


def test_an_absent_bucket_is_an_error_not_an_absent_object(store: ObjectStore) -> None:
    with pytest.raises(ObjectStoreError, match=r"^get_object: NoSuchBucket$"):
        store.open("no-such-bucket", new_key())


@pytest.mark.parametrize("size", [0, 1, PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 2 * PART_SIZE + 5])
def test_an_upload_is_visible_only_when_it_is_complete(
    store: ObjectStore, deployment: Deployment, size: int
) -> None:
    key, body = new_key(), b"0123456789" * (size // 10) + b"x" * (size % 10)

    with open_upload(store, deployment, key) as upload:
        for start in range(0, size, 1_000_003):
            upload.write(body[start : start + 1_000_003])
        assert deployment.keys(deployment.processed, key) == []
        upload.complete()

    assert deployment.get(deployment.processed, key) == body
    head = store.head(deployment.processed, key)
    assert head is not None
    assert head.metadata == {"source-version": "1"}


@pytest.mark.parametrize("size", [1, PART_SIZE + 1])
def test_an_upload_that_is_not_completed_leaves_nothing(
    store: ObjectStore, deployment: Deployment, size: int
) -> None:
    key = new_key()

    with pytest.raises(ZeroDivisionError), open_upload(store, deployment, key) as upload:
        upload.write(b"x" * size)
        _ = 1 / 0

    assert deployment.keys(deployment.processed, key) == []
    unfinished = deployment.s3.list_multipart_uploads(Bucket=deployment.processed).get("Uploads", [])
    assert key not in {one["Key"] for one in unfinished}


@pytest.mark.parametrize("size", [1, PART_SIZE + 1])
@pytest.mark.parametrize("first", [IF_ABSENT, None], ids=["no object before", "another object before"])
def test_an_upload_that_is_overtaken_by_another_is_not_published(
    store: ObjectStore, deployment: Deployment, size: int, first: Condition | None
) -> None:
    key = new_key()
    condition = first
    if condition is None:
        deployment.s3.put_object(Bucket=deployment.processed, Key=key, Body=b"before")
        head = store.head(deployment.processed, key)
        assert head is not None
        condition = head.if_unchanged

    with pytest.raises(OvertakenError), open_upload(store, deployment, key, condition) as upload:
        upload.write(b"x" * size)
        deployment.s3.put_object(Bucket=deployment.processed, Key=key, Body=b"faster")
        upload.complete()

    assert deployment.get(deployment.processed, key) == b"faster"


def test_objects_without_a_version_id_are_distinguished_by_their_content(
    store: ObjectStore, deployment: Deployment
) -> None:
    bucket = "not-versioned"
    deployment.s3.create_bucket(Bucket=bucket)

    versions = set()
    for body in (b"A", b"B", b"A"):
        deployment.s3.put_object(Bucket=bucket, Key="key", Body=body)
        head = store.head(bucket, "key")
        assert head is not None
        versions.add(head.version)

    assert len(versions) == 2
    assert "null" not in versions


def test_an_error_has_operation_and_code_but_not_the_key(store: ObjectStore, deployment: Deployment) -> None:
    with pytest.raises(ObjectStoreError) as error:
        store.request("get_object", Bucket=deployment.raw, Key="CANARY.json", IfMatch="x", VersionId="CANARY")

    assert "CANARY" not in str(error.value)
    assert error.value.__suppress_context__
