"""The contract of the extraction: what goes in, and what comes out."""

import gc
import gzip
import json
import sys
import weakref
from collections.abc import Iterator

import pytest

from chalicelib.decoding import Document
from chalicelib.extraction import Summary, extract
from chalicelib.malformed import MalformedScan

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
        (A + b"\n" + B).decode().encode("utf-16"),
        b"\xfe\xff" + (b"[" + A + b"," + B + b"]").decode().encode("utf-16-be"),
    ],
    ids=[
        *["array", "spaced", "indented", "lines", "CRLF", "joined", "BOM", "gzip", "members"],
        *["members, BOMs, padded", "BOMs", "UTF-16", "UTF-16, big-endian"],
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
        (b'{"a":1}\n{"a"\n', "truncated", 13),
        (b'{"a":1}\n{"a":tru\n1', "not JSON", 14),
        (b'{"a":1}\n{"a":\n{}\n{}', "not JSON", 17),
        (b'{"a":\n1}\n{"a"\n{}', "not JSON", 14),
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


def test_a_second_list_of_records_is_refused_where_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.json_batches.RECORDS_KEY", "scans")
    first = b'{"scans":[' + A + b'],"scans":'

    assert fault(first + b"[" + B + b"]}") == ("more than one list of records", len(first))


def test_a_list_under_a_name_that_is_not_utf8_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.json_batches.RECORDS_KEY", "scans")

    assert json.loads(Outputs(b'{"\xff":[1],"scans":[' + A + b"]}").processed) == [json.loads(A)]


@pytest.mark.parametrize(
    "document", [b"[}", b'{"a":1}\n{"a"}', b"[" + A + b",", b"[" * 10_000, gzip.compress(b"[}")]
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


def test_decoding_yields_a_gzip_document_in_small_pieces() -> None:
    document = b" " * 5_000_000

    pieces = list(Document([gzip.compress(document, mtime=0) + gzip.compress(b"[]", mtime=0)]).text())

    assert b"".join(pieces) == document + b"[]"
    assert max(map(len, pieces)) <= 64 * 1024
