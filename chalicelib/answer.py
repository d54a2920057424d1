"""The response body of `POST /process`, within the limits of Lambda and API Gateway.

Request and response of a synchronous invocation may have 6 MB each, as JSON. The body of the request is in
base64, that of the response a string: each quote and backslash counts twice. The limits below leave room for
that, and for the rest of the event.
"""

from collections.abc import Iterable, Iterator

import msgspec

MAX_DOCUMENT = 4 * 1024 * 1024  # bytes of the posted document, decompressed
MAX_ANSWER = 5 * 1024 * 1024  # bytes of the response body, as a JSON string


class TooLargeError(Exception):
    """The document or its answer is too large. The message says which, and the limit in bytes."""


def bounded(document: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks of a document; raises TooLargeError after MAX_DOCUMENT bytes."""
    remaining = MAX_DOCUMENT
    for chunk in document:
        remaining -= len(chunk)
        if remaining < 0:
            raise TooLargeError(f"a document may have {MAX_DOCUMENT} bytes, decompressed")
        yield chunk


class Answer:
    """Collects the output of an extraction. Every method raises TooLargeError."""

    def __init__(self) -> None:
        self._processed = bytearray()
        self._rejected = bytearray()

    def write_processed(self, data: bytes) -> None:
        """Append bytes of the array of patients."""
        self._processed += data
        _check(len(self._processed))

    def write_rejected(self, data: bytes) -> None:
        """Append bytes of the lines of rejected records."""
        self._rejected += data
        # The lines contain the records, which `body` leaves out: together at most the size of the document.
        _check(len(self._rejected) - MAX_DOCUMENT)

    def body(self, *, extracted: int, rejected: int) -> str:
        """Return the response body as JSON."""
        rejections = [
            msgspec.Raw(without_record(line)) for line in bytes(self._rejected).split(b"\n") if line
        ]
        answer = {
            "records": msgspec.Raw(self._processed.rstrip()),
            "rejected": rejections,
            "counts": {"extracted": extracted, "rejected": rejected},
        }
        body = msgspec.json.encode(answer).decode()
        _check(len(msgspec.json.encode(body)))
        return body


def without_record(line: bytes) -> bytes:
    """Cut the record off a rejected line. The line is not parsed, because parsers may refuse the record."""
    return line.partition(b',"record')[0] + b"}"


def _check(size: int) -> None:
    if size > MAX_ANSWER:
        raise TooLargeError(f"an answer may have {MAX_ANSWER} bytes: post the document in parts")
