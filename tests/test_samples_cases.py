"""Every case under samples/ gives the output in the files beside it. A new case needs files and no code."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.malformed import MalformedScan, Reason
from tests.reference import agree, chunked, extraction, reference

SAMPLES = Path(__file__).parents[1] / "samples"
VALID = sorted((SAMPLES / "valid").glob("*.json"))
INVALID = sorted((SAMPLES / "invalid").glob("*.json"))
REFUSED = sorted((SAMPLES / "refused").glob("*.json"))
CHUNKS = (1, 7, 1000, 1 << 20)


def expected(case: Path, suffix: str) -> bytes:
    path = case.with_suffix(suffix)
    return path.read_bytes() if path.exists() else b""


def every(size: int, document: bytes) -> Iterator[bytes]:
    return chunked(document, [size] * (len(document) // size))


@pytest.mark.parametrize("size", CHUNKS)
@pytest.mark.parametrize("case", VALID, ids=lambda case: case.stem)
def test_a_valid_case_gives_the_outputs_beside_it(case: Path, size: int) -> None:
    outcome = extraction(every(size, case.read_bytes()))

    assert outcome.processed == expected(case, ".processed")
    assert outcome.rejected == expected(case, ".rejected")


@pytest.mark.parametrize("size", CHUNKS)
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.stem)
def test_a_refused_case_has_no_valid_record_and_reports_all(case: Path, size: int) -> None:
    outcome = extraction(every(size, case.read_bytes()))

    assert outcome.counts == (0, len(expected(case, ".rejected").splitlines()))
    assert outcome.rejected == expected(case, ".rejected") != b""


@pytest.mark.parametrize("case", sorted(SAMPLES.glob("*/*.json")), ids=lambda case: case.stem)
def test_the_reference_gives_the_same_for_every_case(case: Path) -> None:
    document = case.read_bytes()

    assert agree(extraction([document]), reference(document))


@pytest.mark.parametrize("size", CHUNKS)
@pytest.mark.parametrize("case", INVALID, ids=lambda case: case.stem)
def test_an_invalid_case_gives_the_reason_and_offset_beside_it(case: Path, size: int) -> None:
    outcome = extraction(every(size, case.read_bytes()))

    assert {"reason": outcome.refused, "offset": outcome.offset} == json.loads(expected(case, ".rejected"))


def test_the_sample_of_the_readme_gives_its_two_patients() -> None:
    outcome = extraction([(SAMPLES / "ikerian_sample.json").read_bytes()])

    assert outcome.processed == (
        b"[\n"
        b'{"patient_id":"A12345","patient_name":"Ikerian A"},\n'
        b'{"patient_id":"B67890","patient_name":"Ikerian B"}\n'
        b"]\n"
    )
    assert outcome.rejected == b""


def test_every_expected_file_belongs_to_a_case() -> None:
    cases = {case.with_suffix("") for case in [*VALID, *INVALID, *REFUSED]}
    files = [path for path in SAMPLES.glob("*/*") if path.parent.name != "__pycache__"]
    expected = {path.with_suffix("") for path in files if path.suffix != ".json"}

    assert expected <= cases
    assert len(VALID) >= 10
    assert len(INVALID) >= 10


def test_the_message_of_a_malformed_scan_has_only_reason_and_offset() -> None:
    assert str(MalformedScan(Reason.TRUNCATED, 7)) == "truncated (byte 7)"
