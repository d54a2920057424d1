"""What all commands share: options, exit codes, and how errors are reported.

Exit codes: 0 success, 1 an error, 2 wrong usage (click's own), 3 something is left to do.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from infra.ops.aws.account import HOW_TO_GIVE_CREDENTIALS, lacks_credentials, reached
from infra.ops.aws.place import Place, locate
from infra.ops.commands.configure import NotMadeError
from infra.ops.commands.destroy import InUseError
from infra.ops.errors import OperatorError
from infra.ops.screen.progress import Step, console, print_json, steps, use_json
from infra.ops.stage import Stage

SOMETHING_TO_DO = 3
RUN_AGAIN = "Fix that and run the same command again: it continues where it stopped."
REPORTED_ERRORS = (BotoCoreError, ClientError, OSError, OperatorError)

# The default is empty: Stage then lists the stages that exist.
stage_option = click.option(
    "--stage", "name", default="", help="Name of a stage in infra/env/ and .chalice/config.json."
)
stage_or_local_option = click.option(
    "--stage",
    "name",
    default="",
    help="Name of a stage in infra/env/ and .chalice/config.json, or `local`: the stage of `make up`.",
)


def json_option[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """Add the option --json: print lines of JSON instead of text."""

    def choose(_context: click.Context, _option: click.Parameter, chosen: bool) -> None:  # noqa: FBT001 - click's way
        if chosen:
            use_json()

    help_text = "Print lines of JSON: progress, then the result."
    option = click.option(
        "--json", is_flag=True, is_eager=True, expose_value=False, callback=choose, help=help_text
    )
    return option(command)


@contextmanager
def reporting_errors(advice: str = "") -> Iterator[None]:
    """End the command with a short message, and advice, if an expected error is raised."""
    try:
        yield
    except REPORTED_ERRORS as error:
        if isinstance(error, InUseError | NotMadeError):  # their messages say what to do
            advice = ""
        elif lacks_credentials(error):
            advice = HOW_TO_GIVE_CREDENTIALS
        raise failure(f"{error}\n{advice}".rstrip()) from None


def failure(message: str) -> click.ClickException:
    """Print the error as JSON, if --json is set; returns the exception that ends the command with code 1."""
    print_json(error=message)
    return click.ClickException(message)


@contextmanager
def stage_in_aws(name: str, advice: str = "") -> Iterator[tuple[Stage, Step]]:
    """Print which account, region and endpoints are used; yields the stage, and what announces a step."""
    with reporting_errors():
        stage = Stage(name)
        _print_facts(reached(stage))
    with reporting_errors(advice), steps() as step:
        yield stage, step


@contextmanager
def deployed_stage(name: str) -> Iterator[Place]:
    """Print which account, region and endpoints are used; yields a deployed stage, in AWS or `local`."""
    with reporting_errors():
        place = locate(name)
        _print_facts(place.reached)
        yield place


def _print_facts(facts: dict[str, Any]) -> None:
    print_json(**facts)
    for name, value in facts.items():
        console.print(f"{name} {value}", highlight=False, markup=False)
