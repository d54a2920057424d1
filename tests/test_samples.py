"""Every sample, and what is expected of it in the files beside it: a new case is a new file."""

from pathlib import Path

import msgspec
import pytest

from chalicelib.extraction import MalformedScan, extract
from infra.ops.cloud import ROOT

SAMPLES = ROOT / "samples"
VALID = sorted((SAMPLES / "valid").glob("*.json"))
INVALID = sorted((SAMPLES / "invalid").glob("*.json"))


def beside(path: Path, ending: str) -> bytes:
    expected = path.with_suffix(ending)
    return expected.read_bytes() if expected.exists() else b""


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_valid_sample_gives_what_stands_beside_it(path: Path, size: int) -> None:
    data = path.read_bytes()
    processed, rejected = bytearray(), bytearray()

    extract((data[at : at + size] for at in range(0, len(data), size)), processed.extend, rejected.extend)

    assert bytes(processed) == beside(path, ".processed")
    assert bytes(rejected) == beside(path, ".rejected")


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_sample_is_refused_with_the_reason_beside_it(path: Path) -> None:
    with pytest.raises(MalformedScan) as error:
        extract([path.read_bytes()], bytearray().extend, bytearray().extend)

    report = {"reason": error.value.reason, "offset": error.value.offset}
    assert msgspec.json.encode(report) + b"\n" == beside(path, ".rejected")


def test_there_are_samples_of_both_kinds() -> None:
    assert len(VALID) >= 10
    assert len(INVALID) >= 10
