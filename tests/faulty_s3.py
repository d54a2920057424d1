"""A proxy in front of a real S3 endpoint that injects faults, for the real client.

    with faulty_s3(planned(get_object=[Cut(1000), REFUSALS["SlowDown"]])) as s3:
        client = boto3.client("s3", endpoint_url=s3.url)

For each request, a policy returns a Fault or None. `tests.faults` has the faults and the usual policies.
`exchanges` has requests and responses. `faults` counts faults by kind, `operations` requests by name.

Requests are forwarded as they were signed, including the Host header.
"""

import fcntl
import os
import socket
import struct
import termios
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from infra.ops.local.cloud import trust

PIECE = 64 * 1024
KEPT = 10_000  # exchanges that are kept
# Headers of one connection, which a proxy does not forward.
HOP = {"connection", "keep-alive", "transfer-encoding", "expect"}
OPERATIONS = {
    ("DELETE", frozenset()): "delete_object",
    ("DELETE", frozenset({"uploadId"})): "abort_multipart_upload",
    ("GET", frozenset()): "get_object",
    ("HEAD", frozenset()): "head_object",
    ("POST", frozenset({"uploads"})): "create_multipart_upload",
    ("POST", frozenset({"uploadId"})): "complete_multipart_upload",
    ("PUT", frozenset()): "put_object",
    ("PUT", frozenset({"uploadId", "partNumber"})): "upload_part",
}

type Headers = list[tuple[str, str]]
type Policy = Callable[[Request], Fault | None]


class Request(NamedTuple):
    """A request. `operation` is the name in boto3, or "other"; `number` counts from 0."""

    number: int
    operation: str
    key: str
    range: str | None
    body: bytes


@dataclass
class Exchange:
    """A request and its response: bytes sent and delivered, status 0 while there is no response."""

    operation: str
    key: str
    range: str | None
    sent: int
    fault: str | None
    status: int = 0
    delivered: int = 0


class Ending(StrEnum):
    """How a connection ends: with RST, with FIN, or in a stall until the client gives up."""

    RESET = "reset"
    CLOSED = "closed"
    STALLED = "stalled"


class Fault:
    """A fault in one exchange. This base class injects none."""

    @property
    def kind(self) -> str:
        """Return the name for the counts."""
        return type(self).__name__.lower()

    def play(self, wire: "Wire") -> None:
        """Respond to the request, or not."""
        with wire.forward() as response:
            wire.answer(response)


class FaultyS3:
    """The running proxy. Its policy can be changed at any time."""

    def __init__(self, url: str, policy: Policy) -> None:
        self.url = url
        self.policy = policy
        self.exchanges: deque[Exchange] = deque(maxlen=KEPT)
        self.faults: Counter[str] = Counter()
        self.operations: Counter[str] = Counter()
        self._lock = threading.Lock()

    def admit(
        self, method: str, target: str, requested_range: str | None, body: bytes
    ) -> tuple[Exchange, Fault]:
        """Record a request and choose its fault, one request at a time."""
        with self._lock:
            about = (_operation(method, target), _key(target), requested_range)
            fault = self.policy(Request(self.operations.total(), *about, body))
            exchange = Exchange(*about, len(body), fault.kind if fault else None)
            self.exchanges.append(exchange)
            self.operations[exchange.operation] += 1
            self.faults.update([fault.kind] if fault else [])
        return exchange, fault or Fault()


@contextmanager
def faulty_s3(policy: Policy, upstream: str | None = None) -> Iterator[FaultyS3]:
    """Run the proxy in front of `upstream`, by default AWS_ENDPOINT_URL."""
    with _Server(upstream or os.environ["AWS_ENDPOINT_URL"], policy) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.faulty
        finally:
            server.stop()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing the server waits for its threads

    def __init__(self, upstream: str, policy: Policy) -> None:
        super().__init__(("127.0.0.1", 0), Wire)
        self.upstream = upstream
        self.faulty = FaultyS3(f"http://127.0.0.1:{self.server_port}", policy)
        self.stopped = threading.Event()
        self.clients: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, object]:
        client, address = super().get_request()
        self.clients.add(client)
        return client, address

    def stop(self) -> None:
        self.shutdown()
        self.stopped.set()
        for client in tuple(self.clients):
            with suppress(OSError):  # it may be closed already
                client.shutdown(socket.SHUT_RDWR)


class Wire(BaseHTTPRequestHandler):
    """A connection, and what a fault can do with its request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    exchange: Exchange
    sent: bytes

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client closed it
            super().handle()

    def finish(self) -> None:
        self.server.clients.discard(self.connection)
        super().finish()

    def play(self) -> None:
        self.sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = (self.command, self.path, self.headers.get("Range"), self.sent)
        self.exchange, fault = self.server.faulty.admit(*request)
        fault.play(self)

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = play  # noqa: N815 - names of the base class

    @contextmanager
    def forward(self, **instead: str | None) -> Iterator[HTTPResponse]:
        """Send the request to S3 with some headers replaced, or removed if None."""
        upstream = _connection(self.server.upstream)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self._headers(instead):
                upstream.putheader(name, value)
            upstream.endheaders(self.sent)
            yield upstream.getresponse()
        finally:
            upstream.close()

    def _headers(self, instead: Mapping[str, str | None]) -> Headers:
        kept = [(n, v) for n, v in self.headers.items() if n.lower() not in HOP | instead.keys()]
        return kept + [(name, value) for name, value in instead.items() if value is not None]

    def answer(self, response: HTTPResponse) -> None:
        """Forward the response of S3."""
        self.head(response.status, response.getheaders())
        self.body(response, size_of(response))

    def respond(self, status: int, body: bytes) -> None:
        """Respond in place of S3."""
        self.head(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        self._write(b"" if self.command == "HEAD" else body)

    def head(self, status: int, headers: Headers) -> None:
        """Send status and headers of a response."""
        self.exchange.status = status
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.end_headers()

    def body(self, response: HTTPResponse, size: int) -> None:
        """Forward `size` bytes of the body of a response."""
        while size and (piece := response.read(min(size, PIECE))):
            self._write(piece)
            size -= len(piece)

    def _write(self, data: bytes) -> None:
        self.exchange.delivered += len(data)
        self.wfile.write(data)

    def end(self, ending: Ending) -> None:
        """End the connection."""
        self.close_connection = True
        if ending is Ending.STALLED:
            self._wait()
        if ending is Ending.RESET:
            self._reset()

    def _wait(self) -> None:
        self.connection.settimeout(0.05)
        while not self.server.stopped.is_set():
            with suppress(TimeoutError):
                if not self.connection.recv(1):
                    return

    def _reset(self) -> None:
        self._drain()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Not with the server, which would send FIN first.
        os.close(self.connection.detach())

    def _drain(self) -> None:
        # RST discards data that is not sent yet.
        deadline = time.monotonic() + 1
        while _unsent(self.connection) and time.monotonic() < deadline:
            time.sleep(0.001)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - signature of the base class
        """Log nothing."""


def _connection(url: str) -> HTTPConnection:
    address = urlsplit(url)
    if address.scheme == "https":
        return HTTPSConnection(address.netloc, context=trust())
    return HTTPConnection(address.netloc)


def _unsent(connection: socket.socket) -> int:
    response = fcntl.ioctl(connection, termios.TIOCOUTQ, struct.pack("i", 0))
    size: int = struct.unpack("i", response)[0]
    return size


def size_of(response: HTTPResponse) -> int:
    """Return the bytes of the body that are not read yet: none after HEAD."""
    assert response.length is not None, "the response of the endpoint has no Content-Length"
    return response.length


def _key(target: str) -> str:
    return unquote(urlsplit(target).path.removeprefix("/").partition("/")[2])


def _operation(method: str, target: str) -> str:
    names = parse_qs(urlsplit(target).query, keep_blank_values=True).keys()
    named = frozenset(names & {"uploads", "uploadId", "partNumber"})
    return OPERATIONS.get((method, named), "other") if _key(target) else "other"
