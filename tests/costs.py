"""What a stage costs in a month, by AWS's list prices and by what the code does: a table of infra/README.md.

python -m tests.costs prints it. What the code is said to do here, tests/test_costs.py counts.
"""

import json
import re
from itertools import starmap
from math import ceil

from chalicelib import events, source
from chalicelib.log_events import ObjectPublished
from chalicelib.pipeline import RECHECK_AFTER
from chalicelib.source import PARALLEL_RANGES, RANGE_SIZE
from chalicelib.upload import PART_SIZE
from infra.ops.local.cloud import ROOT

KB, MB, GB = 10**3, 10**6, 2**30
MILLION = 10**6

# US dollars in us-east-1, first tier, without the free tier. Lambda's are from AWS's own paper; those of
# CloudWatch and S3 from memory, and as others quoted the pages named in 2026. Look again before you count
# on them.
AS_OF = "2026-11-25"
PRICES = {
    # https://aws.amazon.com/cloudwatch/pricing/
    "alarm": 0.10,  # a month
    "dashboard": 3.00,  # a month
    "metric": 0.30,  # a month in which something was sent to it
    "logs": 0.50 / GB,  # a byte
    # https://docs.aws.amazon.com/whitepapers/latest/how-aws-pricing-works/lambda.html
    "invocation": 0.20 / MILLION,
    "gigabyte-second": 0.0000166667,  # on x86
    # https://aws.amazon.com/s3/pricing/
    "read": 0.0004 / 1000,  # HEAD, GET
    "write": 0.005 / 1000,  # PUT, and each request of an upload in parts
    "storage": 0.023 / GB,  # a byte for a month
}

# Assumed of S3, as AWS says in its paper on it ("Best Practices Design Patterns", 2019): the median of a
# small request is some tens of milliseconds, and a connection gives 85 to 90 MB/s.
REQUEST_SECONDS = 0.05
STREAM = 85 * MB  # bytes a second
EXTRACTION = 350 * MB  # bytes a second on a whole core, as measured: chalicelib/README.md, Performance
WHOLE_PATH = 230 * MB  # the same with the SDK, TLS and the upload: tests/benchmarks
IN_TURN = 5  # requests of a large object that are waited for: GET, a range; a first, a part, a last
MEMORY: int = json.loads((ROOT / ".chalice" / "config.json").read_text())["lambda_memory_size"]
VCPU = MEMORY / 1769  # AWS: one at 1,769 MB

# Of a new object, all of whose records are valid.
LOGGED = 1330  # bytes of log, Lambda's own lines among them
PUBLISHED = 0.345  # share of its bytes, of flat scans by samples/generate.py


def alarms() -> int:
    """Count the alarms of a stage: those that infra/operations/tests holds the plan to."""
    promised = (ROOT / "infra/operations/tests/operations.tftest.hcl").read_text()
    (names,) = re.findall(r"metric_alarm\.this\)\) == toset\(\[(.+?)]\)", promised, re.DOTALL)
    return len(re.findall(r'"[a-z-]+"', names))


def reads(size: int) -> int:
    """Count the requests that read: GET, and ranges; HEAD before, if it is not small, and after a while."""
    if size <= events.SMALL:
        return 1
    ranges = ceil(size / RANGE_SIZE) if size > source.SINGLE_REQUEST_SIZE else 0
    return 2 + ranges + (_worked(size) >= RECHECK_AFTER)


def writes(size: int) -> int:
    """Count the requests that publish what comes of an object: one, or the parts, a first and a last."""
    parts = ceil(size * PUBLISHED / PART_SIZE)
    return 1 if parts <= 1 else parts + 2


def seconds(size: int) -> float:
    """Say how long a function takes over an object."""
    looks = 0 if size <= events.SMALL else 1 + (_worked(size) >= RECHECK_AFTER)
    return looks * REQUEST_SECONDS + _worked(size)


def _worked(size: int) -> float:
    """Say how long it takes from the GET to the last write: of a large one, everything at once."""
    if size <= source.SINGLE_REQUEST_SIZE:
        return (1 + writes(size)) * REQUEST_SECONDS + size / STREAM + size / (EXTRACTION * VCPU)
    return IN_TURN * REQUEST_SECONDS + max(size / (PARALLEL_RANGES * STREAM), size / (WHOLE_PATH * VCPU))


def costs(objects: int, size: int) -> dict[str, float]:
    """Add up a month with so many new objects of so many bytes, uploaded with one PUT each; US dollars."""
    gigabyte_seconds = seconds(size) * MEMORY / 1024
    items = {
        "alarms, dashboard": alarms() * PRICES["alarm"] + PRICES["dashboard"],
        "metrics": len(ObjectPublished.counts) * PRICES["metric"] if objects else 0,
        "logs": objects * LOGGED * PRICES["logs"],
        "Lambda": objects * (PRICES["invocation"] + gigabyte_seconds * PRICES["gigabyte-second"]),
        "S3 requests": objects * (reads(size) * PRICES["read"] + (1 + writes(size)) * PRICES["write"]),
    }
    stored = objects * size * (1 + PUBLISHED) * PRICES["storage"]
    return {**items, "together": sum(items.values()), "and each month that they are kept": stored}


def table() -> str:
    """Lay the months out for infra/README.md."""
    months = [*starmap(costs, [(0, 0), *((MILLION, size) for size in (10 * KB, MB, 100 * MB))])]
    head = ["US dollars a month", "idle", "a million objects of 10 kB", "of 1 MB", "of 100 MB"]
    rows = [[item, *(f"{month[item]:,.2f}" for month in months)] for item in months[0]]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ["---", *["--:"] * len(months)], *rows))


if __name__ == "__main__":
    print(table(), end="")  # noqa: T201 - what it is for
