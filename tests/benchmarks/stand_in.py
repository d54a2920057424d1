"""A simulated S3 for benchmarks, with the latency, the bandwidth and the TLS of the real one.

    with stand_in({"/raw/a.json": b"[]"}, Link(latency=0.015), tls=True) as s3:
        run([...], env={**os.environ, **s3.environment})

It runs in its own process. It keeps small objects in memory, makes large ones on the fly, and keeps only the
size of large ones that it receives. It does not check what S3 accepts: the local cloud does.
"""

import json
import multiprocessing
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

CHUNK = 256 * 1024  # bytes
MAX_KEPT = 1024 * 1024  # bytes; of a larger body, only the size is kept
NO_KEY, PRECONDITION_FAILED = (404, "NoSuchKey"), (412, "PreconditionFailed")


class Link(NamedTuple):
    """Seconds until S3 answers a request, and bytes a second of one connection; 0 is no limit."""

    latency: float = 0.015
    stream: float = 90e6


class Large(NamedTuple):
    """A JSON array that repeats the same records, separated by commas, `times` times."""

    records: bytes
    times: int

    @property
    def size(self) -> int:
        return (len(self.records) + 1) * self.times + 1

    def read(self, start: int, stop: int) -> bytes:
        period = len(self.records) + 1
        first = (start - 1) % period
        times = (stop - start) // period + 2
        text = bytearray(((self.records + b",") * times)[first : first + stop - start])
        if not start:
            text[:1] = b"["
        if stop == self.size:
            text[-1:] = b"]"
        return bytes(text)


class Small(NamedTuple):
    """An object that is kept in memory, or only the size of a received one."""

    body: bytes
    size: int

    def read(self, start: int, stop: int) -> bytes:
        return self.body[start:stop]


class Stored(NamedTuple):
    """An object with its version, which is its ETag too, and its metadata."""

    content: Large | Small
    version: str
    metadata: Mapping[str, str]

    @property
    def headers(self) -> dict[str, str]:
        return {"ETag": f'"{self.version}"', "x-amz-version-id": self.version, **self.metadata}


class StandIn(NamedTuple):
    """A running simulated S3: what a client needs to reach it."""

    url: str
    certificate: str

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that make boto3 use it."""
        trust = {"AWS_CA_BUNDLE": self.certificate} if self.certificate else {}
        known = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
        return {"AWS_ENDPOINT_URL": self.url, **known, **trust}

    def requests(self) -> Counter[str]:
        """Count the requests since the last call, by method."""
        context = ssl.create_default_context(cafile=self.certificate) if self.certificate else None
        with urlopen(f"{self.url}/", context=context) as answer:
            return Counter(json.load(answer))


@contextmanager
def stand_in(
    objects: Mapping[str, bytes | Large], link: Link | None = None, *, tls: bool = False
) -> Iterator[StandIn]:
    """Run a simulated S3 with these objects, each under /bucket/key."""
    ours, theirs = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    with TemporaryDirectory(prefix="stand-in-") as folder:
        certificate = _make_certificate(Path(folder)) if tls else ""
        process = spawn.Process(
            target=_serve, args=(theirs, objects, link or Link(), certificate), daemon=True
        )
        process.start()
        try:
            yield StandIn(f"http{'s' * tls}://127.0.0.1:{ours.recv()}", certificate)
        finally:
            process.kill()
            process.join()


def _make_certificate(folder: Path) -> str:
    file = str(folder / "certificate.pem")
    about = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    subprocess.run([*new, *about, "-keyout", file, "-out", f"{file}.crt"], check=True, capture_output=True)
    with Path(file).open("ab") as both:
        both.write(Path(f"{file}.crt").read_bytes())
    return file


def _serve(ready: Connection, objects: Mapping[str, bytes | Large], link: Link, certificate: str) -> None:
    server = _Server(("127.0.0.1", 0), _S3)
    server.link = link
    for path, content in objects.items():
        server.store(path, content if isinstance(content, Large) else Small(content, len(content)), {})
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    ready.send(server.server_port)
    server.serve_forever()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    link: Link

    def __init__(self, *address: object) -> None:
        super().__init__(*address)  # type: ignore[arg-type]
        self.objects: dict[str, Stored] = {}
        self.requests: Counter[str] = Counter()
        self.parts: Counter[str] = Counter()
        self.lock = Lock()
        self.numbers = count(1)

    def store(self, path: str, content: Large | Small, metadata: Mapping[str, str]) -> Stored:
        stored = self.objects[path] = Stored(content, f"v{next(self.numbers)}", metadata)
        return stored

    def handle_error(self, *_: object) -> None:
        """Print nothing: clients may disconnect at any time."""


class _S3(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 16 * 1024  # the headers go out in one packet
    server: _Server

    def handle_expect_100(self) -> bool:
        continues = super().handle_expect_100()
        self.wfile.flush()
        return continues

    def do_GET(self) -> None:
        if self.path == "/":
            self._answer_with_counts()
            return
        self._count_and_wait()
        stored = self.server.objects.get(self.path)
        if stored is None:
            self._refuse(*NO_KEY)
        elif self.headers.get("If-Match") not in (None, stored.headers["ETag"]):
            self._refuse(*PRECONDITION_FAILED)
        else:
            self._answer_with_object(stored)

    do_HEAD = do_GET  # noqa: N815 - the base class's names

    def do_PUT(self) -> None:
        body = self._receive()
        self._count_and_wait()
        if "uploadId" in self._query():
            self.server.parts[self._query()["uploadId"][0]] += body.size
            self._answer(200, {"ETag": '"part"'})
        else:
            self._write(body)

    def do_POST(self) -> None:
        self._receive()
        self._count_and_wait()
        path, query = urlsplit(self.path).path, self._query()
        if "uploads" in query:
            upload = f"{path}?{next(self.server.numbers)}"
            self._answer(200, {}, f"<Result><UploadId>{upload}</UploadId></Result>")
        else:
            self._write(Small(b"", self.server.parts.pop(query["uploadId"][0])))

    def do_DELETE(self) -> None:
        self._count_and_wait()
        self.server.parts.pop(self._query().get("uploadId", [""])[0], None)
        self._answer(204, {})

    def _write(self, body: Small) -> None:
        path = urlsplit(self.path).path
        metadata = {name: value for name, value in self.headers.items() if name.startswith("x-amz-meta-")}
        with self.server.lock:
            held = self._condition_holds(path)
            stored = self.server.store(path, body, metadata) if held else None
        if stored:
            etag = stored.headers["ETag"]
            self._answer(200, stored.headers, f"<Result><ETag>{etag}</ETag></Result>")
        else:
            self._refuse(*PRECONDITION_FAILED)

    def _condition_holds(self, path: str) -> bool:
        stored = self.server.objects.get(path)
        wanted = self.headers.get("If-Match")
        if stored is None:
            return wanted is None
        return self.headers.get("If-None-Match") is None and wanted in (None, stored.headers["ETag"])

    def _answer_with_object(self, stored: Stored) -> None:
        size = stored.content.size
        asked = self.headers.get("Range")
        first, _, last = (asked or "bytes=0-").removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last) + 1, size) if last else size
        self.send_response(206 if asked else 200)
        named = {"Content-Range": f"bytes {start}-{stop - 1}/{size}"} if asked else {}
        self._send_headers({**stored.headers, **named}, stop - start)
        if self.command == "GET":
            started = time.monotonic()
            for at in range(start, stop, CHUNK):
                self.wfile.write(stored.content.read(at, min(at + CHUNK, stop)))
                self._pace(started, at + CHUNK - start)

    def _receive(self) -> Small:
        body, size, started = b"", 0, time.monotonic()
        for piece in chunks(self.rfile, self.headers):
            size += len(piece)
            body += piece if size <= MAX_KEPT else b""
            self._pace(started, size)
        if length := self.headers.get("X-Amz-Decoded-Content-Length"):
            # Over TLS, boto3 sends the checksum after the body: size, CRLF, body, CRLF, 0, CRLF, checksum.
            return Small(body.partition(b"\r\n")[2].rpartition(b"\r\n0\r\n")[0], int(length))
        return Small(body, size)

    def _pace(self, started: float, passed: int) -> None:
        if self.server.link.stream:
            time.sleep(max(0, started + passed / self.server.link.stream - time.monotonic()))

    def _count_and_wait(self) -> None:
        self.server.requests[self.command] += 1
        time.sleep(self.server.link.latency)

    def _answer_with_counts(self) -> None:
        counted, self.server.requests = self.server.requests, Counter()
        self._answer(200, {}, json.dumps(counted))

    def _query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query, keep_blank_values=True)

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, {}, f"<Error><Code>{code}</Code></Error>")

    def _answer(self, status: int, headers: Mapping[str, str], text: str = "") -> None:
        self.send_response(status)
        self._send_headers(headers, len(text))
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    def _send_headers(self, headers: Mapping[str, str], size: int) -> None:
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def chunks(file: BufferedIOBase, headers: Message) -> Iterator[bytes]:
    """Read a request's body, by Content-Length or by chunked encoding."""
    if headers.get("Transfer-Encoding") == "chunked":
        while size := int(file.readline(), 16):
            yield file.read(size)
            file.readline()
        file.readline()
        return
    left = int(headers.get("Content-Length", 0))
    while left:
        piece = file.read(min(left, CHUNK))
        yield piece
        left -= len(piece)
