"""Commands that make a stage, try it, and remove it."""

import click

from infra.ops.aws.verification import Line, verify
from infra.ops.cli.telling import (
    AGAIN,
    any_stage_option,
    failure,
    json_option,
    stage_option,
    told,
    told_where,
)
from infra.ops.commands.configure import configure
from infra.ops.commands.deploy import bootstrap, deploy, plan
from infra.ops.commands.destroy import destroy
from infra.ops.commands.local import run_local
from infra.ops.commands.verify import verify_local, verify_stage
from infra.ops.screen.progress import console, steps, tell_json
from infra.ops.screen.summary import summarise, tabulate


@click.command("local")
@click.option("--keep", is_flag=True, help="Leave it running until Ctrl-C, and show how to use it.")
@click.option(
    "--ingest",
    type=click.Choice(["direct", "queue"]),
    default="direct",
    envvar="INGEST",
    help="How uploads come to the function, as in a stage's file.",
)
def local_command(*, keep: bool, ingest: str) -> None:
    """Run the pipeline in a local cloud and show what becomes of the samples."""
    with told():
        run_local(keep=keep, ingest=ingest)


@click.command("bootstrap")
@stage_option
@json_option
def bootstrap_command(name: str) -> None:
    """Make what a stage's account needs once: the state bucket, and the roles in which GitHub deploys."""
    with told_where(name, AGAIN) as (stage, step):
        roles = bootstrap(stage, step)
    summarise("The account is ready.", {f"{one} is deployed by": role for one, role in roles.items()})


@click.command("plan")
@stage_option
@json_option
def plan_command(name: str) -> None:
    """Show what `deploy` would change of a stage's buckets, roles and logs."""
    with told_where(name) as (stage, step):
        step("Comparing: terraform plan in infra")
        changes = plan(stage)
    tell_json(plan=changes)
    console.print(changes, highlight=False, markup=False)


@click.command("deploy")
@stage_option
@json_option
def deploy_command(name: str) -> None:
    """Deploy a stage: Terraform, Chalice, Terraform; then verify it."""
    with told_where(name, AGAIN) as (stage, step):
        facts, there = deploy(stage, step)
    summarise(f"The stage {name} is deployed.", facts)
    with told(), steps() as step:
        lines = verify(there, step)
    _judge(name, lines)


@click.command("verify")
@any_stage_option
@json_option
def verify_command(name: str) -> None:
    """Try what a deployed stage promises, on objects under smoke-test/ that are removed again."""
    if name == "local":
        with told(), steps() as step:
            lines = verify_local(step)
    else:
        with told_where(name) as (stage, step):
            lines = verify_stage(stage, step)
    _judge(name, lines)


def _judge(name: str, lines: list[Line]) -> None:
    rows = [(line.check, line.seen, "yes" if line.passed else "NO") for line in lines]
    tabulate(("what was tried", "what was seen", "passed"), rows)
    if failed := [line.check for line in lines if not line.passed]:
        raise failure(f"{len(failed)} of {len(lines)} failed: {'; '.join(failed)}.")
    console.print(f"The stage {name} does what it should.", highlight=False)


@click.command("configure")
@stage_option
@json_option
def configure_command(name: str) -> None:
    """Make this machine ready for `chalice deploy` of a stage, whoever made or deployed it."""
    with told_where(name) as (stage, step):
        lines = configure(stage, step)
    tell_json(lines=lines)
    console.print(
        f"The stage {name} is configured. To deploy it from here:", "", *lines, sep="\n", highlight=False
    )


@click.command("destroy")
@stage_option
@json_option
@click.option(
    "--delete-data", is_flag=True, help="Delete what the buckets hold, too: patients' data, for good."
)
@click.option(
    "--last", is_flag=True, help="The account's last stage: remove the Terraform state bucket, too."
)
def destroy_command(name: str, *, delete_data: bool, last: bool) -> None:
    """Remove a stage; refused while its buckets hold anything."""
    with told_where(name, AGAIN) as (stage, step):
        destroy(stage, step, delete_data=delete_data, last=last)
    summarise(f"Nothing is left of the stage {name}.", {})
