"""Faults between S3 and its client, and policies that decide when they happen."""

import random
import time
from xml.sax.saxutils import escape

from tests.faulty_s3 import Ending, Fault, Policy, Request, Wire, size_of


class Cut(Fault):
    """The response body ends after `after` bytes: counted from the end if negative, a share if a float."""

    def __init__(self, after: float, ending: Ending = Ending.RESET) -> None:
        self.after = after
        self.ending = ending

    @property
    def kind(self) -> str:
        return f"body {self.ending}"

    def play(self, wire: Wire) -> None:
        with wire.forward() as response:
            size = size_of(response)
            after = int(self.after * size) if isinstance(self.after, float) else self.after
            wire.head(response.status, response.getheaders())
            wire.body(response, max(0, min(size, after if after >= 0 else size + after)))
        wire.end(self.ending)


class Lost(Fault):
    """S3 handles the request, but the response never arrives."""

    def __init__(self, ending: Ending = Ending.RESET) -> None:
        self.ending = ending

    @property
    def kind(self) -> str:
        return f"answer {self.ending}"

    def play(self, wire: Wire) -> None:
        with wire.forward() as response:
            response.read()
        wire.end(self.ending)


class Unsent(Fault):
    """The request never arrives."""

    def __init__(self, ending: Ending = Ending.RESET) -> None:
        self.ending = ending

    @property
    def kind(self) -> str:
        return f"request {self.ending}"

    def play(self, wire: Wire) -> None:
        wire.end(self.ending)


class Refused(Fault):
    """S3 refuses the request, with a message that quotes the key."""

    def __init__(self, status: int, code: str) -> None:
        self.status = status
        self.code = code

    @property
    def kind(self) -> str:
        return f"{self.status} {self.code}"

    def play(self, wire: Wire) -> None:
        wire.respond(self.status, self._xml(wire.exchange.key))

    def _xml(self, key: str) -> bytes:
        words = f"<Code>{self.code}</Code><Message>About {escape(key)}</Message><Key>{escape(key)}</Key>"
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{words}</Error>'.encode()


class Hidden(Refused):
    """S3 responds with status 200 and an error, as it may if it starts to respond before it has finished."""

    def __init__(self, code: str = "InternalError") -> None:
        super().__init__(200, code)


class WrongLength(Fault):
    """Content-Length is `more` bytes larger (or smaller) than the body; then the connection ends."""

    def __init__(self, more: int) -> None:
        self.more = more

    @property
    def kind(self) -> str:
        return "wrong length"

    def play(self, wire: Wire) -> None:
        with wire.forward() as response:
            length = ("Content-Length", str(size_of(response) + self.more))
            rest = [header for header in response.getheaders() if header[0].lower() != "content-length"]
            wire.head(response.status, [*rest, length])
            wire.body(response, size_of(response))
        wire.end(Ending.CLOSED)


class OtherRange(Fault):
    """S3 sends another range than requested: the whole object (None), or `by` bytes later."""

    def __init__(self, by: int | None) -> None:
        self.by = by

    @property
    def kind(self) -> str:
        return "other range"

    def play(self, wire: Wire) -> None:
        requested = wire.exchange.range or "bytes=0-"
        start = int(requested.removeprefix("bytes=").partition("-")[0])
        other = None if self.by is None else f"bytes={start + self.by}-"
        with wire.forward(range=other) as response:
            wire.answer(response)


class Slow(Fault):
    """The response is delayed by some seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def play(self, wire: Wire) -> None:
        time.sleep(self.seconds)
        super().play(wire)


# Responses of S3 if it is overloaded, fails, has waited too long, or the credentials have expired.
REFUSALS = {
    code: Refused(status, code)
    for status, code in (
        (503, "SlowDown"),
        (503, "ServiceUnavailable"),
        (500, "InternalError"),
        (429, "TooManyRequestsException"),
        (400, "RequestTimeout"),
        (400, "ExpiredToken"),
    )
}


def planned(**faults: list[Fault | None]) -> Policy:
    """Inject faults into the requests of each operation, in order. None, and the end, inject none."""
    left = {operation: iter(planned) for operation, planned in faults.items()}
    return lambda request: next(left.get(request.operation, iter(())), None)


def at_random(rate: float, seed: int, *, stalls: float = 0.02) -> Policy:
    """Inject a fault into this share of the requests. The share `stalls` of the faults are stalls.

    All faults are temporary: a client that retries often enough succeeds.
    """
    dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
    temporary = [fault for code, fault in REFUSALS.items() if code != "ExpiredToken"]

    def draw(request: Request) -> Fault | None:
        if dice.random() >= rate:
            return None
        ending = Ending.STALLED if dice.random() < stalls else dice.choice([Ending.RESET, Ending.CLOSED])
        faults: list[Fault] = [Lost(ending), Unsent(ending), Slow(dice.random() / 10), dice.choice(temporary)]
        if request.operation == "get_object":  # mostly in the body, which takes longest
            faults += [Cut(dice.random(), ending), Cut(0, ending), Cut(-1, ending)]
        if request.operation == "complete_multipart_upload":
            faults += [Hidden()]
        return dice.choice(faults)

    return draw
