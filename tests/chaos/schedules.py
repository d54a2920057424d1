"""Model checking: try every order in which the handlers of one key can send their requests.

A world is the state of everything: the events that happened to the raw object, the objects in the other
buckets, and the state of each handler (tests/chaos/model_s3.py). It is an immutable value. An exploration
visits each reachable world once, even if many schedules lead to it.

python -m tests.chaos.schedules explores larger bounds, which takes some minutes.
"""

import itertools
import sys
import time
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple, cast
from unittest.mock import patch

from chalicelib import telemetry, upload
from tests.chaos.model_s3 import (
    KEY,
    SETTINGS,
    Answer,
    Ended,
    Handler,
    Read,
    Request,
    Stored,
    Window,
    Written,
    absent,
    answer,
    md5,
    next_request,
)

PART_SIZE = 200  # so that LARGE is uploaded in parts, and the others are not


class Document(NamedTuple):
    """A document, and its expected processed (None for none) and rejected objects."""

    name: str
    raw: bytes
    published: bytes | None
    rejected: bytes = b""


def scan(name: str, patient: str, more: str = "", rejected: bytes = b"") -> Document:
    record = f'{{"patient_id":"1","patient_name":"{patient}"}}'
    return Document(name, f"[{record}{more}]".encode(), f"[\n{record}\n]\n".encode(), rejected)


A, B, LARGE = scan("A", "A"), scan("B", "B"), scan("large", "L" * PART_SIZE)
# Its published object equals that of A.
DIRTY = scan("dirty", "A", ",1", b'{"index":1,"reason":"record: not an object","record":1}\n')
REFUSED = Document("refused", b"[1]", None, b'{"index":0,"reason":"record: not an object","record":1}\n')
MALFORMED = Document("malformed", b"[", None, b'{"reason":"truncated","offset":1}\n')


class Happening(Enum):
    """What can happen to a key besides an upload."""

    DELETED = "a delete marker is put on the raw object"
    REMOVED = "the newest raw version, or the delete marker above it, is removed for good"
    ERASED = "the processed object is deleted"


DELETED, REMOVED, ERASED = Happening
ANYTHING = (A, B, DIRTY, LARGE, REFUSED, MALFORMED, *Happening)

type Story = tuple[Document | Happening, ...]
"""The uploads and happenings of a key, in order."""

MARKER = 0
type Versions = tuple[int, ...]
"""The versions in the raw bucket, oldest first: their numbers, or MARKER."""


class World(NamedTuple):
    """The state after a part of a schedule, and the duplicates and faults that may still happen."""

    happened: int  # number of the events of the story so far
    processed: Stored | None
    rejected: frozenset[tuple[str, bytes]]
    handlers: tuple[Handler, ...]
    duplicates: int  # events that may still be delivered again
    faults: int


class WrongError(Exception):
    """A schedule that leads to a wrong world, and what is wrong."""


class Exploration:
    """Explores all schedules of a story."""

    def __init__(self, story: Story, *, duplicates: int = 0, faults: int = 0) -> None:
        self._story = story
        self._versions = {n: one for n, one in enumerate(story, 1) if isinstance(one, Document)}
        nothing: Versions = ()
        self._stacks = list(itertools.accumulate(enumerate(story, 1), stacked, initial=nothing))
        contents = [document.published for document in self._versions.values()]
        self._only_forward = len(set(contents)) == len(contents) and REMOVED not in story
        self._start = World(0, None, frozenset(), (), duplicates, faults)
        self._known: dict[World, int] = {}

    @property
    def worlds(self) -> int:
        """The number of different worlds that were visited."""
        return len(self._known)

    def run(self) -> int:
        """Try every schedule; returns their number, or raises WrongError."""
        next_request.cache_clear()
        with patch.object(telemetry, "emit"), patch.object(upload, "PART_SIZE", PART_SIZE):
            return self._follow(self._start, ())

    def _follow(self, world: World, schedule: tuple[str, ...]) -> int:
        if world not in self._known:
            steps = list(self._steps(world))
            if wrong := self._wrong(world, [after for _, after in steps]):
                raise WrongError("\n".join((*schedule, wrong)))
            self._known[world] = sum(self._follow(after, (*schedule, step)) for step, after in steps) or 1
        return self._known[world]

    def _steps(self, world: World) -> Iterator[tuple[str, World]]:
        if world.happened < len(self._story):
            yield self._next_of_the_story(world)
        if world.duplicates and world.happened:
            yield "an event comes again", self._event(world._replace(duplicates=world.duplicates - 1))
        for handler in dict.fromkeys(world.handlers):
            yield from self._steps_of(handler, world)

    def _next_of_the_story(self, world: World) -> tuple[str, World]:
        what, after = self._story[world.happened], world._replace(happened=world.happened + 1)
        if ERASED in self._story[after.happened :] and what is not ERASED:
            after = changed(after)
        if isinstance(what, Document):
            return f"version {after.happened} uploaded: {what.name}", self._event(after)
        if what is REMOVED:
            return what.value, self._continued(after, Handler(young=False))
        return what.value, erased(after) if what is ERASED else after

    def _event(self, world: World) -> World:
        """Deliver the event of an upload. It is young while there is a raw object."""
        return self._continued(world, Handler(young=self._raw(world) is not None))

    def _continued(self, world: World, handler: Handler) -> World:
        """Add a handler to the world, unless it has ended. Handlers are sorted: their order is irrelevant."""
        request = next_request(handler)
        if request is Ended.WELL:
            return world
        if request is Ended.FAILED:
            return self._event(world)
        start = Handler(handler.young, predicts_new=False)
        if handler.predicts_new is not None and request == next_request(start):
            handler = start  # a new attempt does not depend on the one before
        elif not has_read(handler):
            handler = handler._replace(window=Window.NOTHING)
        return world._replace(handlers=tuple(sorted((*world.handlers, handler), key=hash)))

    def _steps_of(self, handler: Handler, world: World) -> Iterator[tuple[str, World]]:
        others = list(world.handlers)
        others.remove(handler)
        world = world._replace(handlers=tuple(others))
        # The prediction depends on what the process has handled before.
        for predicts_new in (False, True) if handler.predicts_new is None else (handler.predicts_new,):
            yield from self._request_steps(handler._replace(predicts_new=predicts_new), world)

    def _request_steps(self, handler: Handler, world: World) -> Iterator[tuple[str, World]]:
        request = cast("Request", next_request(handler))
        answered, after = self._answered(request, world)
        step = f"{request.operation} in {request.bucket} {dict(request.conditions)}: {answered}"
        for one in timed(request, answered, handler):
            yield step, self._respond(after, handler, one)
        if world.faults:
            world, after = (each._replace(faults=world.faults - 1) for each in (world, after))
            # Lambda retries the event of a killed handler.
            yield f"killed before {step}", self._event(world)
            yield f"killed after {step}", self._event(after)
            again, twice = self._answered(request, after)
            yield (
                f"{step}; the response is lost, so the request is sent again: {again}",
                self._respond(twice, handler, again),
            )
            if isinstance(answered, Read):
                yield from self._read_faults(request, answered, handler, after)

    def _read_faults(
        self, request: Request, read: Read, handler: Handler, world: World
    ) -> Iterator[tuple[str, World]]:
        if request.operation == "get_object":
            yield "and the connection is lost", self._respond(world, handler, read._replace(breaks=True))
        if request.bucket == SETTINGS.raw_bucket and handler.young:
            yield "not visible yet", self._respond(world, handler, absent(request))

    def _respond(self, world: World, handler: Handler, answered: Answer) -> World:
        return self._continued(world, handler._replace(answers=(*handler.answers, answered)))

    def _answered(self, request: Request, world: World) -> tuple[Answer, World]:
        if request.bucket == SETTINGS.rejected_bucket:
            written = (request.key, cast("Stored", request.writes).body)
            return Written(), world._replace(rejected=world.rejected | {written})
        if request.bucket == SETTINGS.processed_bucket:
            answered, processed = answer(request, world.processed)
            return answered, world._replace(processed=processed)
        stack = self._stacks[world.happened]
        if stack and stack[-1] == MARKER:
            return absent(request, deleted=True), world
        return answer(request, self._raw(world))[0], world

    def _raw(self, world: World) -> Stored | None:
        number = self._current(world)
        document = self._versions.get(number)
        return document and Stored(document.raw, md5(document.raw), str(number))

    def _current(self, world: World) -> int:
        """Return the number of the current version; MARKER if there is none."""
        stack = self._stacks[world.happened]
        return stack[-1] if stack else MARKER

    def _wrong(self, world: World, following: Iterable[World]) -> str | None:
        """Return what is wrong in a world; None if nothing is."""
        processed = world.processed
        if processed and processed.body != self._versions[processed.made_from].published:
            return "the processed object is not the expected one of its version"
        if any(self._versions[number].rejected != body for number, body in reports(world)):
            return "the rejected object is not the expected one of its version"
        if any(self._versions[number] is not REFUSED for number in refusals(world)):
            return "a document is reported as refused that is not refused"
        if self._only_forward and any(goes_back(world, after) for after in following):
            return "and then the same or an older version is published over a newer one"
        return None if following else self._wrong_in_the_end(world)

    def _wrong_in_the_end(self, world: World) -> str | None:
        current = self._current(world)
        newest = self._versions.get(current)
        if newest and newest.rejected and (current, newest.rejected) not in reports(world):
            return "the rejected object of the newest version is missing"
        if newest is REFUSED and current not in refusals(world):
            return "the newest version is not reported as refused"
        if newest and newest.published and not self._is_published(current, world.processed):
            return f"the newest version is not published in the end, but {world.processed}"
        return None

    def _is_published(self, number: int, processed: Stored | None) -> bool:
        # A processed object that somebody deleted may stay absent, or be published again.
        return processed.made_from == number if processed else ERASED in self._story


def timed(request: Request, answered: Answer, handler: Handler) -> list[Answer]:
    """Return the response in its possible timing; the fast one if both are possible."""
    return either(request, answered, handler)[:1]


def either(request: Request, answered: Answer, handler: Handler) -> list[Answer]:
    """Return the response in each timing that a handler can notice: fast or late."""
    if not isinstance(answered, Written) or ("IfNoneMatch", "*") not in request.conditions:
        return [answered]
    late: Answer = Written(late=True)
    return [late] if handler.window is Window.ERASED else [answered, late]


def has_read(handler: Handler) -> bool:
    """Tell whether a handler has read the raw object and has not published it yet."""
    request = cast("Request", next_request(handler))
    return request.writes is not None or "Range" in dict(request.conditions)


def changed(world: World) -> World:
    """Record for handlers that have read the raw object that it has changed since."""
    return _record_window(world, Window.NOTHING, Window.CHANGED)


def erased(world: World) -> World:
    """Delete the processed object, as late after a change of the raw object as the pipeline assumes."""
    return _record_window(world._replace(processed=None), Window.CHANGED, Window.ERASED)


def _record_window(world: World, before: Window, after: Window) -> World:
    handlers = (
        handler._replace(window=after) if handler.window is before and has_read(handler) else handler
        for handler in world.handlers
    )
    return world._replace(handlers=tuple(sorted(handlers, key=hash)))


def reports(world: World) -> list[tuple[int, bytes]]:
    """List the rejected objects with the number of their version."""
    return [(number, body) for number, kind, body in rejected_objects(world) if kind == "jsonl"]


def refusals(world: World) -> list[int]:
    """Return the numbers of the versions that are reported as refused."""
    return [number for number, kind, _ in rejected_objects(world) if kind == "refused.json"]


def rejected_objects(world: World) -> Iterator[tuple[int, str, bytes]]:
    """Yield number of the version, kind and content of each object in the rejected bucket."""
    for key, body in world.rejected:
        number, _, kind = key.removeprefix(f"{KEY}/").partition(".")
        yield int(number), kind, body


def goes_back(world: World, after: World) -> bool:
    """Tell whether a step publishes the same or an older version over the processed object."""
    written = after.processed is not world.processed
    return bool(
        written
        and world.processed
        and after.processed
        and after.processed.made_from <= world.processed.made_from
    )


def stacked(versions: Versions, event: tuple[int, Document | Happening]) -> Versions:
    """Return the versions in the raw bucket after this event."""
    number, what = event
    if what is REMOVED:
        return versions[:-1]
    if what is ERASED:
        return versions
    return (*versions, MARKER if what is DELETED else number)


def stories(length: int, alphabet: Story) -> list[Story]:
    """List every story of this length that begins with an upload. A and B are equivalent: A comes first."""
    all_stories = itertools.product(alphabet, repeat=length)
    begun = (story for story in all_stories if isinstance(story[0], Document))
    return [story for story in begun if B not in story or A in story[: story.index(B)]]


def explore(length: int, alphabet: Story, *, duplicates: int, faults: int) -> str:
    """Explore every story of this length; returns a summary."""
    begun, worlds, schedules = time.monotonic(), 0, 0
    explored = stories(length, alphabet)
    for story in explored:
        exploration = Exploration(story, duplicates=duplicates, faults=faults)
        schedules += exploration.run()
        worlds += exploration.worlds
    seconds = time.monotonic() - begun
    return f"{len(explored)} stories, {worlds:,} worlds, {schedules:.1e} schedules, {seconds:.0f} s"


def main() -> None:
    for length, alphabet, duplicates, faults in (
        (2, ANYTHING, 2, 2),
        (3, ANYTHING, 1, 1),
        (4, (A, B, *Happening), 0, 0),
        (4, ANYTHING, 0, 0),
        (4, (A, B), 0, 1),
        (4, (A, B), 1, 0),
    ):
        found = explore(length, alphabet, duplicates=duplicates, faults=faults)
        sys.stdout.write(f"{length} versions, {duplicates} duplicates, {faults} faults: {found}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
