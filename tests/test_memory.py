"""A worker's memory depends neither on the size of objects nor on the number already handled."""

import json

import pytest

from chalicelib.malformed import MIB, RECORD_LIMIT
from infra.ops.local.cloud import ROOT
from tests.chaos.memory import (
    HALF_VALID,
    LACKING,
    LEAK,
    MB,
    PEAK,
    PEAK_OF_MANY,
    PEAK_OF_RECORDS,
    VALID,
    compressed,
    growth,
    peak,
)


def test_a_large_object_takes_no_more_memory_than_promised() -> None:
    memory, _ = peak(HALF_VALID.of(300 * MB))

    assert memory <= PEAK


@pytest.mark.parametrize(("size", "objects"), [(MB, 64), (20 * MB, 16)], ids=["side by side", "large"])
def test_many_objects_of_one_event_stay_within_bounds(size: int, objects: int) -> None:
    many, _ = peak(HALF_VALID.of(size), objects)

    assert many <= PEAK_OF_MANY


@pytest.mark.parametrize("record", [LACKING, VALID], ids=["rejected", "valid"])
def test_large_records_in_small_gzip_objects_are_in_memory_one_at_a_time(record: bytes) -> None:
    many, _ = peak(compressed(record, 20 * MIB), 16)

    assert many <= PEAK_OF_RECORDS


def test_objects_that_are_larger_than_announced_are_in_memory_one_at_a_time() -> None:
    many, _ = peak(HALF_VALID.of(10 * MB), 16, announced=1000)

    assert many <= PEAK


def test_a_worker_does_not_grow_from_object_to_object() -> None:
    assert growth(250) <= LEAK


def test_the_largest_record_fits_into_a_functions_memory() -> None:
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())

    # At most four times its bytes, one more for a document of that record alone, and the worker's own.
    assert config["lambda_memory_size"] * MIB / MB >= PEAK + 5 * RECORD_LIMIT / MB
