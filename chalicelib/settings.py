"""The environment of the functions, read and checked once, at cold start."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BUCKETS = ("RAW_BUCKET", "PROCESSED_BUCKET", "REJECTED_BUCKET")
SWITCHES = {"true": True, "false": False}


class InvalidSettingsError(Exception):
    """The environment is unusable; the message names every fault, so that one deployment mends them all."""


@dataclass(frozen=True)
class Settings:
    """Where the pipeline reads and writes.

    RAW_BUCKET, PROCESSED_BUCKET, REJECTED_BUCKET: names of three different buckets.
    LOG_OBJECT_KEYS: `true` adds object keys to the log, for those who know that their keys name nobody;
    `false` when unset.
    UPLOAD_QUEUE_ARN: the queue that brings the uploads, where S3 does not invoke the function itself.

    STAGE, STAGE_REGION: of a stage in AWS; they keep `chalice deploy` from making it a second time.
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
        switch = environ.get("LOG_OBJECT_KEYS", "false").strip().lower()
        queue = environ.get("UPLOAD_QUEUE_ARN", "").strip()
        faults = [*_bucket_faults(buckets), *_switch_faults(switch), *_queue_faults(queue)]
        # Chalice's command line reads the settings before it changes anything.
        if "AWS_CHALICE_CLI_MODE" in environ:
            faults = _on_the_command_line(faults, environ)
        if faults:
            raise InvalidSettingsError("; ".join(faults))
        raw, processed, rejected = buckets
        return cls(raw, processed, rejected, log_object_keys=SWITCHES[switch], upload_queue=queue)


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


def _switch_faults(switch: str) -> list[str]:
    return [] if switch in SWITCHES else ["LOG_OBJECT_KEYS is neither true nor false"]


def _queue_faults(queue: str) -> list[str]:
    of_sqs = queue.startswith("arn:") and ":sqs:" in queue
    return [] if of_sqs or not queue else ["UPLOAD_QUEUE_ARN is not the ARN of an SQS queue"]


def _on_the_command_line(faults: list[str], environ: Mapping[str, str]) -> list[str]:
    stage = environ.get("STAGE")
    if stage:
        faults = [*faults, *_second_stage_faults(stage, environ)]
    configure = f"python -m infra.ops configure --stage {stage or '<stage>'}"
    return faults and [*faults, f"first run `{configure}` and follow what it prints"]


def _second_stage_faults(stage: str, environ: Mapping[str, str]) -> list[str]:
    # Chalice finds its REST API by this file alone, and everything in the region that this variable names.
    file, region = Path(".chalice", "deployed", f"{stage}.json"), environ.get("STAGE_REGION")
    missing = [] if file.exists() else [f"{file} is missing, so Chalice would make a second API"]
    elsewhere = [] if environ.get("AWS_DEFAULT_REGION") == region else [f"AWS_DEFAULT_REGION is not {region}"]
    return missing + elsewhere
