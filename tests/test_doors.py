"""An upload and a POST give the same result: every case under samples/, on the deployed stage."""

import json
from pathlib import Path

import pytest

from infra.ops.aws.uploads import report_key
from infra.ops.local.cloud import ROOT
from tests.deployment import Deployment, new_key

CASES = sorted((ROOT / "samples").rglob("*.json"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_case_gives_the_same_result_uploaded_and_posted(deployment: Deployment, case: Path) -> None:
    document, key = case.read_bytes(), new_key()
    compressed = document.startswith(b"\x1f\x8b")

    outcome = deployment.upload(document, key)
    answer = deployment.post(document, Content_Encoding="gzip") if compressed else deployment.post(document)

    body = json.loads(answer.body)
    report = deployment.keys(deployment.rejected, report_key(key, outcome.version))
    lines = deployment.get(deployment.rejected, report[0]).splitlines() if report else []
    if outcome.malformed:
        assert answer.status == 400
        assert body == json.loads(lines[0])
    elif outcome.empty:
        assert body == {"reason": "empty", "offset": 0}
    else:
        assert answer.status == 200
        assert body["counts"] == {"extracted": outcome.extracted, "rejected": outcome.rejected}
        reasons = [line.partition(b',"record')[0] + b"}" for line in lines]
        assert body["rejected"] == [json.loads(line) for line in reasons]
        published = deployment.keys(deployment.processed, key)
        assert bool(published) == (not outcome.refused)
        assert body["records"] == (json.loads(deployment.get(deployment.processed, key)) if published else [])
