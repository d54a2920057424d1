"""Both doors judge alike: every case under samples/, uploaded and posted to the deployed stage."""

import json
from pathlib import Path

import pytest

from infra.ops.aws.uploads import report_key
from infra.ops.local.cloud import ROOT
from tests.deployment import Deployment, new_key

CASES = sorted((ROOT / "samples").rglob("*.json"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_case_is_judged_the_same_uploaded_and_posted(deployment: Deployment, case: Path) -> None:
    document, key = case.read_bytes(), new_key()
    packed = document.startswith(b"\x1f\x8b")

    outcome = deployment.upload(document, key)
    answer = deployment.post(document, Content_Encoding="gzip") if packed else deployment.post(document)

    told = json.loads(answer.body)
    report = deployment.keys(deployment.rejected, report_key(key, outcome.version))
    lines = deployment.get(deployment.rejected, report[0]).splitlines() if report else []
    if outcome.malformed:
        assert answer.status == 400
        assert told == json.loads(lines[0])
    elif outcome.empty:
        assert told == {"reason": "empty", "offset": 0}
    else:
        assert answer.status == 200
        assert told["counts"] == {"extracted": outcome.extracted, "rejected": outcome.rejected}
        reasons = [line.partition(b',"record')[0] + b"}" for line in lines]
        assert told["rejected"] == [json.loads(line) for line in reasons]
        published = deployment.keys(deployment.processed, key)
        assert bool(published) == (not outcome.refused)
        assert told["records"] == (json.loads(deployment.get(deployment.processed, key)) if published else [])
