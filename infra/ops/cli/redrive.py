"""`redrive`: try again what waits in the failure queue."""

import click

from infra.ops.cli.telling import any_stage_option, failure, json_option, told_place
from infra.ops.commands.redrive import redrive
from infra.ops.screen.summary import summarise


@click.command("redrive")
@any_stage_option
@json_option
def redrive_command(name: str) -> None:
    """Try again what waits in the failure queue of a stage; what works leaves the queue."""
    with told_place(name) as place:
        redriven = redrive(place.function, region=place.region, timeout=place.timeout)
    summarise(f"{redriven.handled} handled.", {})
    if redriven.failed:
        raise failure(f"{redriven.failed} failed again and stay in the queue; the log says why.")
