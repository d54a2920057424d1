"""The monthly costs of a stage, from AWS's list prices and the requests of the code.

`python -m tests.costs` prints the table of infra/README.md. tests/test_costs.py counts the requests that are
assumed here.
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

# US dollars in us-east-1, first tier, without the free tier. Lambda's prices are from AWS's whitepaper. Those
# of CloudWatch and S3 are from memory, and from others who quoted the given pages in 2026. Check them before
# you rely on them.
AS_OF = "2026-11-25"
PRICES = {
    # https://aws.amazon.com/cloudwatch/pricing/
    "alarm": 0.10,  # a month
    "dashboard": 3.00,  # a month
    "metric": 0.30,  # a month in which it received data
    "logs": 0.50 / GB,  # a byte
    # https://docs.aws.amazon.com/whitepapers/latest/how-aws-pricing-works/lambda.html
    "invocation": 0.20 / MILLION,
    "gigabyte-second": 0.0000166667,  # on x86
    # https://aws.amazon.com/s3/pricing/
    "read": 0.0004 / 1000,  # HEAD, GET
    "write": 0.005 / 1000,  # PUT, and each request of a multipart upload
    "storage": 0.023 / GB,  # a byte for a month
}

# Assumptions about S3, from AWS's paper "Best Practices Design Patterns" (2019): the median of a small
# request is some tens of milliseconds, and a connection transfers 85 to 90 MB/s.
REQUEST_SECONDS = 0.05
STREAM = 85 * MB  # bytes a second
EXTRACTION = 594 * MB  # bytes a second on one core, measured: chalicelib/README.md, Performance
WHOLE_PATH = 230 * MB  # the same with the SDK, TLS and the upload: tests/benchmarks
SEQUENTIAL = 5  # requests of a large object that cannot overlap: GET, a range; create, a part, complete
MEMORY: int = json.loads((ROOT / ".chalice" / "config.json").read_text())["lambda_memory_size"]
VCPU = MEMORY / 1769  # a function of 1,769 MB has one vCPU

# For a new object with valid records only.
LOGGED = 1330  # bytes of log, including Lambda's own lines
PUBLISHED = 0.345  # output bytes per input byte, for flat scans by samples/generate.py


def alarms() -> int:
    """Count the alarms of a stage, as infra/operations/tests lists them."""
    promised = (ROOT / "infra/operations/tests/operations.tftest.hcl").read_text()
    (names,) = re.findall(r"metric_alarm\.this\)\) == toset\(\[(.+?)]\)", promised, re.DOTALL)
    return len(re.findall(r'"[a-z-]+"', names))


def reads(size: int) -> int:
    """Count the read requests: GET and ranges; also HEAD, unless the object is small or fast."""
    if size <= events.SMALL:
        return 1
    ranges = ceil(size / RANGE_SIZE) if size > source.SINGLE_REQUEST_SIZE else 0
    return 2 + ranges + (_worked(size) >= RECHECK_AFTER)


def writes(size: int) -> int:
    """Count the write requests: one, or those of a multipart upload."""
    parts = ceil(size * PUBLISHED / PART_SIZE)
    return 1 if parts <= 1 else parts + 2


def seconds(size: int) -> float:
    """Return how long the function takes for an object."""
    looks = 0 if size <= events.SMALL else 1 + (_worked(size) >= RECHECK_AFTER)
    return looks * REQUEST_SECONDS + _worked(size)


def _worked(size: int) -> float:
    """Return the time from the GET to the last write. For large objects, requests and work overlap."""
    if size <= source.SINGLE_REQUEST_SIZE:
        return (1 + writes(size)) * REQUEST_SECONDS + size / STREAM + size / (EXTRACTION * VCPU)
    return SEQUENTIAL * REQUEST_SECONDS + max(size / (PARALLEL_RANGES * STREAM), size / (WHOLE_PATH * VCPU))


def costs(objects: int, size: int) -> dict[str, float]:
    """Return a month's costs in US dollars, for new objects of `size` bytes, each uploaded with one PUT."""
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
    """Return the table for infra/README.md."""
    months = [*starmap(costs, [(0, 0), *((MILLION, size) for size in (10 * KB, MB, 100 * MB))])]
    head = ["US dollars per month", "idle", "a million objects of 10 kB", "of 1 MB", "of 100 MB"]
    rows = [[item, *(f"{month[item]:,.2f}" for month in months)] for item in months[0]]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ["---", *["--:"] * len(months)], *rows))


if __name__ == "__main__":
    print(table(), end="")  # noqa: T201 - it is a program
