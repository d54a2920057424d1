"""The contract: what is published of a record, and what a record must be. All else is derived from here.

The decoders, the reasons for which records are rejected, the extraction's revision, the JSON Schema and
the description of the API follow these types: https://jcristharif.com/msgspec/constraints.html.
"""

import datetime as dt
from typing import Annotated

from msgspec import Meta, Struct

Text = Annotated[str, Meta(pattern=r"\S")]
"""Text that is more than white space. What is not is called blank."""
Date = dt.date
"""A date, as in 2026-11-23."""


class PatientRecord(Struct, kw_only=True):
    """What is published of a record. A field with a default may be missing."""

    patient_id: Text
    patient_name: Text


class ScanRecord(PatientRecord, kw_only=True):
    """What a record must be: what is published, and the fields that stand here, which are checked alone."""


RECORDS_KEY: str | None = None
"""The key of the list of records, where documents are one object around it: {"patients": [...]}."""
