"""The state machine's definition, compared with the fields that AWS documents.

The local cloud accepts and ignores unknown fields. So this compares the file with the documentation,
https://docs.aws.amazon.com/step-functions/latest/dg/ as of 2026-11-25.
"""

import json
from typing import Any

import pytest

from infra.ops.local.cloud import ROOT

DEFINITION = json.loads((ROOT / "infra" / "replay.asl.json").read_text())
STATES: dict[str, dict[str, Any]] = DEFINITION["States"]
MAPS = {name: state for name, state in STATES.items() if state["Type"] == "Map"}
TASKS = {name: state for one in MAPS.values() for name, state in one["ItemProcessor"]["States"].items()}
COMMON = {"Comment", "End", "InputPath", "Next", "OutputPath", "QueryLanguage", "Type"}
# statemachine-structure, state-choice, state-map-distributed, state-task, concepts-error-handling
FIELDS = {
    "machine": {"Comment", "QueryLanguage", "StartAt", "States", "TimeoutSeconds", "Version"},
    "Choice": COMMON - {"End", "Next"} | {"Choices", "Default"},
    "Map": COMMON
    | {"Catch", "ItemBatcher", "ItemProcessor", "ItemReader", "ItemSelector", "ItemsPath", "Label"}
    | {"MaxConcurrency", "MaxConcurrencyPath", "ResultPath", "ResultSelector", "ResultWriter", "Retry"}
    | {"ToleratedFailureCount", "ToleratedFailureCountPath"}
    | {"ToleratedFailurePercentage", "ToleratedFailurePercentagePath"},
    "Task": COMMON
    | {"Catch", "Credentials", "HeartbeatSeconds", "HeartbeatSecondsPath", "Parameters", "Resource"}
    | {"ResultPath", "ResultSelector", "Retry", "TimeoutSeconds", "TimeoutSecondsPath"},
    "Retry": {
        "BackoffRate",
        "ErrorEquals",
        "IntervalSeconds",
        "JitterStrategy",
        "MaxAttempts",
        "MaxDelaySeconds",
    },
    # input-output-itemreader, input-output-itembatcher, input-output-resultwriter
    "ItemReader": {"Parameters", "ReaderConfig", "Resource"},
    "ReaderConfig": {"CSVDelimiter", "CSVHeaderLocation", "CSVHeaders", "InputType", "ItemsPointer"}
    | {"ManifestType", "MaxItems", "MaxItemsPath", "Transformation"},
    "ItemBatcher": {"BatchInput", "MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath"}
    | {"MaxItemsPerBatch", "MaxItemsPerBatchPath"},
    "ItemProcessor": {"ProcessorConfig", "StartAt", "States"},
    "ProcessorConfig": {"ExecutionType", "Mode"},
    "ResultWriter": {"Parameters", "Resource", "WriterConfig"},
    "WriterConfig": {"OutputType", "Transformation"},
}
# Fields of an item in a listing, and in our manifests: input-output-itemreader.
LISTING_FIELDS = {"Etag", "Key", "LastModified", "Size", "StorageClass"}
MANIFEST_FIELDS = {"Key"}


def parts(name: str, part: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """List a part of the definition and its nested parts, each with its kind."""
    below = [(kind, inner) for kind, inner in part.items() if kind in FIELDS and isinstance(inner, dict)]
    below += [("Retry", retry) for retry in part.get("Retry", [])]
    below += [(state["Type"], state) for state in part.get("States", {}).values()]
    return [(name, part), *(found for kind, inner in below for found in parts(kind, inner))]


@pytest.mark.parametrize(("kind", "part"), parts("machine", DEFINITION))
def test_every_field_is_documented(kind: str, part: dict[str, Any]) -> None:
    assert set(part) <= FIELDS[kind]


def test_every_kind_of_part_was_checked() -> None:
    assert {kind for kind, _ in parts("machine", DEFINITION)} == set(FIELDS)


@pytest.mark.parametrize("state", MAPS.values(), ids=MAPS)
def test_a_map_is_within_the_limits_of_step_functions(state: dict[str, Any]) -> None:
    assert state["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    assert len(state["Label"]) <= 40
    assert not set(state["Label"]) & set(" *?:;\"'/\\<>{}[]|^~#%&$,`")
    assert state["ItemBatcher"]["MaxInputBytesPerBatch"] <= 256 * 1024
    assert 0 <= state["ToleratedFailurePercentage"] <= 100
    assert state["ResultWriter"]["WriterConfig"] == {"OutputType": "JSONL", "Transformation": "NONE"}


def test_an_item_uses_only_fields_of_its_source() -> None:
    for state, source in (
        (MAPS["ListedObjects"], LISTING_FIELDS),
        (MAPS["ManifestObjects"], MANIFEST_FIELDS),
    ):
        taken = [path for path in state["ItemSelector"].values() if path.startswith("$$.")]
        assert {path.removeprefix("$$.Map.Item.Value.") for path in taken} <= source


@pytest.mark.parametrize("state", TASKS.values(), ids=TASKS)
def test_a_batch_is_retried_on_transient_errors_of_lambda_and_not_forever(state: dict[str, Any]) -> None:
    (retry,) = state["Retry"]

    assert state["Resource"] == "arn:aws:states:::lambda:invoke"
    assert state["TimeoutSeconds"] > 900  # Lambda's longest timeout
    assert retry["JitterStrategy"] == "FULL"
    assert set(retry["ErrorEquals"]) == {
        *("Lambda.AWSLambdaException", "Lambda.SdkClientException", "Lambda.ServiceException"),
        "Lambda.TooManyRequestsException",
    }


def test_both_maps_process_their_items_in_the_same_way() -> None:
    one, other = (dict(state) for state in MAPS.values())
    for different in ("ItemReader", "ItemSelector", "Label"):
        assert one.pop(different) != other.pop(different)
    for state in (one, other):
        state["ItemProcessor"] = list(state["ItemProcessor"]["States"].values())

    assert one == other


def test_state_names_are_unique() -> None:
    assert not set(STATES) & set(TASKS)
    assert len(TASKS) == len(MAPS)
