"""Synthetic documents of every kind, each with the expected outcome. Documents and keys have canaries."""

import gzip
import hashlib
import json
from random import Random
from typing import NamedTuple

from tests.canaries import CANARY

KEY_CANARY = "Canary-Theodora"
CANARIES = CANARY, KEY_CANARY
NAMES = ("scan", "a b+ü=1 (copy)", "100%25 & #?{}[]", "日本 🦉", f"of {KEY_CANARY}", "-rf $(x)`", "a//b/../c")
MB = 10**6


class Expected(NamedTuple):
    """The expected outcome of an upload: digests of the processed and the rejected object, empty for none.

    A malformed document has no processed object. Its rejected object is a report.
    """

    published: str
    rejected: str
    malformed: bool = False


def document(random: Random, number: int) -> tuple[bytes, Expected]:
    """Make a document of a random kind."""
    match random.choices(("valid", "dirty", "gzip", "large", "malformed"), (50, 20, 15, 1, 14))[0]:
        case "valid":
            return scans(number)
        case "dirty":
            return scans(number, invalid=3)
        case "gzip":
            body, expected = scans(number, invalid=1)
            return gzip.compress(body, 1), expected
        case "large":  # its processed object is uploaded in more than one part
            return scans(number, invalid=2, size=MB)
        case _:
            body, _ = scans(number)
            return body[: random.randrange(1, len(body))], Expected("", "", malformed=True)


def scans(number: int, *, invalid: int = 0, size: int = 1) -> tuple[bytes, Expected]:
    """Make an array of ten valid scans, with names of at least `size` bytes, and some invalid scans."""
    name = f"{CANARY} {number} {'x' * size}"
    valid = [{"patient_id": f"{CANARY}-{index}", "patient_name": name} for index in range(10)]
    dirty = [{"patient_id": f"{CANARY}-{index}", "note": CANARY} for index in range(10, 10 + invalid)]
    published = b"[\n" + b",\n".join(map(encoded, valid)) + b"\n]\n"
    rejected = [rejection(index, record) for index, record in enumerate(dirty, 10)]
    raw = [record | {"diagnosis": CANARY} for record in valid] + dirty
    return encoded(raw), Expected(digest(published), digest(b"".join(rejected)))


def rejection(index: int, record: dict[str, str]) -> bytes:
    return encoded({"index": index, "reason": "patient_name: missing", "record": record}) + b"\n"


def encoded(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest() if body else ""
