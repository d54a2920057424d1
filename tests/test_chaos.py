"""A short real run: many uploads of few keys, duplicate and late events, a faulty S3, killed workers."""

from pathlib import Path

import pytest

from tests.chaos.__main__ import chaos


@pytest.mark.usefixtures("deployment")
def test_nothing_is_lost_or_stale_or_duplicated_or_leaked(tmp_path: Path) -> None:
    log = tmp_path / "log"

    outcome = chaos(log, seconds=4, kills=1.5, announce=lambda _: None)

    assert outcome.verdict.faultless, outcome.verdict
    assert outcome.happened["versions uploaded"] > 10
    assert outcome.happened["invocations with several events"] > 0
    assert outcome.happened["workers killed"] > 0
    assert any(name.startswith("fault: ") for name in outcome.happened)
    assert "object_published" in log.read_text()
