"""A function in AWS's own runtime client (`awslambdaric`), with a fake of Lambda's runtime API.

MiniStack has its own runtime, with another log. This one has AWS's log format and levels, and the errors that
AWS would send to the failure queue.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

from infra.ops.local.cloud import ROOT

STARTS_WITHIN = 30  # seconds


class Runtime:
    """One process of a function, with its log."""

    def __init__(self, log: Path) -> None:
        self.events: Queue[bytes] = Queue()
        self.answers: Queue[Any] = Queue()
        self._log = log

    def invoke(self, event: Any) -> Any:
        """Send an event; returns the result or the error, as Lambda receives it."""
        self.events.put(json.dumps(event).encode())
        return self.answers.get(timeout=STARTS_WITHIN)

    def log(self) -> str:
        """Return everything that the process has logged so far."""
        return self._log.read_text()


@contextmanager
def runtime(handler: str, folder: Path, environment: Mapping[str, str]) -> Iterator[Runtime]:
    """Run a handler of the application, with additional environment variables."""
    function = Runtime(folder / "log")
    server = _Server(("127.0.0.1", 0), _lambda_for(function))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", handler],
            cwd=ROOT,
            env={**os.environ, **environment, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield function
    finally:
        process.kill()
        process.wait()
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Stay silent: the process is killed while it waits for an event."""


def _lambda_for(function: Runtime) -> type[BaseHTTPRequestHandler]:
    class Lambda(BaseHTTPRequestHandler):
        """https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            event = function.events.get()
            self.send_response(200)
            self.send_header("Lambda-Runtime-Aws-Request-Id", "request")
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:::function:f")
            self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 60_000))
            self._end(event)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            function.answers.put(json.loads(body))
            self.send_response(202)
            self._end(b"{}")

        def _end(self, body: bytes) -> None:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    return Lambda
