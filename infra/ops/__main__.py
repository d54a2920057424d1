"""The entrance of `python -m infra.ops`."""

import click

from infra.ops.local import local


@click.group()
def ops() -> None:
    """Operate the retina-scan data pipeline."""


ops.add_command(local)
ops(prog_name="python -m infra.ops")
