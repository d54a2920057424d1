"""JSON Schema of what comes in, what is published and what is rejected: made from the contract."""

from typing import Any

import msgspec

from chalicelib.malformed import MalformedReport
from chalicelib.records import RECORDS_KEY, PatientRecord, ScanRecord
from chalicelib.rejections import RejectedRecord

type Schema = dict[str, Any]

TYPES = [ScanRecord, PatientRecord, RejectedRecord, MalformedReport]


def schema() -> Schema:
    """Describe all three, as JSON Schema 2020-12: `$defs` has Document, Published and RejectedLine."""
    references, definitions = components("#/$defs/{name}")
    record, patient, rejected, report = references
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Retina scans: what comes in",
        "$ref": "#/$defs/Document",
        "$defs": {
            "Document": document(record),
            "Published": {"type": "array", "items": patient},
            "RejectedLine": {"oneOf": [rejected, report]},
            **definitions,
        },
    }


def components(ref_template: str) -> tuple[list[Schema], dict[str, Schema]]:
    """Describe the contract's types: references to them, in the order of TYPES, and what they refer to."""
    references, definitions = msgspec.json.schema_components(TYPES, ref_template=ref_template)
    return list(references), definitions


def document(record: Schema) -> Schema:
    """Describe a document of which every record is valid, other than JSON Lines."""
    records = {"type": "array", "items": record}
    if RECORDS_KEY is None:
        return {"oneOf": [records, record]}
    around = {"type": "object", "properties": {RECORDS_KEY: records}, "required": [RECORDS_KEY]}
    return {"oneOf": [records, around]}
