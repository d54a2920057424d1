"""The contract: which fields of a record are published, and when a record is valid.

The decoders, the reasons of rejected records, the extraction's revision, the JSON Schema and the OpenAPI
description are derived from these types: https://jcristharif.com/msgspec/constraints.html.
"""

import datetime as dt
from typing import Annotated

from msgspec import Meta, Struct

Text = Annotated[str, Meta(pattern=r"\S")]
"""Text with something other than white space; any other text is blank."""
Date = dt.date
"""A date, as in 2026-11-23."""


class PatientRecord(Struct, kw_only=True):
    """The published fields of a record. A field with a default may be missing."""

    patient_id: Text
    patient_name: Text


class ScanRecord(PatientRecord, kw_only=True):
    """All fields of a valid record: the published ones, and those below, which are only checked."""


RECORDS_KEY: str | None = None
"""The key of the list of records, if documents are one object around it: {"patients": [...]}."""
