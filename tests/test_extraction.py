"""The contract of the extraction: what goes in, and what comes out."""

import datetime as dt
import gc
import gzip
import json
import sys
import uuid
import weakref
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest

from chalicelib.decoding import Document
from chalicelib.extraction import REVISION, Summary, extract, revision_of
from chalicelib.malformed import CONTAINERS, MalformedScan
from chalicelib.records import RECORDS_KEY, PatientRecord, ScanRecord
from tests.reference import agree, extraction, reference

A = b'{"patient_id":"A12345","patient_name":"Ikerian A"}'
B = b'{"patient_id":"B67890","patient_name":"Ikerian B"}'
BOTH = b"[\n" + A + b",\n" + B + b"\n]\n"


class Outputs:
    """Collects what an extraction writes."""

    def __init__(self, *chunks: bytes) -> None:
        self.processed, self.rejected = bytearray(), bytearray()
        self.summary = extract(chunks, self.processed.extend, self.rejected.extend)


def fault(*chunks: bytes) -> tuple[str, int]:
    """Extract a malformed document. Returns the reason and the offset."""
    with pytest.raises(MalformedScan) as caught:
        Outputs(*chunks)
    return caught.value.reason, caught.value.offset


@pytest.mark.parametrize(
    "document",
    [
        b"[" + A + b"," + B + b"]",
        b" [\r\n\t" + A + b" ,\n" + B + b" ]\n",
        json.dumps(json.loads(b"[" + A + b"," + B + b"]"), indent=4).encode(),
        A + b"\n" + B,
        A + b"\r\n\r\n" + B + b"\n",
        A + B,
        b"\xef\xbb\xbf[" + A + b"," + B + b"]",
        gzip.compress(b"[" + A + b"," + B + b"]", mtime=0),
        gzip.compress(b"\xef\xbb\xbf" + A, mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(B, mtime=0),
        gzip.compress(b"\xef\xbb\xbf" + A, mtime=0)
        + gzip.compress(b"\xef\xbb\xbf" + B, mtime=0)
        + bytes(200),
        b"\xef\xbb\xbf\xef\xbb\xbf" + A + b"\n\xef\xbb\xbf" + B + b"\xef\xbb\xbf",
        b"[\xef\xbb\xbf" + A + b"\xef\xbb\xbf,\r\n\xef\xbb\xbf \xef\xbb\xbf" + B + b"\n\xef\xbb\xbf]",
        gzip.compress(b"[" + A + b",\n", mtime=0) + gzip.compress(b"\xef\xbb\xbf" + B + b"]", mtime=0),
        (A + b"\n" + B).decode().encode("utf-16"),
        b"\xfe\xff" + (b"[" + A + b"," + B + b"]").decode().encode("utf-16-be"),
    ],
    ids=[
        *["array", "spaced", "indented", "lines", "CRLF", "joined", "BOM", "gzip", "members"],
        *["members, BOMs, padded", "BOMs", "BOMs in an array", "members of an array, BOM"],
        *["UTF-16", "UTF-16, big-endian"],
    ],
)
def test_each_form_gives_an_array_with_one_record_on_a_line(document: bytes) -> None:
    outputs = Outputs(document)

    assert bytes(outputs.processed) == BOTH
    assert outputs.summary == Summary(2, 0, len(document))


def test_one_record_alone_gives_an_array_of_one() -> None:
    assert bytes(Outputs(json.dumps(json.loads(A), indent=2).encode()).processed) == b"[\n" + A + b"\n]\n"


@pytest.mark.parametrize("document", [b"[]", b" [ \n ] ", b"[{}]", b"[1,null]"])
def test_without_a_valid_record_there_is_an_empty_array(document: bytes) -> None:
    assert bytes(Outputs(document).processed) == b"[]\n"


def test_order_and_duplicates_are_kept() -> None:
    assert bytes(Outputs(b"[" + b",".join([B, A, B]) + b"]").processed).split(b"\n")[1:-2] == [
        B + b",",
        A + b",",
        B,
    ]


def test_of_duplicate_keys_the_last_one_wins() -> None:
    record = b'{"patient_id":1,"patient_name":"x","patient_id":"A12345","patient\\u005fname":"Ikerian A"}'

    assert A in Outputs(b"[" + record + b"]").processed


@pytest.mark.parametrize(
    "name", ["Zoë", "花子", "😀", 'q"\\/b', "\0\x1f\x7f", "\ud83d", "\ude00\ud83d", "a\u2028"]
)
def test_a_name_comes_out_as_the_same_string_however_it_was_written(name: str) -> None:
    written = json.dumps([{"patient_id": "A", "patient_name": name}])

    assert json.loads(Outputs(written.encode()).processed) == json.loads(written)


def test_a_text_is_blank_if_all_of_it_is_white_space() -> None:
    characters = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    records = [{"patient_id": character, "patient_name": character + " "} for character in characters]
    outputs = Outputs(json.dumps(records, ensure_ascii=False).encode())

    rejected = [json.loads(line)["record"]["patient_id"] for line in outputs.rejected.splitlines()]

    assert rejected == [character for character in characters if character.isspace()]


def test_half_a_surrogate_pair_in_utf_16_is_invalid_text_and_stops_nothing() -> None:
    document = '{"patient_id":"A","patient_name":"\ud83d"}\n' + B.decode()

    outputs = Outputs(b"\xff\xfe" + document.encode("utf-16-le", "surrogatepass"))

    assert json.loads(outputs.processed) == [json.loads(B)]
    assert json.loads(outputs.rejected)["reason"] == "patient_name: not UTF-8"


def test_a_rejected_record_that_is_uploaded_as_a_document_is_kept_as_it_came() -> None:
    rejected = bytes(Outputs(b'[{"x":1}]').rejected)

    again = bytes(Outputs(rejected).rejected)

    assert b"the document is one object" in again
    assert again.endswith(b',"record":' + rejected.removesuffix(b"\n") + b"}\n")


def test_an_index_counts_all_records_of_the_document() -> None:
    records = [A, b"{}"] * 5000

    outputs = Outputs(b"[" + b",".join(records) + b"]")

    assert [json.loads(line)["index"] for line in outputs.rejected.splitlines()] == list(range(1, 10_000, 2))
    assert outputs.summary[:2] == (5000, 5000)


def test_output_is_written_while_the_source_is_read() -> None:
    written: list[int] = []
    read = 0

    def source() -> Iterator[bytes]:
        nonlocal read
        yield b"[" + A
        for _ in range(100_000):
            read += 1
            yield b"," + A
        yield b"]"

    extract(source(), lambda _bytes: written.append(read), lambda _bytes: None)

    assert written[1] < 50_000


@pytest.mark.parametrize("broken", ["source", "processed", "rejected"])
def test_an_error_of_the_caller_passes_through(broken: str) -> None:
    error = RecursionError("it is the caller's") if broken == "processed" else OSError("it is the caller's")

    def breaks(*_: object) -> bytes:
        raise error

    def fine(_bytes: bytes) -> None:
        pass

    source = map(breaks, [b""]) if broken == "source" else [b"[" + A + b",{}]"]
    with pytest.raises(type(error)) as caught:
        extract(source, breaks if broken == "processed" else fine, breaks if broken == "rejected" else fine)

    assert caught.value is error


@pytest.mark.parametrize(
    ("document", "reason", "offset"),
    [
        (b"", "empty", 0),
        (b" \n", "empty", 2),
        (b"\xef\xbb\xbf", "empty", 3),
        (b' "Canary"', "neither an array nor an object", 1),
        (b"Canary", "neither an array nor an object", 0),
        (b"\xff\xfe[\0", "truncated", 1),
        (b"\xff\xfe{\0}\0[", "not JSON", 2),
        (b"[,{}]", "not JSON", 1),
        (b"[{},]", "not JSON", 4),
        (b"[{},,{}]", "not JSON", 4),
        (b"[{} {}]", "not JSON", 4),
        (b"[{}}", "not JSON", 3),
        (b'[{"a":"Canary\n"}]', "not JSON", 13),
        (b'[{"a":nan}]', "not JSON", 7),
        (b'[{"a":Inf}]', "not JSON", 6),
        (b'[{"a":NaN1}]', "not JSON", 9),
        (b'[{"a":1NaN}]', "not JSON", 7),
        (b'[{"a":+Infinity}]', "not JSON", 6),
        (b"[{NaN:1}]", "not JSON", 2),
        (b"[Infini", "truncated", 7),
        (b"{}\xef\xbb{}", "not JSON", 2),
        (b"[{}\xef\xbb,{}]", "not JSON", 3),
        (b'[{"a":\xef\xbb\xbf1}]', "not JSON", 6),
        (b"[{}\xef\xbb\xbf{}]", "not JSON", 6),
        (b"[\xef\xbb\xbf", "truncated", 4),
        (b'{"a":1}\n{"a"\n', "truncated", 13),
        (b'{"a":1}\n{"a":tru\n1', "not JSON", 14),
        (b'{"a":1}\n{"a":\n{}\n{}', "not JSON", 17),
        (b'{"a":\n1}\n{"a"\n{}', "not JSON", 14),
        (b'{"a":1}\n{"a"\n\xef\xbb{}', "not JSON", 13),
        (b'{"a":1}\n{"a":1}Canary\n{"a":1}', "not JSON", 15),
        (b'{"a":1}{"a":1}\n{"a"\n{}', "not JSON", 20),
        (b"[01]", "not JSON", 2),
        (b"[1.]", "not JSON", 3),
        (b'["\\x"]', "not JSON", 3),
        (b'["\\u00g0"]', "not JSON", 6),
        (b"{}{]", "not JSON", 3),
        (b"{}1{}", "not JSON", 3),
        (b"{} Canary", "not JSON", 3),
        (b"[", "truncated", 1),
        (b"[{}", "truncated", 3),
        (b"[{},", "truncated", 4),
        (b'[{"a', "truncated", 4),
        (b"[12", "truncated", 3),
        (b"[-", "truncated", 2),
        (b"[tru", "truncated", 4),
        (b'["\\u00', "truncated", 6),
        (b'{"a":1}{', "truncated", 8),
        (b"[]]", "more after the end", 2),
        (b"[] []", "more after the end", 3),
        (b"[]Canary", "more after the end", 2),
        (gzip.compress(b"[]", mtime=0) + b"Canary", "more after the end", 2),
        (gzip.compress(b"[]", mtime=0) + b"\0\0\0Canary", "more after the end", 2),
        (gzip.compress(b"[}", mtime=0) + b"Canary", "more after the end", 2),
        (gzip.compress(b"[}", mtime=0)[:-1], "truncated gzip", 2),
        (gzip.compress(gzip.compress(b"[]", mtime=0), mtime=0), "gzip within gzip", 0),
        (gzip.compress(b"[]", mtime=0)[:-1], "truncated gzip", 2),
        (gzip.compress(b"[]", mtime=0) + b"\x1f", "more after the end", 2),
        (b"\xff\xfe[\0]\0\x3d\xd8", "more after the end", 2),  # UTF-16 that ends with half a surrogate pair
    ],
)
def test_a_malformed_document_is_refused_with_reason_and_offset(
    document: bytes, reason: str, offset: int
) -> None:
    assert fault(document) == (reason, offset)
    assert fault(*(document[i : i + 1] for i in range(len(document)))) == (reason, offset)


@pytest.mark.parametrize("value", [b"5", b'"Canary"', b"null", b"[1]"])
@pytest.mark.parametrize("before", [b"", b"{}\n"], ids=["valid", "with an invalid record"])
def test_a_value_that_is_no_object_needs_a_line_of_its_own_however_many_lines_surround_it(
    value: bytes, before: bytes
) -> None:
    many = (A + b"\n") * 500
    before += many

    assert fault(before + value + many) == ("not JSON", len(before) + len(value))
    outputs = Outputs(before + value + b"\n" + many)
    assert outputs.summary.extracted == 1000
    rejected = json.loads(outputs.rejected.splitlines()[-1])
    assert (rejected["reason"], rejected["record"]) == ("record: not an object", json.loads(value))


@pytest.mark.parametrize("magic", CONTAINERS, ids=lambda magic: CONTAINERS[magic])
@pytest.mark.parametrize("padding", [b"", b"\0" * 100, b"[{}]"])
def test_another_container_is_named(magic: bytes, padding: bytes) -> None:
    document = magic + padding
    if magic == b"\x1f\x8b":
        document = gzip.compress(document, mtime=0)
    expected = CONTAINERS[magic], 0

    assert fault(document) == expected
    assert fault(*(document[i : i + 1] for i in range(len(document)))) == expected
    assert agree(extraction([document]), reference(document))
    assert reference(document).refused not in ("", "neither an array nor an object")


# What the programs write for no content at all, or for little; the last bytes do not matter.
@pytest.mark.parametrize(
    ("document", "name"),
    [
        (b"PK\5\6" + bytes(18), "a zip archive"),
        (b"\x04\x22\x4d\x18\x64\x40\xa7\0\0\0\0", "lz4"),
        (b"\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0", "hdf5"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "a 7z archive"),
        (b"Rar!\x1a\7\1\0", "a rar archive"),
        (b"Rar!\x1a\7\0", "a rar archive"),
        (b"PAR1\x15\4", "parquet"),
        (b"Obj\1\2\x16avro.schema", "avro"),
        (b"%PDF-1.7\n", "pdf"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_real_files_of_other_formats_are_named(document: bytes, name: str) -> None:
    assert fault(document) == (f"{name}, not JSON", 0)


def contract(kind: Any, **more: Any) -> type[msgspec.Struct]:
    return msgspec.defstruct("Scan", [("field", kind)], **more)


TYPES = [
    *[str, dt.datetime, dt.time, dt.date, dt.timedelta, int, float, bool, Any, bytes, uuid.UUID, Decimal],
    *[list[str], list[dt.time], set[str], dict[str, str], str | None, Literal["a"], Literal["a", "b"]],
    *[Annotated[str, msgspec.Meta(max_length=length)] for length in (1, 2)],
]


def test_each_type_has_a_revision_of_its_own() -> None:
    revisions = {str(kind): revision_of(None, contract(kind)) for kind in TYPES}

    assert len(set(revisions.values())) == len(TYPES)


def test_the_revision_depends_on_everything_in_the_contract_but_its_comments() -> None:
    documented = contract(str, namespace={"__doc__": "Another text."})
    revision = revision_of(None, contract(str))

    assert revision == revision_of(None, documented)
    changed = [
        revision_of("scans", contract(str)),
        revision_of("eyes", contract(str)),
        revision_of(None, contract(str), msgspec.defstruct("Checked", [("field", str)])),
        revision_of(None, contract(str, rename="upper")),
        revision_of(None, contract(str, forbid_unknown_fields=True)),
        revision_of(None, msgspec.defstruct("Scan", [("field", str, "a default")])),
        revision_of(None, msgspec.defstruct("Scan", [("field", str), ("other", str)])),
    ]
    assert len({revision, *changed}) == len(changed) + 1
    assert revision_of(RECORDS_KEY, PatientRecord, ScanRecord) == REVISION


def test_the_revision_is_the_same_in_every_process() -> None:
    # As in two processes, the functions have different addresses.
    made_here, again = (
        msgspec.defstruct("Scan", [("field", list[str], msgspec.field(default_factory=lambda: [""]))])
        for _ in range(2)
    )

    assert revision_of(None, made_here) == revision_of(None, again)


@pytest.mark.parametrize("marks", [0, 1, 2, 300_000])
def test_a_broken_line_before_any_number_of_byte_order_marks_is_rejected_alone(marks: int) -> None:
    document = A + b'\n{"patient_id":"Can\n' + b"\xef\xbb\xbf" * marks + B + b"\n"

    for chunks in ([document], [document[at : at + 7] for at in range(0, len(document), 7)]):
        outputs = Outputs(*chunks)
        assert bytes(outputs.processed) == BOTH
        assert json.loads(outputs.rejected)["reason"] == "not JSON"


def test_two_lists_are_refused_only_under_the_key_of_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.json_batches.RECORDS_KEY", "scans")
    lists = b'"x":[1],"x":[2],"y":{"scans":[' + B + b'],"scans":[]}'
    document = b"{" + lists + b',"scans":[' + A + b"," + B + b"]," + lists + b"}"

    assert bytes(Outputs(document).processed) == BOTH
    for second in (b"[]", b"[" + A + b"]"):
        for key in (b'"scans"', b'"\\u0073cans"'):
            start = document[:-1] + b"," + key + b":"
            assert fault(start + second + b"}") == ("more than one list of records", len(start))
    assert bytes(Outputs(document[:-1] + b',"scans":{"scans":[]}}').processed) == BOTH
    assert fault(b'{"x":[]}') == ("no list of records", 8)


@pytest.mark.parametrize(
    ("document", "reason", "offset"),
    [
        (b"{", "truncated", 1),
        (b"{1:[]}", "not JSON", 1),
        (b'{"x":1,[]}', "not JSON", 7),
        (b'{"x":1,', "truncated", 7),
        (b'{"x":1,}', "not JSON", 7),
        (b'{"scans"[]}', "not JSON", 8),
        (b'{"scans":[]', "truncated", 11),
        (b'{"scans":[]]', "not JSON", 11),
        (b'{"scans":[]}{}', "more after the end", 12),
    ],
)
def test_a_malformed_object_around_the_records_is_refused(
    document: bytes, reason: str, offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.json_batches.RECORDS_KEY", "scans")

    assert fault(document) == (reason, offset)
    assert fault(*(document[i : i + 1] for i in range(len(document)))) == (reason, offset)
    assert agree(extraction([document]), reference(document, records_key="scans"))


def test_a_list_under_a_name_that_is_not_utf8_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.json_batches.RECORDS_KEY", "scans")

    assert json.loads(Outputs(b'{"\xff":[1],"scans":[' + A + b"]}").processed) == [json.loads(A)]


@pytest.mark.parametrize(
    "document", [b"[}", b'{"a":1}\n{"a"}', b"[" + A + b",", b"[" * 10_000, gzip.compress(b"[}", mtime=0)]
)
def test_a_malformed_document_is_not_kept_in_memory(document: bytes) -> None:
    class Written(list[bytes]):
        """A list that has weak references."""

    written = Written()
    kept = weakref.ref(written)
    gc.disable()  # it counts objects, not bytes: a document in a reference cycle could be kept for long
    try:
        with pytest.raises(MalformedScan):
            extract([document], written.append, len)
        del written
        assert kept() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("size", [7, 1000, 1 << 24])
def test_broken_gzip_is_reported_before_anything_that_is_broken_in_it(size: int) -> None:
    text = b"[}" + b" " * 3_000_000
    packed = gzip.compress(text, mtime=0)

    def reported(document: bytes) -> tuple[str, int]:
        return fault(*(document[at : at + size] for at in range(0, len(document), size)))

    assert reported(packed) == ("not JSON", 1)
    assert reported(packed[:-6] + b"\0\0" + packed[-4:]) == ("broken gzip", 0)
    assert reported(packed[:-1]) == ("truncated gzip", len(text))
    assert reported(packed + b"\0Canary") == ("more after the end", len(text))


@pytest.mark.parametrize(
    "document",
    [b'[{"Canary":}]', b'[{"patient_id":"Canary', b"Canary", b'[{"Canary":"\\ud800"x}]', b"\x1f\x8bCanary"],
)
def test_an_error_carries_nothing_of_the_document(document: bytes) -> None:
    with pytest.raises(MalformedScan) as caught:
        Outputs(document)

    error = caught.value
    assert "Canary" not in f"{error} {error!r} {error.__dict__}"
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__


def test_decoding_yields_a_plain_document_in_small_pieces() -> None:
    document = b"\x1f" + b"x" * 200_000

    pieces = list(Document([document[:1], b"", document[1:]]).text())

    assert b"".join(pieces) == document
    assert max(map(len, pieces)) <= 64 * 1024 + 1


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_decoding_yields_a_document_in_utf16_while_it_is_read(encoding: str) -> None:
    text = "\N{BYTE ORDER MARK}" + 100_000 * "a\u00fc\u3042\U0001f600"
    document = text.encode(encoding)
    read = 0

    def source() -> Iterator[bytes]:
        nonlocal read
        for at in range(0, len(document), 99_999):  # an odd number: characters are cut
            read = at + 99_999
            yield document[at : at + 99_999]

    decoded = 0
    for piece in (pieces := Document(source()).text()):
        decoded += len(piece.decode())  # each piece is whole characters
        assert len(piece) <= 64 * 1024 * 3 // 2
        assert decoded * 5 > read - 300_000  # bytes that were read are not held back
    assert decoded == len(text) - 1
    assert next(pieces, None) is None


def test_decoding_yields_a_gzip_document_in_small_pieces() -> None:
    document = b" " * 5_000_000

    pieces = list(Document([gzip.compress(document, mtime=0) + gzip.compress(b"[]", mtime=0)]).text())

    assert b"".join(pieces) == document + b"[]"
    assert max(map(len, pieces)) <= 64 * 1024


def test_the_hint_that_a_document_is_one_object_comes_if_all_of_its_fields_are_missing() -> None:
    nothing = "patient_id: missing; patient_name: missing"

    def reason(document: bytes) -> str:
        rejected = bytearray()
        extract([document], lambda _: None, rejected.extend)
        return str(json.loads(rejected.splitlines()[0])["reason"])

    record = b'{"patient_id":"A12345","patient_name":"Ikerian A"}'
    hint = nothing + "; the document is one object"
    assert reason(b'{"patients":[' + record + b"]}") == hint
    assert reason(b'\n{"x":"' + b"x" * 2_000_000 + b'"}\n') == hint
    for other in (b'[{"patients":[]}]', b"{}{}", b'{"x":1}\n' + record, b'{"x":1}\n{"x\n{}'):
        assert reason(other) == nothing
    assert reason(b'{"patient_id":7}') == "patient_id: not a string; patient_name: missing"
