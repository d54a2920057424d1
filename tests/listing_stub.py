"""A fake of AWS for `reconcile`: it lists very many objects, all current, and stores none."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PAGE = 1000
REVISION = "9:stub"
FIRST = datetime(2026, 1, 1, tzinfo=UTC)  # upload; one more every second
IDENTITY = (
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>000000000000</Account>"
    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
)
BUCKETS = {"RAW_BUCKET": "raw", "PROCESSED_BUCKET": "processed", "REJECTED_BUCKET": "rejected"}


class Stub(ThreadingHTTPServer):
    """Lists `objects` objects, each published two seconds after its upload; `asked` counts requests."""

    daemon_threads = True

    def __init__(self, objects: int, changed: datetime) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects = objects
        self.changed = changed
        self.asked: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def listed(self, bucket: str, start: int) -> str:
        """Make a page of a listing."""
        end = min(start + PAGE, self.objects)
        kind, late = ("Version", 0) if bucket == "raw" else ("Contents", 2)
        items = "".join(
            f"<{kind}><Key>scans/{n:09}.json</Key><VersionId>v{n}</VersionId><IsLatest>true</IsLatest>"
            f"<LastModified>{FIRST + timedelta(seconds=n + late):%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f'<ETag>"0123456789abcdef0123456789abcdef"</ETag><Size>9</Size></{kind}>'
            for n in range(start, end)
        )
        following = "".join(
            f"<{name}>{end}</{name}>"
            for name in ("NextKeyMarker", "NextVersionIdMarker", "NextContinuationToken")
        )
        more = end < self.objects
        return f"<R><IsTruncated>{str(more).lower()}</IsTruncated>{following if more else ''}{items}</R>"


class Handler(BaseHTTPRequestHandler):
    server: Stub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        if target.path.endswith("/configuration"):
            changed = f"{self.server.changed:%Y-%m-%dT%H:%M:%S.000+0000}"
            configuration = {"Environment": {"Variables": BUCKETS}, "Timeout": 900, "LastModified": changed}
            return self._answer(json.dumps(configuration))
        query = parse_qs(target.query)
        starts = query.get("key-marker", query.get("continuation-token", ["0"]))
        self._count("list")
        return self._answer(self.server.listed(target.path.strip("/"), int(starts[0])))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        asks = self.path.endswith("/invocations")
        self._answer(json.dumps({"revision": REVISION, "outcomes": []}) if asks else IDENTITY)

    def do_HEAD(self) -> None:
        self._count("head")
        number = int(self.path[-14:-5])
        modified = FIRST + timedelta(seconds=number + 2)
        self._answer(
            "",
            **{
                "x-amz-meta-source-version": f"v{number}",
                "x-amz-meta-extraction-revision": REVISION,
                "Last-Modified": f"{modified:%a, %d %b %Y %H:%M:%S GMT}",
                "ETag": '"0"',
            },
        )

    def _count(self, what: str) -> None:
        with self.server.lock:
            self.server.asked[what] += 1

    def _answer(self, body: str, **headers: str) -> None:
        self.send_response(200)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def listing_stub(objects: int, changed: datetime) -> Iterator[Stub]:
    """Run a fake whose function was last changed at `changed`."""
    with Stub(objects, changed) as stub:
        threading.Thread(target=stub.serve_forever, daemon=True).start()
        try:
            yield stub
        finally:
            stub.shutdown()
