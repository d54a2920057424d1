"""Scans of nobody, to try a stage with."""

import gzip
import json

from chalicelib.records import FIELDS

type Patients = list[dict[str, str]]

# Why a record is rejected that has nothing of what is wanted.
ALL_MISSING = "; ".join(f"{field}: missing" for field in FIELDS)


def patients(mark: str, count: int = 1, size: int = 0) -> Patients:
    """Make up so many patients, each different, of about so many bytes."""
    filler = "." * (size // len(FIELDS))
    return [dict.fromkeys(FIELDS, f"synthetic {mark} {number}{filler}") for number in range(count)]


def document(records: Patients) -> bytes:
    """Write scans of these records: there is more in each than what is extracted."""
    return json.dumps([record | {"diagnosis": "synthetic"} for record in records]).encode()


def packed(records: Patients) -> bytes:
    """Write them packed, which spares the operator's line."""
    return gzip.compress(document(records), compresslevel=1)
