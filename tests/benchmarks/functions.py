"""The two compared functions, ours and the usual one. Each runs in its own process, as in Lambda.

python -m tests.benchmarks.functions NAME < EVENTS

It reads events from standard input, one JSON document a line. It prints one JSON array a line, first for the
cold start, then for each event: wall-clock seconds, CPU seconds, and peak memory of the process in bytes.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote_plus

from tests.benchmarks.contenders import chosen, peak_memory

# As Lambda passes it to a handler.
CONTEXT = SimpleNamespace(
    function_name="function",
    memory_limit_in_mb=1024,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:function",
    aws_request_id="request",
    get_remaining_time_in_millis=lambda: 900_000,
)

type Handler = Callable[[Any, Any], object]


def ours() -> Handler:
    from app import data_processor  # noqa: PLC0415 - the import is the cold start

    return data_processor  # type: ignore[no-any-return]


def usual() -> Handler:
    """The function as tutorials write it: one client, whole objects in memory, one after the other."""
    import boto3  # noqa: PLC0415 - the import is the cold start

    s3 = boto3.client("s3")

    def handler(event: Any, _context: Any) -> None:
        for record in event["Records"]:
            bucket, key = record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"])
            scans = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            body = json.dumps(chosen(scans))
            s3.put_object(Bucket=os.environ["PROCESSED_BUCKET"], Key=key, Body=body)

    return handler


FUNCTIONS: dict[str, Callable[[], Handler]] = {"ours": ours, "usual": usual}


def main(name: str) -> None:
    figures, sys.stdout = sys.stdout, sys.stderr  # the function's log goes to standard error
    started = time.perf_counter(), time.process_time()
    handler = FUNCTIONS[name]()
    while True:
        seconds, cpu = (now - then for now, then in zip(clocks(), started, strict=True))
        print(json.dumps([seconds, cpu, peak_memory()]), file=figures, flush=True)
        if not (event := sys.stdin.readline()):
            return
        started = clocks()
        handler(json.loads(event), CONTEXT)


def clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


if __name__ == "__main__":
    main(*sys.argv[1:])
