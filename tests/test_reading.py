"""Values of any type that the contract may name: read, or described without the value; never an error."""

import datetime as dt
import decimal
import json
import uuid
from random import Random
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Raw, Struct

from chalicelib import reading
from chalicelib.reading import Fault, Reader
from tests.benchmarks.fuzz import value as any_value
from tests.reference import has_unusable_number

CANARY = "Canary"


class Eye(Struct):
    """A part of a record: an object with fields of its own."""

    side: Any
    thickness: float = 0


HALF, NOT_UTF8, LONG = b'"Canary\\ud83d"', b'"Canary\xff"', b"9" * 400


@pytest.mark.parametrize(
    ("kind", "text", "fault"),
    [
        *[(kind, HALF, ": not a date") for kind in (dt.date, Annotated[dt.date, Meta(description="a")])],
        (dt.datetime, HALF, ": not a datetime"),
        (dt.time, HALF, ": not a time"),
        (dt.timedelta, HALF, ": not a duration"),
        (uuid.UUID, HALF, ": not a UUID"),
        (decimal.Decimal, HALF, ": not a decimal"),
        (bytes, HALF, ": not base64"),
        (Literal["OD", "OS"], HALF, ": not one of the values that it may have"),
        (int, HALF, ": not an integer"),
        (float | None, HALF, ": not a number or null"),
        (list[dt.date], b'["2026-11-23",' + HALF + b"]", "[1]: not a date"),
        (dict[dt.date, int], b"{" + HALF + b":1}", ": not a date"),
        (Eye, b"{" + HALF + b":1}", ": lacks a field"),
        (Annotated[str, Meta(max_length=2)], HALF, ": length not <= 2"),
        (dt.date, NOT_UTF8, ": not a date"),
        (Literal["OD"], NOT_UTF8, ": not UTF-8"),
        (uuid.UUID, NOT_UTF8, ": not a UUID"),
        (Any, NOT_UTF8, ": not UTF-8"),
        (list[str], b"[" + NOT_UTF8 + b"]", ": not UTF-8"),
        (list[int], b"[" + NOT_UTF8 + b"]", "[0]: not an integer"),
        (str | None, b'"\\ud83d' + NOT_UTF8[1:], ": not UTF-8"),
        (int, b"NaN", ": not an integer"),
        (int, b"9" * 5000, ": not an integer"),
        (dt.date, b"-Infinity", ": not a date"),
        *[
            (float, number, ": not a number")
            for number in (b"NaN", b"1e999", b"-1e999", LONG, LONG + b".5", b"9" * 5000)
        ],
        (float | None, b"Infinity", ": not a number or null"),
        (list[float], b"[1," + LONG + b"]", "[1]: not a number"),
        (Eye, b'{"side":1,"thickness":NaN}', ".thickness: not a number"),
        (list[str], b'["a",NaN,' + HALF + b"]", "[1]: not a string"),
        (list[str], b'{"a":NaN}', ": not an array"),
        (Any, b"NaN", ": contains an unusable number"),
        (Any, b"1e999", ": contains an unusable number"),
        (Any, b"9" * 5000, ": contains an unusable number"),
        (Any, b'{"a":[1,{"b":Infinity}]}', ": contains an unusable number"),
        (list[Any], b"[" + HALF + b",NaN]", ": contains an unusable number"),
        (dict[str, Any], b'{"a":-Infinity}', ": contains an unusable number"),
        (Eye, b'{"side":[NaN]}', ": contains an unusable number"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_value_is_described_without_the_value(kind: Any, text: bytes, fault: str) -> None:
    found = Reader(kind)(Raw(text))

    assert found == fault
    assert type(found) is Fault
    assert CANARY not in found


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (int, LONG, int(LONG)),
        (Any, LONG, int(LONG)),
        (Any, HALF, "Canary\ud83d"),
        (str | None, HALF, "Canary\ud83d"),
        (dict[str, int], b"{" + HALF + b":1}", {"Canary\ud83d": 1}),
        (decimal.Decimal, b"1e999", decimal.Decimal("1e999")),
        (Eye, b'{"of nobody":NaN,"side":"OD"}', Eye("OD")),  # a value that nobody extracts
        (Any, b'{"a":["NaN","\\ud83d",1.5]}', {"a": ["NaN", "\ud83d", 1.5]}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_value_that_only_a_patient_parser_accepts_is_read(kind: Any, text: bytes, value: object) -> None:
    assert Reader(kind)(Raw(text)) == value


def test_an_array_of_the_wrong_type_is_found_without_reading_it_slowly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "decode_leniently", None)

    assert Reader(int)(Raw(b"[NaN,1]")) == ": not an integer"


def test_a_field_of_any_type_takes_every_value_without_an_unusable_number() -> None:
    random = Random(1)  # noqa: S311 - it has to be repeatable
    read = Reader(Any)
    unusable = 0

    for _ in range(5000):
        text = any_value(random, 0)
        found = read(Raw(text))
        try:
            fault = ": contains an unusable number" if has_unusable_number(text) else None
        except UnicodeDecodeError:
            fault = ": not UTF-8"
        unusable += fault == ": contains an unusable number"
        assert found == fault if fault else found == last_of_each_key(text)

    assert unusable > 500


def last_of_each_key(text: bytes) -> object:
    """Decode a value, with a mark for the numbers that Python does not convert."""
    return json.loads(text.decode(), parse_int=lambda digits: int(digits) if len(digits) <= 4300 else None)
