import itertools
from pathlib import Path

import pytest

from chalicelib.settings import InvalidSettingsError, Settings

ENVIRONMENT = {"RAW_BUCKET": "raw", "PROCESSED_BUCKET": "processed", "REJECTED_BUCKET": "rejected"}


def test_settings_are_read_from_the_environment() -> None:
    assert Settings.load(ENVIRONMENT) == Settings("raw", "processed", "rejected", log_object_keys=False)


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("True", True), ("false", False)])
def test_object_keys_are_logged_only_if_the_setting_says_so(value: str, *, expected: bool) -> None:
    assert Settings.load(ENVIRONMENT | {"LOG_OBJECT_KEYS": value}).log_object_keys is expected


@pytest.mark.parametrize("name", ENVIRONMENT)
@pytest.mark.parametrize("value", ["", "  "])
def test_a_bucket_that_is_not_set_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidSettingsError, match=f"^{name} is not set$"):
        Settings.load(ENVIRONMENT | {name: value})


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(InvalidSettingsError) as error:
        Settings.load({"RAW_BUCKET": "one", "REJECTED_BUCKET": "one", "LOG_OBJECT_KEYS": "perhaps"})

    assert str(error.value).split("; ") == [
        "PROCESSED_BUCKET is not set",
        "RAW_BUCKET and REJECTED_BUCKET name the same bucket",
        "LOG_OBJECT_KEYS is neither true nor false",
    ]


def test_the_upload_queue_is_read_without_the_space_around_it() -> None:
    queue = "arn:aws:sqs:eu-north-1:123456789012:uploads"

    assert Settings.load(ENVIRONMENT | {"UPLOAD_QUEUE_ARN": f" {queue}\n"}).upload_queue == queue
    assert not Settings.load(ENVIRONMENT).upload_queue


@pytest.mark.parametrize(
    "queue", ["https://sqs.amazonaws.com/uploads", "arn:aws:sns:x:1:uploads", "uploads:sqs:"]
)
def test_an_upload_queue_that_is_no_arn_of_sqs_is_refused(queue: str) -> None:
    with pytest.raises(InvalidSettingsError, match=r"^UPLOAD_QUEUE_ARN "):
        Settings.load(ENVIRONMENT | {"UPLOAD_QUEUE_ARN": queue})


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations(ENVIRONMENT, 2)])
def test_no_two_buckets_are_the_same(one: str, other: str) -> None:
    with pytest.raises(InvalidSettingsError, match=f"^{one} and {other} "):
        Settings.load(ENVIRONMENT | {one: "same", other: "same"})


def test_chalices_command_line_goes_on_where_a_stage_is_configured_and_says_what_is_missing_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stage = {"STAGE": "dev", "STAGE_REGION": "eu-north-1", "AWS_CHALICE_CLI_MODE": "true"}
    here = ENVIRONMENT | stage | {"AWS_DEFAULT_REGION": "eu-north-1"}

    with pytest.raises(InvalidSettingsError) as error:
        Settings.load(here | {"AWS_DEFAULT_REGION": "us-east-1"})
    api, region, advice = str(error.value).split("; ")
    assert api.startswith(".chalice/deployed/dev.json ")
    assert region == "AWS_DEFAULT_REGION is not eu-north-1"
    assert "`python -m infra.ops configure --stage dev`" in advice

    (tmp_path / ".chalice" / "deployed").mkdir(parents=True)
    (tmp_path / ".chalice" / "deployed" / "dev.json").touch()
    assert Settings.load(here) == Settings.load(ENVIRONMENT)


def test_chalices_command_line_says_what_to_do_where_no_stage_is_named() -> None:
    with pytest.raises(InvalidSettingsError, match=r"^RAW_BUCKET is not set; .*configure --stage <stage>`"):
        Settings.load(ENVIRONMENT | {"RAW_BUCKET": "", "AWS_CHALICE_CLI_MODE": "true"})
    assert Settings.load(ENVIRONMENT | {"AWS_CHALICE_CLI_MODE": "true"}) == Settings.load(ENVIRONMENT)
