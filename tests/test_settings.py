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
