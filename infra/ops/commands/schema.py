"""The JSON Schema of documents, of what is published and of what is rejected, generated from the contract."""

from typing import Any

import msgspec

from chalicelib.malformed import MalformedReport, RefusedReport
from chalicelib.records import RECORDS_KEY, PatientRecord, ScanRecord
from chalicelib.rejections import RejectedRecord

type Schema = dict[str, Any]

TYPES = [ScanRecord, PatientRecord, RejectedRecord, MalformedReport, RefusedReport]


def schema() -> Schema:
    """Return a JSON Schema 2020-12; `$defs` has Document, Published, RejectedLine and Refusal."""
    references, definitions = components("#/$defs/{name}")
    record, patient, rejected, malformed, refused = references
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Retina scans: what comes in",
        "$ref": "#/$defs/Document",
        "$defs": {
            "Document": document(record),
            "Published": {"type": "array", "items": patient},
            "RejectedLine": {"oneOf": [rejected, malformed]},
            "Refusal": refused,
            **definitions,
        },
    }


def components(ref_template: str) -> tuple[list[Schema], dict[str, Schema]]:
    """Return references to the contract's types, in the order of TYPES, and the definitions they refer to."""
    references, definitions = msgspec.json.schema_components(TYPES, ref_template=ref_template)
    return list(references), definitions


def document(record: Schema) -> Schema:
    """Describe a document whose records are all valid, in any form but JSON Lines."""
    records = {"type": "array", "items": record}
    if RECORDS_KEY is None:
        return {"oneOf": [records, record]}
    around = {"type": "object", "properties": {RECORDS_KEY: records}, "required": [RECORDS_KEY]}
    return {"oneOf": [records, around]}
