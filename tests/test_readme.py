"""The Markdown pages are true: their blocks are run, or compared with real output."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from chalicelib.answer import MAX_ANSWER, MAX_DOCUMENT
from chalicelib.extraction import extract
from chalicelib.malformed import MIB, RECORD_LIMIT, MalformedScan, Reason
from chalicelib.records import PatientRecord
from infra.ops.local.cloud import REGION, ROOT
from tests import by_hand
from tests.deployment import Deployment
from tests.readme import Block, block, blocks, blocks_of, is_shown, manual_path

SAMPLE = (ROOT / "samples" / "ikerian_sample.json").read_bytes()
RECORD = b'{"patient_id":"A","patient_name":"B"}'
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("infra/*.md"), *ROOT.glob("chalicelib/*.md")])

# Blocks that another test tries, or that cannot be tried: first line, and where or why.
ELSEWHERE = {
    "flowchart LR": "a picture",
    "  under samples/                      outcome                               ms": "test_local_run.py",
    "make deploy STAGE=dev": "tests/test_account.py",
    "make configure STAGE=dev": "tests/test_account.py",
    "make destroy STAGE=dev": "tests/test_account.py",
    "The stage dev": "tests/test_status.py",
    "The object in/mixed.json": "tests/test_history.py",
    "The stage dev is paused: nothing is published.": "tests/test_pause.py",
    "$ python -m infra.ops reconcile --stage local": "tests/test_reconcile.py",
    "$ python -m infra.ops reconcile --stage local --combined - |": "tests/test_game_day.py",
    "$ python -m infra.ops replay --stage dev --prefix clinic/": "tests/test_replay.py",
    "aws s3control create-job \\": "not tried, as it says below",
    "WITH raw AS (": "not tried, as it says itself",
    "$ python -m infra.ops redrive --stage dev --dry-run": "tests/test_redrive.py",
    "$ python -m infra.ops forget --stage dev 'clinic-7/Hilda Moor.json'": "tests/test_forget.py",
    'ingest            = "queue"': "tests/test_account.py",
    "    scan_date: Date": "tests/test_recipes.py",
    "for file in tfvars s3.tfbackend; do": "tests/test_recipes.py",
    "log_retention_days      = 30": "tests/test_recipes.py",
}


def extracted(document: bytes) -> tuple[bytes, bytes]:
    """Extract a document; returns the processed and the rejected bytes."""
    processed, rejected = bytearray(), bytearray()
    extract([document], processed.extend, rejected.extend)
    return bytes(processed), bytes(rejected)


def a_processed_object(text: str) -> None:
    assert extracted(SAMPLE)[0] == text.encode()


def a_rejected_record(text: str) -> None:
    records = [RECORD, RECORD, RECORD, b'{"patient_id":"C2"}']
    assert extracted(b"[" + b",".join(records) + b"]")[1] == text.encode()


def a_malformed_document(text: str) -> None:
    with pytest.raises(MalformedScan) as error:
        extracted((ROOT / "samples" / "invalid" / "truncated.json").read_bytes())
    assert f'{{"reason":"{error.value.reason}","offset":{error.value.offset}}}\n' == text


COMPARED: dict[str, Callable[[str], None]] = {
    "[": a_processed_object,
    '{"index":3,"reason":"patient_name: missing","record":{"patient_id":"C2"}}': a_rejected_record,
    '{"reason":"truncated","offset":79}': a_malformed_document,
}

UPLOADED = 'aws s3 cp samples/ikerian_sample.json "s3://$RAW/in/first.json"'
POSTED = (
    'curl --silent --aws-sigv4 "aws:amz:$AWS_REGION:execute-api" '
    '--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \\'
)
ANSWER = '{"records":['
CHECKED = (
    ".venv/bin/python -m infra.ops check samples/valid/some-rejected.json samples/invalid/truncated.json"
)
VERDICTS = "samples/valid/some-rejected.json: 2 extracted, 6 rejected"
PROGRAM = "import os"
API_LIMITS = f"{MAX_DOCUMENT // MIB} MiB, {MAX_ANSWER // MIB} MiB"


def test_every_block_is_tried() -> None:
    tried = {*ELSEWHERE, *COMPARED, UPLOADED, POSTED, ANSWER, PROGRAM, CHECKED, VERDICTS}

    assert {one.first for one in blocks()} == tried


def test_every_block_of_the_manual_path_is_run_in_an_account() -> None:
    # tests/test_account.py runs them, by their headings.
    headings = {value for name, value in vars(by_hand).items() if name.isupper() and isinstance(value, str)}
    run_there = [text for heading in headings - {by_hand.STAGE} for text in by_hand.shown(heading)]

    assert sorted(run_there) == sorted(one.text for one in blocks_of(manual_path()))


@pytest.mark.parametrize("one", [one for one in blocks() if one.first in COMPARED], ids=lambda one: one.first)
def test_a_shown_output_is_the_real_one(one: Block) -> None:
    COMPARED[one.first](one.text)


def test_the_readme_shows_what_check_prints() -> None:
    command = ["/bin/sh", "-c", block(CHECKED).text]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 4
    assert is_shown(block(VERDICTS).text, done.stdout)


@pytest.fixture
def environment(deployment: Deployment) -> dict[str, str]:
    """The environment that the README tells its reader to set."""
    names = {"RAW": deployment.raw, "PROCESSED": deployment.processed, "URL": deployment.url}
    return {**os.environ, **names, "AWS_REGION": REGION, "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"}


def run(environment: dict[str, str], *command: str, text: str) -> str:
    done = subprocess.run(
        command, input=text, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_posted_sample_is_answered_as_shown(environment: dict[str, str]) -> None:
    assert run(environment, "/bin/sh", "-e", text=block(POSTED).text).strip() == block(ANSWER).text.strip()


def test_the_program_uploads_and_posts(deployment: Deployment, environment: dict[str, str]) -> None:
    assert (
        run(environment, sys.executable, "-", text=block(PROGRAM).text).strip() == block(ANSWER).text.strip()
    )
    assert deployment.get(deployment.raw, "in/second.json") == SAMPLE


def test_an_uploaded_sample_is_copied_back(deployment: Deployment, environment: dict[str, str]) -> None:
    up, back = (line.split()[3:5] for line in block(UPLOADED).text.splitlines())
    source, (bucket, key) = up[0], s3_address(up[1], environment)
    assert back[1] == "-"

    deployment.upload((ROOT / source).read_bytes(), key)

    assert bucket == deployment.raw
    assert deployment.get(*s3_address(back[0], environment)) == extracted(SAMPLE)[0]


def s3_address(text: str, environment: dict[str, str]) -> list[str]:
    filled = re.sub(r"\$(\w+)", lambda name: environment[name[1]], text.strip('"'))
    return filled.removeprefix("s3://").split("/", 1)


@pytest.mark.parametrize(
    "command",
    [
        "make run",
        "make up",
        "make bootstrap STAGE=dev",
        "make configure STAGE=dev",
        "make deploy STAGE=dev",
        "make destroy STAGE=dev",
        "make pause STAGE=dev",
        "make plan STAGE=dev",
        "make reconcile STAGE=dev",
        "make redrive STAGE=dev",
        "make replay STAGE=dev",
        "make resume STAGE=dev",
        "make status STAGE=dev",
    ],
)
def test_a_make_target_runs_the_operators_command_of_its_name(command: str) -> None:
    done = subprocess.run(
        [*command.split(), "--dry-run", "--no-print-directory"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    commands = {"run": "local", "up": "local --keep"}
    verb, *stage = command.removeprefix("make ").split(" STAGE=")
    arguments = " --stage=".join([commands.get(verb, verb), *stage])

    assert done.stdout.splitlines()[-1] == f".venv/bin/python -m infra.ops {arguments}"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("the fields of a record: one more, a maximum length, a pattern", "class PatientRecord"),
        (f"the largest record ({RECORD_LIMIT // MIB} MiB)", "RECORD_LIMIT ="),
        (f"the largest document and answer of the API ({API_LIMITS})", "MAX_DOCUMENT ="),
        ("a setting of one stage: retention in prod, the API's rate limit", "../variables.tf"),
        ("the stages: one more", "### Add a stage"),
        ("a log event or a metric", "METRICS ="),
        ("an alarm, the dashboard", 'resource "aws_cloudwatch_dashboard"'),
        ("a permission of data-processor", '"publishes_uploads"'),
        ("memory and timeout of a function", '"lambda_timeout"'),
        ("retries and timeouts of S3 requests", "retries"),
        ("retries of a failed event", "maximum_retry_attempts"),
    ],
)
def test_each_setting_is_in_the_file_that_the_readme_names(asked: str, found: str) -> None:
    row = rf"^\| {re.escape(asked)} \| \[.+\]\((.+)\) \|$"
    links = re.findall(row, (ROOT / "README.md").read_text(), re.MULTILINE)

    assert len(links) == 1, f"README.md, Change it, needs one row for: {asked}"
    assert found in (ROOT / links[0].partition("#")[0]).read_text()


def test_the_readme_names_the_published_fields() -> None:
    table = (ROOT / "README.md").read_text().partition("\n## The contract\n")[2]
    _, _, first, *_ = re.findall(r"^\|.+\|(.+)\|$", table, re.MULTILINE)

    assert re.findall(r"`(\w+)`", first) == list(PatientRecord.__struct_fields__)


def test_the_readme_states_how_long_rejected_records_and_failures_are_kept() -> None:
    infra = ROOT / "infra"
    default, dev, queue = (
        re.findall(pattern, (infra / path).read_text(), re.MULTILINE | re.DOTALL)[0]
        for path, pattern in {
            "variables.tf": r'^variable "rejected_object_days" .+?default +=  *(\d+)',
            "env/dev.tfvars": r"^rejected_object_days += (\d+)",
            "sqs.tf": r'"failures" .+?message_retention_seconds += (\d+) \* 24 \* 60 \* 60',
        }.items()
    )
    page = " ".join((ROOT / "README.md").read_text().split())

    assert f"Rejected records are kept for {default} days ({dev} in the stage `dev`)" in page
    assert f"waits in the failure queue for {queue} days" in page
    assert "rejected_object_days" not in (infra / "env" / "prod.tfvars").read_text()


def test_the_pages_and_the_reason_state_the_limits_of_the_code() -> None:
    page = (ROOT / "chalicelib" / "README.md").read_text()
    contract = page.partition("\n## Change the contract\n")[0]
    api = contract.partition("\n### POST /process\n")[2]
    (too_large,) = re.findall(r"^\| 413 .+$", api, re.MULTILINE)
    record, document, answer = (f"{size / MIB:g}" for size in (RECORD_LIMIT, MAX_DOCUMENT, MAX_ANSWER))

    assert re.findall(r"([\d.]+) MiB", too_large) == [document, answer]
    assert set(re.findall(r"([\d.]+) MiB", api)) == {document, answer}
    assert set(re.findall(r"([\d.]+) MiB", contract.replace(api, ""))) == {record}
    assert re.findall(r"One of ([\d.]+) MiB", page) == [record]
    assert re.findall(r"([\d.]+) MiB", (ROOT / "SECURITY.md").read_text()) == [record]
    assert re.findall(r"([\d.]+) MiB", Reason.TOO_LARGE) == [record]


def test_the_page_of_the_application_states_the_throttle_that_is_the_default() -> None:
    (row,) = re.findall(r"^\| 429 .+$", (ROOT / "chalicelib" / "README.md").read_text(), re.MULTILINE)
    variables = (ROOT / "infra" / "variables.tf").read_text()
    limits = [
        re.findall(rf'^variable "{name}" .+?default +=  *(\S+)', variables, re.MULTILINE | re.DOTALL)[0]
        for name in ("api_rate_limit", "api_burst_limit")
    ]

    assert re.findall(r"\d+", row)[1:] == limits


CHANGES = [
    line
    for line in (ROOT / "CONTRIBUTING.md").read_text().partition("\n## House rules\n")[0].splitlines()
    if line.startswith(("| ", "- "))
]


@pytest.mark.parametrize("line", [line for line in CHANGES if re.search(r"`[A-Z_]+`", line)])
def test_a_constant_that_contributing_names_is_in_a_file_that_the_line_links(line: str) -> None:
    files = [ROOT / path.partition("#")[0] for path in re.findall(r"\]\(([^)]+)\)", line)]
    text = "".join(file.read_text() for file in files if file.is_file())

    for constant in re.findall(r"`([A-Z_]+)`", line):
        assert re.search(rf"^{constant}\b", text, re.MULTILINE), constant


def links(page: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" not in target:
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, heading = link.partition("#")
        assert (page.parent / unquote(path)).exists(), link
        assert not heading or heading in headings(page.parent / (path or page.name)), link


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings as GitHub makes them: lower case, without punctuation."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
