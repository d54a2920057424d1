"""The environment variables of the functions, read and checked at cold start."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BUCKETS = ("RAW_BUCKET", "PROCESSED_BUCKET", "REJECTED_BUCKET")
BOOLEANS = {"true": True, "false": False}


class InvalidSettingsError(Exception):
    """The environment is invalid. The message lists every fault, so that one deployment can fix them all."""


@dataclass(frozen=True)
class Settings:
    """The settings, one for each environment variable.

    RAW_BUCKET, PROCESSED_BUCKET, REJECTED_BUCKET: names of three different buckets.
    LOG_OBJECT_KEYS: `true` adds object keys to the log; default `false`. Only for keys that identify nobody.
    UPLOAD_QUEUE_ARN: the queue that delivers the uploads; unset if S3 invokes the function directly.

    STAGE, STAGE_REGION: set for stages in AWS, so that `chalice deploy` does not create a stage twice.
    """

    raw_bucket: str
    processed_bucket: str
    rejected_bucket: str
    log_object_keys: bool = False
    upload_queue: str = ""

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings from `environ`; raises InvalidSettingsError."""
        buckets = [environ.get(name, "").strip() for name in BUCKETS]
        log_object_keys = environ.get("LOG_OBJECT_KEYS", "false").strip().lower()
        queue = environ.get("UPLOAD_QUEUE_ARN", "").strip()
        faults = [*_bucket_faults(buckets), *_boolean_faults(log_object_keys), *_queue_faults(queue)]
        # Chalice's command line imports the app, and so reads the settings, before it deploys.
        if "AWS_CHALICE_CLI_MODE" in environ:
            faults = _command_line_faults(faults, environ)
        if faults:
            raise InvalidSettingsError("; ".join(faults))
        raw, processed, rejected = buckets
        return cls(raw, processed, rejected, log_object_keys=BOOLEANS[log_object_keys], upload_queue=queue)


def _bucket_faults(buckets: list[str]) -> list[str]:
    named = dict(zip(BUCKETS, buckets, strict=True))
    unset = [f"{name} is not set" for name, bucket in named.items() if not bucket]
    shared = [
        f"{one} and {other} name the same bucket"
        for i, one in enumerate(BUCKETS)
        for other in BUCKETS[i + 1 :]
        if named[one] and named[one] == named[other]
    ]
    return unset + shared


def _boolean_faults(value: str) -> list[str]:
    return [] if value in BOOLEANS else ["LOG_OBJECT_KEYS is neither true nor false"]


def _queue_faults(queue: str) -> list[str]:
    is_queue = queue.startswith("arn:") and ":sqs:" in queue
    return [] if is_queue or not queue else ["UPLOAD_QUEUE_ARN is not the ARN of an SQS queue"]


def _command_line_faults(faults: list[str], environ: Mapping[str, str]) -> list[str]:
    stage = environ.get("STAGE")
    if stage:
        faults = [*faults, *_second_stage_faults(stage, environ)]
    configure = f"python -m infra.ops configure --stage {stage or '<stage>'}"
    return faults and [*faults, f"first run `{configure}` and follow what it prints"]


def _second_stage_faults(stage: str, environ: Mapping[str, str]) -> list[str]:
    # Chalice finds its REST API by this file only, and its resources in the region of this variable.
    file, region = Path(".chalice", "deployed", f"{stage}.json"), environ.get("STAGE_REGION")
    missing = [] if file.exists() else [f"{file} is missing, so Chalice would make a second API"]
    elsewhere = [] if environ.get("AWS_DEFAULT_REGION") == region else [f"AWS_DEFAULT_REGION is not {region}"]
    return missing + elsewhere
