"""Load test: upload small objects as fast as possible to the function deployed in the local cloud.

python -m tests.chaos.load --objects 5000 --ingest queue

Exits with 1 unless every object is published exactly once.
"""

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from infra.ops.local import stage as local_stage
from infra.ops.local.cloud import local_cloud
from infra.ops.screen.progress import Step, console, steps
from tests.chaos.documents import scans
from tests.deployment import Deployment

CLIENTS = 8
WITHIN = 120  # seconds without another publication


def load(deployment: Deployment, objects: int, announce: Step) -> Counter[int]:
    """Upload objects; returns how many of them were published how many times."""
    announce(f"Uploading {objects:,} objects")
    keys = [f"load/{number}.json" for number in range(objects)]

    def upload(key: str) -> None:
        deployment.s3.put_object(Bucket=deployment.raw, Key=key, Body=scans(0)[0])

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(upload, keys))
    announce("Waiting for their publications")
    await_all(deployment, objects)
    published = publications(deployment)
    return Counter(published[key] for key in keys)


def await_all(deployment: Deployment, objects: int) -> None:
    last, since = 0, time.monotonic()
    while last < objects and time.monotonic() < since + WITHIN:
        time.sleep(1)
        count = len(publications(deployment))
        if count > last:
            last, since = count, time.monotonic()


def publications(deployment: Deployment) -> Counter[str]:
    """Count the versions of each processed object."""
    pages = deployment.s3.get_paginator("list_object_versions").paginate
    listing = pages(Bucket=deployment.processed, Prefix="load/")
    return Counter(version["Key"] for page in listing for version in page.get("Versions", []))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--objects", type=int, default=5000)
    parser.add_argument("--ingest", choices=["direct", "queue"], default="direct")
    options = parser.parse_args()
    with local_cloud() as folder, steps() as step:
        step("Deploying")
        local_stage.make_buckets()
        deployment, started = Deployment(local_stage.deploy(folder, ingest=options.ingest)), time.monotonic()
        times = load(deployment, options.objects, step)
        seconds = time.monotonic() - started
    for count, objects in sorted(times.items()):
        console.print(f"published {count} times: {objects:,} objects")
    console.print(f"in {seconds:.0f} seconds")
    return 0 if times == {1: options.objects} else 1


if __name__ == "__main__":
    sys.exit(main())
