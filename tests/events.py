"""S3 events as S3 sends them: with keys encoded, which Chalice's own event factory does not do."""

from typing import Any
from urllib.parse import quote_plus


def s3_event(*objects: tuple[str, str]) -> dict[str, Any]:
    """Make the event of objects (bucket, key) that were uploaded."""
    return {"Records": [_record(bucket, key) for bucket, key in objects]}


def _record(bucket: str, key: str) -> dict[str, Any]:
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe="/")}},
    }
