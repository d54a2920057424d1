"""The entry point of `python -m infra.ops`."""

import signal
import sys

import click

from infra.ops.cli import deployment, documents
from infra.ops.cli.forget import forget_command
from infra.ops.cli.pause import pause_command, resume_command
from infra.ops.cli.reconcile import reconcile_command
from infra.ops.cli.redrive import redrive_command
from infra.ops.cli.replay import replay_command
from infra.ops.cli.status import status_command

COMMANDS = (
    deployment.local_command,
    deployment.bootstrap_command,
    deployment.plan_command,
    deployment.deploy_command,
    deployment.configure_command,
    deployment.verify_command,
    deployment.destroy_command,
    status_command,
    reconcile_command,
    replay_command,
    redrive_command,
    pause_command,
    resume_command,
    forget_command,
    documents.check_command,
    documents.schema_command,
    documents.openapi_command,
    documents.commands_command,
)


@click.group()
def ops() -> None:
    """Operate the retina-scan data pipeline."""
    # A parent shell may ignore SIGINT: handle it. SIGTERM cleans up like Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


for command in COMMANDS:
    ops.add_command(command)

if __name__ == "__main__":
    ops(prog_name="python -m infra.ops")
