"""For any records, and bytes in any chunks, the result is that of the standard library's parser."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import masking
from chalicelib.extraction import Summary, extract

FIELDS = ("patient_id", "patient_name")

text = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
# The fields among other keys; some are missing, and some are not text.
records = values | st.dictionaries(
    st.sampled_from([*FIELDS, "diagnosis", "x"]) | text, text | values, max_size=6
)
documents = st.lists(records, max_size=12)
layouts = st.sampled_from([None, 1, "\t"])


def expected(document: list[Any]) -> tuple[list[dict[str, str]], list[Any]]:
    """Judge records by the contract, without the code under test."""
    valid = [
        isinstance(record, dict) and all(isinstance(record.get(f), str) and record[f].strip() for f in FIELDS)
        for record in document
    ]
    extracted = [{f: record[f] for f in FIELDS} for record, good in zip(document, valid, strict=True) if good]
    rejected = [(i, record) for i, (record, good) in enumerate(zip(document, valid, strict=True)) if not good]
    return extracted, rejected


def pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut bytes into chunks of these sizes, repeatedly; some are empty."""
    at = 0
    while at < len(data):
        for size in sizes:
            yield data[at : at + size]
            at += size


def extracted(data: bytes, sizes: list[int]) -> tuple[list[Any], list[Any], Summary]:
    processed, rejected = bytearray(), bytearray()
    summary = extract(pieces(data, sizes), processed.extend, rejected.extend)
    lines = [json.loads(line) for line in rejected.splitlines()]
    return json.loads(processed), [(line["index"], line["record"]) for line in lines], summary


sizes = st.lists(st.integers(0, 40), min_size=1, max_size=5).filter(any)


@given(documents, layouts, sizes)
def test_an_array_gives_what_the_reference_gives(
    document: list[Any], indent: str | int | None, sizes: list[int]
) -> None:
    # With white space between records: escapes. Without: plain UTF-8.
    data = json.dumps(document, indent=indent, ensure_ascii=indent is not None).encode()

    *found, summary = extracted(data, sizes)

    assert tuple(found) == expected(document)
    assert summary == (len(found[0]), len(found[1]), len(data))


@given(
    st.lists(st.dictionaries(st.sampled_from(FIELDS) | text, values | text, max_size=5), min_size=1), sizes
)
def test_lines_give_what_the_reference_gives(document: list[Any], sizes: list[int]) -> None:
    data = "\n".join(map(json.dumps, document)).encode()

    *found, _ = extracted(data, sizes)

    assert tuple(found) == expected(document)


@given(documents, sizes)
def test_gzip_gives_the_same(document: list[Any], sizes: list[int]) -> None:
    plain = json.dumps(document).encode()
    middle = len(plain) // 2
    data = gzip.compress(plain[:middle]) + gzip.compress(plain[middle:])

    assert extracted(data, sizes)[:2] == extracted(plain, [len(plain)])[:2]


@given(
    st.lists(
        st.sampled_from(
            [rb"\ud83d", rb"\uDE00", rb"\ue83d", rb"\\", rb"\"", rb"\n", b"u", b"ud83d", b"plain text"]
        ),
        min_size=20,
    )
)
def test_many_escapes_are_masked_as_each_alone(characters: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masking, "MANY_ESCAPES", 0)
        patch.setattr(masking, "PIECE", 8)  # so it ends within escapes
        masked = masking.mask_surrogates(b"".join(characters))

    assert masked == b"".join(map(masking.mask_surrogates, characters))
