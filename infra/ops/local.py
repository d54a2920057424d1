"""`local`: the whole pipeline on this machine, from an upload to a processed object."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import boto3
import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from infra.ops import local_stage
from infra.ops.cloud import REGION, ROOT, LocalCloudError, client_environment, local_cloud
from infra.ops.posting import post
from infra.ops.uploads import Outcome, UnhandledError, upload

SAMPLE = ROOT / "samples" / "ikerian_sample.json"
HANDLED_WITHIN = 60  # seconds

# What goes into a file or a log has no width of its own.
console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 120)


@click.command()
@click.option("--keep", is_flag=True, help="Leave it running until Ctrl-C, and show how to use it.")
def local(*, keep: bool) -> None:
    """Run the pipeline in a local cloud and show what becomes of the samples."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        _run(keep=keep)
    except (LocalCloudError, local_stage.DeploymentError, UnhandledError) as error:
        raise click.ClickException(str(error)) from None


def _run(*, keep: bool) -> None:
    with ExitStack() as stack:
        with _progress() as step:
            step("Starting the local cloud")
            folder = stack.enter_context(local_cloud())
            step("Making three buckets")
            local_stage.make_buckets()
            step("Deploying: chalice deploy --stage local")
            url = local_stage.deploy(folder)
            step("Uploading everything under samples/")
            outcomes = _upload_samples()
        _show_outcomes(outcomes)
        _show_processed()
        _show_posted(url)
        if keep:
            _stay(url)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show steps as they are taken, each with the time that it took."""
    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:

        def step(description: str) -> None:
            _finish(progress)
            progress.add_task(description, total=1)

        yield step
        _finish(progress)


def _finish(progress: Progress) -> None:
    for task in progress.task_ids:
        progress.update(task, completed=1)


def _upload_samples() -> list[Outcome]:
    samples = sorted((ROOT / "samples").rglob("*.json"))
    buckets = local_stage.buckets()
    return [
        upload(buckets, str(path.relative_to(ROOT)), path.read_bytes(), seconds=HANDLED_WITHIN)
        for path in samples
    ]


def _show_outcomes(outcomes: list[Outcome]) -> None:
    table = Table(Column("object", overflow="fold"), "outcome", box=SIMPLE_HEAD)
    for number in ("extracted", "rejected", "ms"):
        table.add_column(number, justify="right")
    for one in outcomes:
        words = f"malformed: {one.malformed}" if one.malformed else "published"
        table.add_row(one.key, words, str(one.extracted), str(one.rejected), str(one.milliseconds))
    console.print(table)


def _show_processed() -> None:
    bucket, key = local_stage.buckets().processed, str(SAMPLE.relative_to(ROOT))
    body = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    _show(f"s3://{bucket}/{key}", body)


def _show_posted(url: str) -> None:
    answer = post(url, SAMPLE.read_bytes(), {"Content-Type": "application/json"}, signed=True)
    _show(f"POST /process, signed, with {SAMPLE.relative_to(ROOT)}: {answer.status}", answer.body)


def _show(title: str, text: bytes) -> None:
    console.print(f"\n[bold]{escape(title)}[/bold]")
    console.print(text.decode().rstrip(), markup=False, highlight=False)


def _stay(url: str) -> None:
    buckets = local_stage.buckets()
    environment = client_environment(os.environ["AWS_ENDPOINT_URL"])
    lines = [
        *(f"export {name}={value}" for name, value in environment.items()),
        f"aws s3 cp {SAMPLE.relative_to(ROOT)} s3://{buckets.raw}/in/first.json",
        f"aws s3 cp s3://{buckets.processed}/in/first.json -",
        f'curl --aws-sigv4 "aws:amz:{REGION}:execute-api" --user test:test \\',
        f"  -H 'Content-Type: application/json' --data-binary @{SAMPLE.relative_to(ROOT)} {url}",
    ]
    _show("Running until Ctrl-C. In another terminal:", "\n".join(lines).encode())
    with suppress(KeyboardInterrupt):
        signal.pause()
