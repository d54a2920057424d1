"""What `POST /process` answers, within what Lambda and API Gateway can carry.

A synchronous invocation carries 6 MB each way, as JSON: the body is a string inside it, so every quote and
backslash counts twice. The limits below leave room for that and for the rest of the event.
"""

from collections.abc import Iterable, Iterator

import msgspec

MAX_DOCUMENT = 4 * 1024 * 1024  # bytes of the posted document, decompressed
MAX_ANSWER = 5 * 1024 * 1024  # bytes of the answer, as the string that Lambda returns


class TooLargeError(Exception):
    """The document or its answer is over the limit; says which, and the limit in bytes."""


def bounded(document: Iterable[bytes]) -> Iterator[bytes]:
    """Pass a document on, up to MAX_DOCUMENT; raises TooLargeError there."""
    room = MAX_DOCUMENT
    for chunk in document:
        room -= len(chunk)
        if room < 0:
            raise TooLargeError(f"a document may have {MAX_DOCUMENT} bytes, decompressed")
        yield chunk


class Answer:
    """Collects what an extraction writes; every method raises TooLargeError."""

    def __init__(self) -> None:
        self._processed = bytearray()
        self._rejected = bytearray()

    def write_processed(self, data: bytes) -> None:
        """Add bytes of the array of patients."""
        self._processed += data
        _check(len(self._processed))

    def write_rejected(self, data: bytes) -> None:
        """Add bytes of the lines of rejected records."""
        self._rejected += data
        # Each line carries its record: not more, in all, than the document.
        _check(len(self._rejected) - MAX_DOCUMENT)

    def body(self, *, extracted: int, rejected: int) -> str:
        """Write the whole answer as JSON."""
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
    """Leave out the record of a rejected line: cut, for it may be one that a parser refuses."""
    return line.partition(b',"record')[0] + b"}"


def _check(size: int) -> None:
    if size > MAX_ANSWER:
        raise TooLargeError(f"an answer may have {MAX_ANSWER} bytes: post the document in parts")
