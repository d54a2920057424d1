"""`pause` and `resume`: a stage that publishes nothing for a while."""

import click

from infra.ops.cli.telling import any_stage_option, json_option, told_place
from infra.ops.commands.pause import pause, resume
from infra.ops.screen.progress import steps
from infra.ops.screen.summary import summarise


@click.command("pause")
@any_stage_option
@json_option
def pause_command(name: str) -> None:
    """Publish nothing from now on; uploads wait, and nothing is lost."""
    with told_place(name) as place, steps() as step:
        step("Switching off")
        meaning = pause(place)
    summarise(f"The stage {name} is paused: nothing is published.", meaning)


@click.command("resume")
@any_stage_option
@json_option
def resume_command(name: str) -> None:
    """Publish again after `pause`, as many uploads at once as before."""
    with told_place(name) as place, steps() as step:
        step("Switching on")
        resumed = resume(place)
    limit = "as the account allows" if resumed.at_once is None else str(resumed.at_once)
    facts = {"uploads at once": limit}
    if resumed.waiting:
        facts["waiting in the failure queue"] = f"{resumed.waiting}: next, make redrive STAGE={name}"
    summarise(f"The stage {name} publishes again.", facts)
