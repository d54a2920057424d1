"""`pause` and `resume`: stop a stage from publishing, and let it publish again."""

import click

from infra.ops.cli.common import deployed_stage, json_option, stage_or_local_option
from infra.ops.commands.pause import pause, resume
from infra.ops.screen.progress import steps
from infra.ops.screen.summary import summarise


@click.command("pause")
@stage_or_local_option
@json_option
def pause_command(name: str) -> None:
    """Stop publishing. Uploads wait, and none is lost."""
    with deployed_stage(name) as place, steps() as step:
        step("Switching off")
        meaning = pause(place)
    summarise(f"The stage {name} is paused: nothing is published.", meaning)


@click.command("resume")
@stage_or_local_option
@json_option
def resume_command(name: str) -> None:
    """Publish again after `pause`, with the stage's usual concurrency."""
    with deployed_stage(name) as place, steps() as step:
        step("Switching on")
        resumed = resume(place)
    limit = "as the account allows" if resumed.at_once is None else str(resumed.at_once)
    facts = {"uploads at once": limit}
    if resumed.waiting:
        facts["waiting in the failure queue"] = f"{resumed.waiting}: next, make redrive STAGE={name}"
    summarise(f"The stage {name} publishes again.", facts)
