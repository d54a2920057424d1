"""The contract: what a patient's record is, what makes one valid, and how a rejected one is carried."""

from collections.abc import Iterator, Mapping

from msgspec import UNSET, Raw, Struct, UnsetType


# gc=False: a record refers to nothing but its strings, so the collector need not look at it.
class PatientRecord(Struct, gc=False):
    """What is extracted. Every field is required, and holds something other than white space.

    A field added here is extracted, required and written to the processed bucket; nothing else changes.
    """

    patient_id: str
    patient_name: str


class RejectedRecord(Struct, omit_defaults=True):
    """A record that was not extracted: its place in the document (from 0), why, and all of it.

    `record` is its own JSON, values untouched, on one line. JSON that is not valid UTF-8 could not stand
    in a line that is; `record_base64` has the record's exact bytes instead.
    """

    index: int
    reason: str
    record: Raw | UnsetType = UNSET
    record_base64: bytes | UnsetType = UNSET


class NotText:
    """Stands for a string that is not valid UTF-8."""


FIELDS = PatientRecord.__struct_fields__
NOT_AN_OBJECT = "record: not an object"


def reason_to_reject(fields: Mapping[str, object]) -> str:
    """Name everything that is wrong with a record's fields, in their order; empty if it is valid.

    The reason names fields and never quotes a value: it goes where values must not.
    """
    return "; ".join(_faults(fields))


def _faults(fields: Mapping[str, object]) -> Iterator[str]:
    for name in FIELDS:
        value = fields.get(name, UNSET)
        if value is UNSET:
            yield f"{name}: missing"
        elif isinstance(value, NotText):
            yield f"{name}: not UTF-8"
        elif not isinstance(value, str):
            yield f"{name}: not a string"
        elif not value.strip():
            yield f"{name}: blank"
