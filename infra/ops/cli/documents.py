"""Commands about documents: they need no stage."""

import json
import sys

import click

from infra.ops.cli.common import reporting_errors
from infra.ops.cli.pages import helps
from infra.ops.commands.check import check
from infra.ops.commands.openapi import describe
from infra.ops.commands.schema import schema


@click.command("openapi")
def openapi_command() -> None:
    """Print the OpenAPI description of POST /process."""
    click.echo(json.dumps(describe(), indent=2))


@click.command("check")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, which never contains bytes of the documents."
)
def check_command(files: tuple[str, ...], *, as_json: bool) -> None:
    """Validate documents without publishing them: files, s3://bucket/key, or `-` for the standard input.

    Ends with 0 if all records are valid, 3 if some would be rejected, 4 if a document is malformed.
    """
    with reporting_errors():
        sys.exit(check(files, as_json=as_json))


@click.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of documents, of what is published and of what is rejected."""
    click.echo(json.dumps(schema(), indent=2))


@click.command("commands")
@click.pass_context
def commands_command(context: click.Context) -> None:
    """Print the page infra/COMMANDS.md: every command's --help."""
    click.echo(helps(context.find_root()), nl=False)
