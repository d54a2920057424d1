"""Which records are valid, and how the others are rejected."""

import base64
import json

import msgspec
import pytest
from msgspec import Raw

from chalicelib import rejections, rows
from chalicelib.rejections import LARGE, RejectedRecord, encode_rejected
from chalicelib.sorting import SortedBatch, sort_batch

CANARY = "Canary"


def rejected_line(record: bytes) -> bytes:
    """Sort one invalid record. Returns its line."""
    batch = sort_batch(b"[" + record + b"]", "array", 7)
    assert (batch.valid, batch.valid_count, len(batch.rejected)) == (b"", 0, 1)
    line = lines_of(batch)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    return line


def lines_of(*batches: SortedBatch) -> bytes:
    """Encode the rejected records of batches."""
    rejected = [batch.rejected for batch in batches if batch.rejected]
    return b"".join(line for records in rejected for line in encode_rejected(records, 0))


def kept(record: bytes) -> bytes:
    """Get the record from the line of a rejected record."""
    return rejected_line(record).partition(b',"record":')[2].removesuffix(b"}\n")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"{}", "patient_id: missing; patient_name: missing"),
        (b'{"patient_id":"A"}', "patient_name: missing"),
        (b'{"patient_id":"A","patient_name":null}', "patient_name: not a string"),
        (
            b'{"patient_id":7,"patient_name":["Canary"]}',
            "patient_id: not a string; patient_name: not a string",
        ),
        (
            b'{"patient_id":true,"patient_name":{"a":"Canary"}}',
            "patient_id: not a string; patient_name: not a string",
        ),
        (b'{"patient_id":1e999,"patient_name":"A"}', "patient_id: not a string"),
        (b'{"patient_id":' + b"9" * 5000 + b',"patient_name":"A"}', "patient_id: not a string"),
        (
            b'{"patient_id":NaN,"patient_name":-Infinity}',
            "patient_id: not a string; patient_name: not a string",
        ),
        (b'{"patient_id":[NaN,"\\ud800"],"patient_name":"A"}', "patient_id: not a string"),
        (b'{"patient_id":"","patient_name":"Canary"}', "patient_id: blank"),
        (b'{"patient_id":" \\t\\u00a0\\u3000","patient_name":""}', "patient_id: blank; patient_name: blank"),
        (b'{"patient_name":"\xff"}', "patient_id: missing; patient_name: not UTF-8"),
        (b'{"patient_id":"\\ud800"}', "patient_name: missing"),
        (b'"Canary"', "record: not an object"),
        (b"[]", "record: not an object"),
        (b"null", "record: not an object"),
        (b"-0.5e7", "record: not an object"),
    ],
)
def test_a_reason_names_every_fault_and_no_value(record: bytes, reason: str) -> None:
    line = json.loads(rejected_line(record), parse_int=str)

    assert (line["index"], line["reason"]) == ("7", reason)
    assert CANARY not in line["reason"]


@pytest.mark.parametrize(
    "record",
    [
        b'{"patient_id":12345678901234567890123,"x":1.10,"y":-0.0,"z":1E+2}',
        rb'{"patient_id":"\u0041\/\ud83d\ude00\ud83d","x":"\\ \" \n"}',
        '{"patient_id":"Zoë","x":"いけりあん"}'.encode(),
        b'{"patient_id":1,"patient_id":2,"":{}}',
    ],
)
def test_a_rejected_record_is_kept_as_it_came(record: bytes) -> None:
    assert kept(record) == record


def test_a_rejected_record_loses_its_line_breaks_and_nothing_else() -> None:
    record = b'{ "patient_id" :\r\n\t"A\\n",\n"x": [ 1 ,\r2 ] }'

    assert kept(record) == b'{ "patient_id" :\t"A\\n","x": [ 1 ,2 ] }'
    assert kept(b'{\r"x":1\r}') == b'{"x":1}'


def test_a_rejected_record_that_is_not_utf8_is_kept_byte_for_byte() -> None:
    record = b'{"patient_id":\n"\xff\xfe","x":"\xc3"}'
    line = json.loads(rejected_line(record), parse_int=str)

    assert base64.b64decode(line["record_base64"]) == record
    assert "record" not in line


def check_sorted_alike(records: list[bytes]) -> None:
    """Check that a record is sorted alike alone and among others."""
    together = sort_batch(b"[" + b",".join(records) + b"]", "array", 0)
    apart = [sort_batch(b"[" + record + b"]", "array", index) for index, record in enumerate(records)]

    assert together.valid == b"".join(batch.valid for batch in apart)
    assert lines_of(together) == lines_of(*apart)


def test_a_record_is_sorted_alike_alone_and_among_others() -> None:
    alone = [
        b'{"patient_id":"\xff"}',
        b'{"patient_id":"\\ud83d","patient_name":"A"}',
        b'{"patient_id":1e999}',
        b"7",
    ]
    alone += [
        b'{"patient_id":"NaN","patient_name":"A [0]","x":NaN}',
        b"Infinity",
        b'{"patient_id":"?? \xee\x80\x80 \\\\","patient_name":"A"}',
    ]
    alone += [b'{"patient_id":"A","patient_name":"B"}', b'{\n"patient_id":" "}', b'{"patient_id":"\xc3\xbc"}']
    check_sorted_alike(alone)


@pytest.mark.parametrize("few", [0, 10])
@pytest.mark.parametrize(
    "name",
    [
        *[rb"\u005cue83d", rb"\\ue83d", rb"\ue83d", rb"\uE83D", b"\xee\xa0\xbd", rb"\ud83d\ude00", rb"\n"],
        *[b"\x7f", "ü".encode(), b" ", rb"\u00fc", b"plain", rb"\ud7a3", "힣".encode()],
    ],
)
def test_many_lone_surrogates_change_no_other_record(
    name: bytes, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "FEW_MASKS", few)
    lone = [b'{"patient_id":"\\ud83d%d","patient_name":"B"}' % number for number in range(100)]
    record = b'{"patient_id":"A","patient_name":"%b"}' % name
    both = b'{"patient_id":"\\ud83d","patient_name":"%b"}' % name

    check_sorted_alike([*lone, record])
    check_sorted_alike([*lone, record, both])


@pytest.mark.parametrize(
    "other",
    [
        *[b'{"patient_id":NaN,"patient_name":"B"}', b'{"patient_id":"A","patient_name":[1]}', b"{}"],
        *[b'{"patient_id":"A [0]","patient_name":"\\ud83d"}', b'{"patient_id":" ","patient_name":"B"}'],
        *[b'{"patient_id":"NaN","patient_name":"\\ue83d"}', b'{"patient_id":-Infinity,"patient_name":[NaN]}'],
    ],
)
def test_a_constant_that_is_not_extracted_changes_no_other_record(other: bytes) -> None:
    scans = [b'{"patient_id":"A%d","x":NaN,"patient_name":"B"}' % number for number in range(9)]

    check_sorted_alike([*scans, other, *scans])
    assert sort_batch(b"[" + b",".join(scans) + b"]", "array", 0).valid_count == 9


@pytest.mark.parametrize("few", [0, 10])
@pytest.mark.parametrize(
    "name",
    [
        "Zoë",
        "\xa0ÿ",
        "花子",
        "\ud7ff힣\uf000",
        "😀",
        "\U0010ffff",
        r"\ud83d\ude00",
        "\x7f",
        r"\"",
        r"\\x41 \\U0001f600",
        r"\ude00😀\ud83d",
    ],
)
def test_a_lone_surrogate_beside_any_text_gives_the_same_string(
    name: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "FEW_MASKS", few)
    lone = f'{{"patient_id":"\\ud83d","patient_name":"{name}"}}'
    plain = f'{{"patient_id":"A","patient_name":"x{name}"}}' if "\\ud" not in name else lone
    document = f"[{lone},{plain},{lone}]"

    batch = sort_batch(document.encode(), "array", 0)

    published = batch.valid.splitlines()
    assert [json.loads(line) for line in published] == json.loads(document)
    # Lone surrogates are escaped; everything else is UTF-8.
    text = json.dumps(json.loads(lone), separators=(",", ":"), ensure_ascii=False)
    assert published[0] == text.encode(errors="backslashreplace")
    if plain is not lone:
        assert published[1] == msgspec.json.encode(json.loads(plain))


@pytest.mark.parametrize("size", [3, 6, 192 * 1024])
@pytest.mark.parametrize(
    "record",
    [
        b'{"x": "\r\n"}',
        b'{"x":"\xc3\xbc\xf0\x9f\x98\x80"}',
        b'{"x":"\xc3"}',
        b'{"x":"\xed\xa0\x80","y":1}',
        b"{\n\r\n\n\n\n\n}",
    ],
)
def test_a_large_record_in_pieces_gives_the_same_bytes_as_at_once(
    record: bytes, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejections, "PIECE", size)
    rejected = RejectedRecord(7, 'a "reason"', Raw(record))

    pieces = list(encode_rejected([rejected], LARGE))

    assert b"".join(pieces) == b"".join(encode_rejected([rejected], 0))
    assert len(pieces) >= 2 + len(record) // size


@pytest.mark.parametrize("other", [b'{"patient_id":"A","patient_name":"B"}', b"7", b'"\xff"', b"NaN", b"{ }"])
def test_many_tiny_records_are_sorted_like_one(other: bytes) -> None:
    records = [b"{}"] * 500 + [other] + [b"[]"] * 500

    together = sort_batch(b"[" + b",\n".join(records) + b"]", "array", 0)
    apart = [sort_batch(b"[" + record + b"]", "array", index) for index, record in enumerate(records)]

    assert together.valid == b"".join(batch.valid for batch in apart)
    assert lines_of(together) == lines_of(*apart)


def test_a_broken_line_is_kept_byte_for_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejections, "PIECE", 3)
    broken = RejectedRecord(8, "not JSON", record_base64=b'{"x":"a')

    assert b"".join(encode_rejected([broken], 0)) == msgspec.json.encode(broken) + b"\n"
