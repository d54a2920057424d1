"""What can go wrong between S3 and its client, and policies that say when it does."""

import random
import time
from xml.sax.saxutils import escape

from tests.faulty_s3 import Ending, Fault, Policy, Request, Wire, size_of


class Cut(Fault):
    """The answer's body ends after `after` bytes: from its end if negative, a share of it if a float."""

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
    """S3 does what it was asked; its answer never arrives."""

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
    """S3 refuses, in its own words, which quote the key."""

    def __init__(self, status: int, code: str) -> None:
        self.status = status
        self.code = code

    @property
    def kind(self) -> str:
        return f"{self.status} {self.code}"

    def play(self, wire: Wire) -> None:
        wire.say(self.status, self._xml(wire.exchange.key))

    def _xml(self, key: str) -> bytes:
        words = f"<Code>{self.code}</Code><Message>About {escape(key)}</Message><Key>{escape(key)}</Key>"
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{words}</Error>'.encode()


class Hidden(Refused):
    """S3 says 200 and means an error, as it may when it has to answer before it is done."""

    def __init__(self, code: str = "InternalError") -> None:
        super().__init__(200, code)


class Lied(Fault):
    """Content-Length promises so many bytes more, or less, than the body has; then the connection ends."""

    def __init__(self, more: int) -> None:
        self.more = more

    @property
    def kind(self) -> str:
        return "lying length"

    def play(self, wire: Wire) -> None:
        with wire.forward() as response:
            promised = ("Content-Length", str(size_of(response) + self.more))
            rest = [header for header in response.getheaders() if header[0].lower() != "content-length"]
            wire.head(response.status, [*rest, promised])
            wire.body(response, size_of(response))
        wire.end(Ending.CLOSED)


class OtherRange(Fault):
    """S3 answers with another range than the one asked for: a whole object (None), or `by` bytes further."""

    def __init__(self, by: int | None) -> None:
        self.by = by

    @property
    def kind(self) -> str:
        return "other range"

    def play(self, wire: Wire) -> None:
        asked = wire.exchange.range or "bytes=0-"
        start = int(asked.removeprefix("bytes=").partition("-")[0])
        other = None if self.by is None else f"bytes={start + self.by}-"
        with wire.forward(range=other) as response:
            wire.answer(response)


class Slow(Fault):
    """The answer comes, after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def play(self, wire: Wire) -> None:
        time.sleep(self.seconds)
        super().play(wire)


# What S3 says when it is overloaded, fails, has waited too long, or no longer knows the caller.
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
    """Inject the faults of each operation into its requests, in order; None lets one pass, as at the end."""
    left = {operation: iter(planned) for operation, planned in faults.items()}
    return lambda request: next(left.get(request.operation, iter(())), None)


def at_random(rate: float, seed: int, *, stalls: float = 0.02) -> Policy:
    """Inject into this share of the requests a fault that can befall them, a share of those being stalls.

    All are of a kind that passes: whoever tries long enough gets through.
    """
    dice = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    passing = [fault for code, fault in REFUSALS.items() if code != "ExpiredToken"]

    def draw(request: Request) -> Fault | None:
        if dice.random() >= rate:
            return None
        ending = Ending.STALLED if dice.random() < stalls else dice.choice([Ending.RESET, Ending.CLOSED])
        faults: list[Fault] = [Lost(ending), Unsent(ending), Slow(dice.random() / 10), dice.choice(passing)]
        if request.operation == "get_object":  # mostly on the way, as it takes longest
            faults += [Cut(dice.random(), ending), Cut(0, ending), Cut(-1, ending)]
        if request.operation == "complete_multipart_upload":
            faults += [Hidden()]
        return dice.choice(faults)

    return draw
