"""`local`: run the whole pipeline on this machine, from an upload to a processed object."""

import os
import signal
from contextlib import ExitStack, suppress

import boto3
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Column, Table

from infra.ops.aws.posting import post
from infra.ops.aws.uploads import Outcome, upload
from infra.ops.local import stage as local_stage
from infra.ops.local.cloud import REGION, ROOT, client_environment, local_cloud
from infra.ops.screen.numbers import counted
from infra.ops.screen.progress import console, steps
from infra.ops.tools.run import runs

SAMPLE = ROOT / "samples" / "ikerian_sample.json"
HANDLED_WITHIN = 60  # seconds
NO_AWS_CLI = "# The aws CLI does not run here; chalicelib/README.md has a program that does the same."


def run_local(*, keep: bool, ingest: str) -> None:
    """Upload the samples and show the outcome of each; with `keep`, run until Ctrl-C."""
    with ExitStack() as stack:
        with steps() as step:
            step("Starting the local cloud")
            folder = stack.enter_context(local_cloud())
            step("Making the buckets")
            local_stage.make_buckets()
            step("Deploying: chalice deploy --stage local")
            url = local_stage.deploy(folder, ingest=ingest)
            step("Uploading everything under samples/")
            outcomes = _upload_samples()
        _show_outcomes(outcomes)
        _show_processed()
        _show_posted(url)
        if keep:
            _stay(url)


def _upload_samples() -> list[Outcome]:
    samples = sorted((ROOT / "samples").rglob("*.json"))
    buckets = local_stage.buckets()
    return [
        upload(buckets, str(path.relative_to(ROOT)), path.read_bytes(), seconds=HANDLED_WITHIN)
        for path in samples
    ]


def _show_outcomes(outcomes: list[Outcome]) -> None:
    # Fits 80 columns: names never wrap, outcomes may.
    table = Table(Column("under samples/", no_wrap=True), "outcome", box=SIMPLE_HEAD)
    table.add_column("ms", justify="right")
    for one in outcomes:
        table.add_row(one.key.removeprefix("samples/"), _describe(one), str(one.milliseconds))
    console.print(table)


def _describe(outcome: Outcome) -> str:
    if outcome.malformed:
        return f"malformed: {outcome.malformed}"
    if outcome.refused:
        return f"refused: none of {outcome.rejected} is valid"
    if outcome.empty:
        return "empty: nothing yet"
    rejected = f", {outcome.rejected} rejected" if outcome.rejected else ""
    return f"published: {counted(outcome.extracted, 'record')}{rejected}"


def _show_processed() -> None:
    bucket, key = local_stage.buckets().processed, str(SAMPLE.relative_to(ROOT))
    body = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    _show(f"s3://{bucket}/{key}", body)


def _show_posted(url: str) -> None:
    answer = post(url, SAMPLE.read_bytes(), {"Content-Type": "application/json"}, region=REGION)
    _show(f"POST /process, signed, with {SAMPLE.relative_to(ROOT)}: {answer.status}", answer.body)


def _show(title: str, text: bytes) -> None:
    console.print(f"\n[bold]{escape(title)}[/bold]")
    console.print(text.decode().rstrip(), markup=False, highlight=False)


def _stay(url: str) -> None:
    buckets = local_stage.buckets()
    named = {"RAW": buckets.raw, "PROCESSED": buckets.processed, "URL": url, "AWS_REGION": REGION}
    environment = client_environment(os.environ["AWS_ENDPOINT_URL"]) | named
    lines = [
        *(f"export {name}={value}" for name, value in environment.items()),
        *([] if runs("aws") else [NO_AWS_CLI]),
        f"aws s3 cp {SAMPLE.relative_to(ROOT)} s3://{buckets.raw}/in/first.json",
        f"aws s3 cp s3://{buckets.processed}/in/first.json -",
        f'curl --aws-sigv4 "aws:amz:{REGION}:execute-api" --user test:test \\',
        f"  -H 'Content-Type: application/json' --data-binary @{SAMPLE.relative_to(ROOT)} {url}",
    ]
    _show("Running until Ctrl-C. In another terminal:", "\n".join(lines).encode())
    with suppress(KeyboardInterrupt):
        signal.pause()
