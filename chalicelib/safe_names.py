"""Names that are safe to log: an object without its key, an error without its message.

Object keys, record values and exception messages can contain patient data. These functions turn the ones that
a log event needs into a digest, a class name or a code location.
"""

import hashlib
import traceback
from pathlib import Path
from typing import NewType

import msgspec

MAX_FRAMES = 20  # of a traceback, the innermost ones: a recursion error has a thousand

ObjectDigest = NewType("ObjectDigest", str)  # made by `object_name`
ObjectKey = NewType("ObjectKey", str)  # logged only if LOG_OBJECT_KEYS is true
Version = NewType("Version", str)  # an S3 version id, or a version of software
ErrorName = NewType("ErrorName", str)  # a class name, with the S3 operation and error code if there is one
CodeLocation = NewType("CodeLocation", str)  # file, line and function, in our code or a library's


class ObjectName(msgspec.Struct, frozen=True, omit_defaults=True):
    """Identifies an object in the log. The key is included only if LOG_OBJECT_KEYS is true."""

    digest: ObjectDigest
    key: ObjectKey | None = None


def object_name(key: str, *, log_object_keys: bool) -> ObjectName:
    """Name an object by the first 16 hex digits of the SHA-256 of its key; add the key if allowed."""
    digest = ObjectDigest(hashlib.sha256(key.encode()).hexdigest()[:16])
    return ObjectName(digest, ObjectKey(key) if log_object_keys else None)


def error_name(error: BaseException) -> ErrorName:
    """Name an error by its class alone. Its message may quote a record or a key."""
    return ErrorName(type(error).__name__)


def locations(error: BaseException) -> list[CodeLocation]:
    """List where an error was raised, innermost last, without the source lines."""
    frames = traceback.extract_tb(error.__traceback__, limit=-MAX_FRAMES)
    return [CodeLocation(f"{Path(f.filename).name}:{f.lineno} {f.name}") for f in frames]
