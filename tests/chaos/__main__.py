"""Chaos: S3 fails, workers die, and many uploads come at once; in the end each has to be what it should be.

python -m tests.chaos --seconds 600

Ends with 1 if anything is lost, stale, wrong, published twice or leaked, once everything has come to its end
and what was in the failure queue has been sent again; tests/chaos/verdict.py says what these words mean.
"""

import sys
from pathlib import Path
from random import Random
from typing import NamedTuple

from rich.table import Table

from infra.ops.local.cloud import client_environment, local_cloud
from infra.ops.screen.progress import Step, console, steps
from tests.chaos.crew import Crew
from tests.chaos.storm import Storm
from tests.chaos.verdict import Verdict, judge, publications
from tests.faults import REFUSALS, at_random
from tests.faulty_s3 import FaultyS3, Policy, faulty_s3
from tests.long_runs import run_options

RATE = 25  # things done a second
KILLS = 3  # seconds
FAULTS, STALLS = 0.1, 0.005  # share of the requests to S3, and of those
DENIALS = 0.04  # share of the requests that S3 refuses for good, so that the event has to come again


class Outcome(NamedTuple):
    """What happened and what became of it."""

    happened: dict[str, int]
    verdict: Verdict


def chaos(log: Path, seconds: float, announce: Step, *, seed: int = 1, kills: float = KILLS) -> Outcome:
    """Let it rage in the local cloud that runs, and look at what it leaves; the workers write to `log`."""
    with faulty_s3(weather(seed)) as s3:
        crew = Crew(client_environment(s3.url), log)
        storm = Storm(crew, seed=seed)
        with crew.at_work():
            announce(f"Storm for {seconds:g} seconds, seed {seed}")
            storm.rage(seconds, rate=RATE, kills=kills)
            announce("Calm: every event comes to its end, what failed for good is sent again")
            s3.policy = lambda _: None
            crew.finish()
        announce("Looking at every key, log line and failure")
        return Outcome(happened(s3, crew, storm), judge(storm, log.read_text(), crew.failed))


def weather(seed: int) -> Policy:
    """Let faults befall requests that repeating mends, and now and then one that it does not."""
    passing, dice = at_random(FAULTS, seed, stalls=STALLS), Random(seed)  # noqa: S311 - repeatable
    return lambda request: REFUSALS["ExpiredToken"] if dice.random() < DENIALS else passing(request)


def happened(s3: FaultyS3, crew: Crew, storm: Storm) -> dict[str, int]:
    return {
        "keys": len(storm.expected),
        "versions uploaded": sum(map(len, storm.expected.values())),
        "publications": publications(),
        "keys of which what was published was deleted": len(storm.erased),
        "requests of the workers": s3.operations.total(),
        **{f"fault: {kind}": count for kind, count in sorted(s3.faults.items())},
        "invocations with several events": crew.batches,
        "workers killed": crew.crashes,
        "events that failed for good, and were sent again": len(crew.failed),
    }


def show(outcome: Outcome) -> None:
    table = Table(box=None, show_header=False)
    for what, count in outcome.happened.items():
        table.add_row(what, f"{count:,}")
    for what, keys in outcome.verdict._asdict().items():
        table.add_row(what, f"[bold]{len(keys):,}", " ".join(keys[:5]))
    console.print(table)


def main() -> int:
    options = run_options(__doc__)
    with local_cloud() as folder, steps() as step:
        outcome = chaos(folder / "workers.log", options.seconds, step, seed=options.seed)
    show(outcome)
    return 0 if outcome.verdict.faultless else 1


if __name__ == "__main__":
    sys.exit(main())
