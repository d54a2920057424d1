"""What all commands share: options, exit codes, and how a failure is told.

Exit codes: 0 fine, 1 an error, 2 wrong usage (click's own), 3 there is something to do.
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
from infra.ops.screen.progress import Step, console, speak_json, steps, tell_json
from infra.ops.stage import Stage

SOMETHING_TO_DO = 3
AGAIN = "Mend that and run the same command again: it goes on where it stopped."
FAILURES = (BotoCoreError, ClientError, OSError, OperatorError)

# Without one, Stage says which there are.
stage_option = click.option("--stage", "name", default="", help="As in infra/env/ and .chalice/config.json.")
any_stage_option = click.option(
    "--stage", "name", default="", help="As in infra/env/ and .chalice/config.json; or `local`, of `make up`."
)


def json_option[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """Add --json: lines of JSON instead of what a person reads."""

    def choose(_context: click.Context, _option: click.Parameter, chosen: bool) -> None:  # noqa: FBT001 - click's way
        if chosen:
            speak_json()

    help_text = "Print lines of JSON: progress, then the outcome."
    option = click.option(
        "--json", is_flag=True, is_eager=True, expose_value=False, callback=choose, help=help_text
    )
    return option(command)


@contextmanager
def told(advice: str = "") -> Iterator[None]:
    """Tell failures in a line or two, and what to do."""
    try:
        yield
    except FAILURES as error:
        if isinstance(error, InUseError | NotMadeError):  # which say themselves what to do
            advice = ""
        elif lacks_credentials(error):
            advice = HOW_TO_GIVE_CREDENTIALS
        raise failure(f"{error}\n{advice}".rstrip()) from None


def failure(words: str) -> click.ClickException:
    """Word the end of a command that failed: exit code 1."""
    tell_json(error=words)
    return click.ClickException(words)


@contextmanager
def told_where(name: str, advice: str = "") -> Iterator[tuple[Stage, Step]]:
    """Tell whose account, which region and which endpoints are reached, and then what is done there."""
    with told():
        stage = Stage(name)
        _tell(reached(stage))
    with told(advice), steps() as step:
        yield stage, step


@contextmanager
def told_place(name: str) -> Iterator[Place]:
    """Tell, likewise, where a deployed stage is: one in AWS, or `local`."""
    with told():
        place = locate(name)
        _tell(place.reached)
        yield place


def _tell(facts: dict[str, Any]) -> None:
    tell_json(**facts)
    for what, value in facts.items():
        console.print(f"{what} {value}", highlight=False, markup=False)
