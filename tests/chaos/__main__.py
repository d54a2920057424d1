"""Chaos test: many uploads at once, while S3 fails and workers are killed. Then check every object.

python -m tests.chaos --seconds 600

Waits until every event is handled, also those from the failure queue. Exits with 1 if anything is lost,
stale, wrong, published twice or leaked; tests/chaos/verdict.py defines these words.
"""

import sys
from pathlib import Path
from random import Random
from typing import NamedTuple

from rich.table import Table

from infra.ops.local.cloud import client_environment, local_cloud
from infra.ops.screen.progress import Step, console, steps
from tests.chaos.verdict import Verdict, judge, publications
from tests.chaos.worker_pool import WorkerPool
from tests.chaos.workload import Workload
from tests.faults import REFUSALS, at_random
from tests.faulty_s3 import FaultyS3, Policy, faulty_s3
from tests.long_runs import run_options

RATE = 25  # actions per second
KILLS = 3  # seconds between kills
FAULTS, STALLS = 0.1, 0.005  # share of requests with a fault, and share of faults that are stalls
DENIALS = 0.04  # share of requests that S3 refuses without a chance for a retry, so that the event fails


class Outcome(NamedTuple):
    """What happened during the run, and the faults found afterwards."""

    happened: dict[str, int]
    verdict: Verdict


def chaos(log: Path, seconds: float, announce: Step, *, seed: int = 1, kills: float = KILLS) -> Outcome:
    """Run the workload in the running local cloud, then check the results. The workers log to `log`."""
    with faulty_s3(fault_policy(seed)) as s3:
        pool = WorkerPool(client_environment(s3.url), log)
        workload = Workload(pool, seed=seed)
        with pool.running():
            announce(f"Uploading for {seconds:g} seconds, seed {seed}")
            workload.run(seconds, rate=RATE, kills=kills)
            announce("Waiting until every event is handled; events from the failure queue are sent again")
            s3.policy = lambda _: None
            pool.finish()
        announce("Checking every key, log line and failure")
        return Outcome(happened(s3, pool, workload), judge(workload, log.read_text(), pool.failed))


def fault_policy(seed: int) -> Policy:
    """Inject temporary faults, and sometimes an error that is not retried."""
    temporary, dice = at_random(FAULTS, seed, stalls=STALLS), Random(seed)  # noqa: S311 - repeatable
    return lambda request: REFUSALS["ExpiredToken"] if dice.random() < DENIALS else temporary(request)


def happened(s3: FaultyS3, pool: WorkerPool, workload: Workload) -> dict[str, int]:
    return {
        "keys": len(workload.expected),
        "versions uploaded": sum(map(len, workload.expected.values())),
        "publications": publications(),
        "keys whose processed object was deleted": len(workload.erased),
        "requests of the workers": s3.operations.total(),
        **{f"fault: {kind}": count for kind, count in sorted(s3.faults.items())},
        "invocations with several events": pool.batches,
        "workers killed": pool.crashes,
        "events in the failure queue, sent again": len(pool.failed),
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
