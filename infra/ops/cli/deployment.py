"""Commands that create, verify and remove a stage."""

import click

from infra.ops.aws.verification import Line, verify
from infra.ops.cli.common import (
    RUN_AGAIN,
    failure,
    json_option,
    reporting_errors,
    stage_in_aws,
    stage_option,
    stage_or_local_option,
)
from infra.ops.commands.configure import configure
from infra.ops.commands.deploy import bootstrap, deploy, plan
from infra.ops.commands.destroy import destroy
from infra.ops.commands.local import run_local
from infra.ops.commands.verify import verify_local, verify_stage
from infra.ops.screen.progress import console, print_json, steps
from infra.ops.screen.summary import summarise, tabulate


@click.command("local")
@click.option("--keep", is_flag=True, help="Keep it running until Ctrl-C, and show how to use it.")
@click.option(
    "--ingest",
    type=click.Choice(["direct", "queue"]),
    default="direct",
    envvar="INGEST",
    help="How uploads reach the function, as in a stage's file.",
)
def local_command(*, keep: bool, ingest: str) -> None:
    """Run the pipeline in a local cloud and show the outcome of each sample."""
    with reporting_errors():
        run_local(keep=keep, ingest=ingest)


@click.command("bootstrap")
@stage_option
@json_option
def bootstrap_command(name: str) -> None:
    """Create what an account needs once: the state bucket, and the roles with which GitHub deploys."""
    with stage_in_aws(name, RUN_AGAIN) as (stage, step):
        roles = bootstrap(stage, step)
    summarise("The account is ready.", {f"{one} is deployed by": role for one, role in roles.items()})


@click.command("plan")
@stage_option
@json_option
def plan_command(name: str) -> None:
    """Show what `deploy` would change in a stage's buckets, roles and logs."""
    with stage_in_aws(name) as (stage, step):
        step("Comparing: terraform plan in infra")
        changes = plan(stage)
    print_json(summary=f"What `deploy` would change in the stage {name}.", plan=changes)
    console.print(changes, highlight=False, markup=False)


@click.command("deploy")
@stage_option
@json_option
def deploy_command(name: str) -> None:
    """Deploy a stage: Terraform, Chalice, Terraform; then verify it."""
    with stage_in_aws(name, RUN_AGAIN) as (stage, step):
        facts, there = deploy(stage, step)
    summarise(f"The stage {name} is deployed.", facts)
    with reporting_errors(), steps() as step:
        lines = verify(there, step)
    _show_results(name, lines)


@click.command("verify")
@stage_or_local_option
@json_option
def verify_command(name: str) -> None:
    """Test a deployed stage with synthetic objects under smoke-test/, which are removed again."""
    if name == "local":
        with reporting_errors(), steps() as step:
            lines = verify_local(step)
    else:
        with stage_in_aws(name) as (stage, step):
            lines = verify_stage(stage, step)
    _show_results(name, lines)


def _show_results(name: str, lines: list[Line]) -> None:
    rows = [(line.check, line.seen, "yes" if line.passed else "NO") for line in lines]
    tabulate(("what was tried", "what was seen", "passed"), rows)
    if failed := [line.check for line in lines if not line.passed]:
        raise failure(f"{len(failed)} of {len(lines)} failed: {'; '.join(failed)}.")
    summarise(f"The stage {name} does what it should.", {})


@click.command("configure")
@stage_option
@json_option
def configure_command(name: str) -> None:
    """Prepare this machine for `chalice deploy` of a stage, even if another machine deployed it."""
    with stage_in_aws(name) as (stage, step):
        lines = configure(stage, step)
    title = f"The stage {name} is configured. To deploy it from here:"
    print_json(summary=title, lines=lines)
    console.print(title, "", *lines, sep="\n", highlight=False)


@click.command("destroy")
@stage_option
@json_option
@click.option(
    "--delete-data", is_flag=True, help="Also delete what the buckets hold: patients' data, permanently."
)
@click.option(
    "--last", is_flag=True, help="This is the account's last stage: also remove the Terraform state bucket."
)
def destroy_command(name: str, *, delete_data: bool, last: bool) -> None:
    """Remove a stage. Refused while its buckets hold anything."""
    with stage_in_aws(name, RUN_AGAIN) as (stage, step):
        destroy(stage, step, delete_data=delete_data, last=last)
    summarise(f"Nothing is left of the stage {name}.", {})
