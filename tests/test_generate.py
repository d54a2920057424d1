"""The generator makes the same scans for the same seed, and the extraction reads every shape."""

import subprocess
import sys
from pathlib import Path

import pytest

from samples.generate import SHAPES, generate
from tests.reference import agree, extraction, reference

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_extracted_as_by_the_reference(shape: str) -> None:
    document = b"".join(generate(shape, 40, percent=50))
    found = extraction([document])

    assert agree(found, reference(document))
    assert sum(found.counts) == 40
    # Half a surrogate pair is slow to decode, but valid.
    invalid = shape in {"hostile-numbers", "hostile-empty"} or (
        shape.startswith("dirty") and shape != "dirty-half-pair"
    )
    assert (found.counts[1] > 0) == invalid


def test_a_seed_makes_the_same_scans_every_time() -> None:
    assert b"".join(generate("nested", 20, seed=2)) == b"".join(generate("nested", 20, seed=2))
    assert b"".join(generate("nested", 20, seed=2)) != b"".join(generate("nested", 20, seed=3))


def test_the_program_writes_to_the_standard_output() -> None:
    command = [sys.executable, "samples/generate.py", "--records", "50", "--shape", "flat", "--seed", "7"]

    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)

    assert done.stdout == b"".join(generate("flat", 50, seed=7))
