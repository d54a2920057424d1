"""An S3 whose network and whose moods fail: a proxy in front of a real endpoint, for the real client.

    with faulty_s3(planned(get_object=[Cut(1000), REFUSALS["SlowDown"]])) as s3:
        client = boto3.client("s3", endpoint_url=s3.url)

A policy is asked about every request and answers with a Fault or None; `tests.faults` has those that there
are, and the usual policies. What was asked, what was injected and what went over the wire is in
`exchanges`, `faults` (counts by kind) and `operations` (counts by name).

Requests are passed on as they were signed, the Host header included.
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
KEPT = 10_000  # exchanges that are remembered
# Headers about one connection, not about what goes over it.
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
    """A request as it came: `operation` in boto3's words, or "other"; `number` counts from 0."""

    number: int
    operation: str
    key: str
    range: str | None
    body: bytes


@dataclass
class Exchange:
    """A request and what came of it: bytes of bodies there and back, status 0 while none was answered."""

    operation: str
    key: str
    range: str | None
    sent: int
    fault: str | None
    status: int = 0
    delivered: int = 0


class Ending(StrEnum):
    """How a connection dies: by a RST, by an orderly FIN, or in silence until the client gives up."""

    RESET = "reset"
    CLOSED = "closed"
    STALLED = "stalled"


class Fault:
    """Something that goes wrong in one exchange; this one is nothing."""

    @property
    def kind(self) -> str:
        """Name it for the counts."""
        return type(self).__name__.lower()

    def play(self, wire: "Wire") -> None:
        """Answer the request, or do not."""
        with wire.forward() as response:
            wire.answer(response)


class FaultyS3:
    """The proxy while it runs; its policy may be changed meanwhile."""

    def __init__(self, url: str, policy: Policy) -> None:
        self.url = url
        self.policy = policy
        self.exchanges: deque[Exchange] = deque(maxlen=KEPT)
        self.faults: Counter[str] = Counter()
        self.operations: Counter[str] = Counter()
        self._lock = threading.Lock()

    def admit(self, method: str, target: str, asked_range: str | None, body: bytes) -> tuple[Exchange, Fault]:
        """Note a request and choose its fault, one request at a time."""
        with self._lock:
            about = (_operation(method, target), _key(target), asked_range)
            fault = self.policy(Request(self.operations.total(), *about, body))
            exchange = Exchange(*about, len(body), fault.kind if fault else None)
            self.exchanges.append(exchange)
            self.operations[exchange.operation] += 1
            self.faults.update([fault.kind] if fault else [])
        return exchange, fault or Fault()


@contextmanager
def faulty_s3(policy: Policy, upstream: str | None = None) -> Iterator[FaultyS3]:
    """Run the proxy in front of `upstream`, or of wherever AWS clients are pointed at the moment."""
    with _Server(upstream or os.environ["AWS_ENDPOINT_URL"], policy) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.faulty
        finally:
            server.stop()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # whoever closes it waits for the last of them

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
            with suppress(OSError):  # it may have gone by itself
                client.shutdown(socket.SHUT_RDWR)


class Wire(BaseHTTPRequestHandler):
    """A connection, and what a fault may do with the request that is on it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    exchange: Exchange
    sent: bytes

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client has gone
            super().handle()

    def finish(self) -> None:
        self.server.clients.discard(self.connection)
        super().finish()

    def play(self) -> None:
        self.sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = (self.command, self.path, self.headers.get("Range"), self.sent)
        self.exchange, fault = self.server.faulty.admit(*asked)
        fault.play(self)

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = play  # noqa: N815 - the base class's names

    @contextmanager
    def forward(self, **instead: str | None) -> Iterator[HTTPResponse]:
        """Send the request to S3, with some headers replaced, or without those that are None."""
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
        """Pass S3's answer on."""
        self.head(response.status, response.getheaders())
        self.body(response, size_of(response))

    def say(self, status: int, body: bytes) -> None:
        """Answer in S3's place."""
        self.head(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        self._write(b"" if self.command == "HEAD" else body)

    def head(self, status: int, headers: Headers) -> None:
        """Begin an answer."""
        self.exchange.status = status
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.end_headers()

    def body(self, response: HTTPResponse, size: int) -> None:
        """Pass so many bytes of an answer's body on."""
        while size and (piece := response.read(min(size, PIECE))):
            self._write(piece)
            size -= len(piece)

    def _write(self, data: bytes) -> None:
        self.exchange.delivered += len(data)
        self.wfile.write(data)

    def end(self, ending: Ending) -> None:
        """Let the connection die."""
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
        # Past the server, which would say goodbye first.
        os.close(self.connection.detach())

    def _drain(self) -> None:
        # A RST overtakes what is still to be sent.
        deadline = time.monotonic() + 1
        while _unsent(self.connection) and time.monotonic() < deadline:
            time.sleep(0.001)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's signature
        """Say nothing."""


def _connection(url: str) -> HTTPConnection:
    address = urlsplit(url)
    if address.scheme == "https":
        return HTTPSConnection(address.netloc, context=trust())
    return HTTPConnection(address.netloc)


def _unsent(connection: socket.socket) -> int:
    answer = fcntl.ioctl(connection, termios.TIOCOUTQ, struct.pack("i", 0))
    size: int = struct.unpack("i", answer)[0]
    return size


def size_of(response: HTTPResponse) -> int:
    """Say how many bytes of body are still to come: none after HEAD."""
    assert response.length is not None, "the endpoint does not say how long its answer is"
    return response.length


def _key(target: str) -> str:
    return unquote(urlsplit(target).path.removeprefix("/").partition("/")[2])


def _operation(method: str, target: str) -> str:
    names = parse_qs(urlsplit(target).query, keep_blank_values=True).keys()
    named = frozenset(names & {"uploads", "uploadId", "partNumber"})
    return OPERATIONS.get((method, named), "other") if _key(target) else "other"
