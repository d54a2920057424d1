"""The environment of the functions, read and checked once, at cold start."""

from collections.abc import Mapping
from dataclasses import dataclass

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
    """

    raw_bucket: str
    processed_bucket: str
    rejected_bucket: str
    log_object_keys: bool = False

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings from `environ`; raises InvalidSettingsError."""
        buckets = [environ.get(name, "").strip() for name in BUCKETS]
        switch = environ.get("LOG_OBJECT_KEYS", "false").strip().lower()
        faults = [*_bucket_faults(buckets), *_switch_faults(switch)]
        if faults:
            raise InvalidSettingsError("; ".join(faults))
        raw, processed, rejected = buckets
        return cls(raw, processed, rejected, log_object_keys=SWITCHES[switch])


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
