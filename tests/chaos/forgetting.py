"""Model checking of `forget`: its steps, interleaved with the requests of the handlers of the key.

The buckets are those of tests/chaos/schedules.py, so the processed bucket has no versions here.
tests/test_forget.py tests in a real bucket that several versions are removed.
"""

import itertools
from collections.abc import Iterator
from enum import Enum
from typing import Any, cast

from tests.chaos.model_s3 import Ended, Handler, Read, next_request
from tests.chaos.schedules import (
    MARKER,
    Document,
    Exploration,
    Happening,
    Story,
    Versions,
    World,
    WrongError,
    stacked,
)


class Step(Enum):
    """The steps of `forget`, in order."""

    HIDDEN = "forget puts a delete marker on the raw object"
    PURGED = "forget removes the raw versions"
    PROCESSED_SWEPT = "forget removes their processed object"
    REJECTED_SWEPT = "forget removes their rejected objects"
    PROCESSED_SWEPT_AGAIN = "forget removes their processed object again"
    REJECTED_SWEPT_AGAIN = "forget removes their rejected objects again"
    REVEALED = "forget removes its marker"


WAITS_BEFORE = {Step.PROCESSED_SWEPT_AGAIN, Step.REJECTED_SWEPT_AGAIN}

type Forgotten = tuple[Document | Happening | Step, ...]
"""The uploads, happenings and steps of `forget` of a key, in order."""


class Forgetting(Exploration):
    """Explores all schedules in which a key is forgotten. Uploads after the first step must be kept."""

    def __init__(self, story: Forgotten, *, duplicates: int = 0, faults: int = 0) -> None:
        super().__init__(cast("Story", story), duplicates=duplicates, faults=faults)
        self._steps_of_story = story
        begins = next(at for at, what in enumerate(story, 1) if isinstance(what, Step))
        self._kept = {number for number in self._versions if number > begins}
        self._faulty = faults > 0
        numbered: Any = enumerate(story, 1)
        nothing: Versions = ()
        self._stacks = list(itertools.accumulate(numbered, self._forgotten, initial=nothing))

    def _forgotten(self, stack: Versions, event: tuple[int, Any]) -> Versions:
        number, what = event
        if what is Step.HIDDEN:
            return (*stack, MARKER)
        if what is Step.PURGED:
            return tuple(one for one in stack if one == MARKER or one in self._kept)
        if what is Step.REVEALED:
            return tuple(one for one in stack if one != MARKER)
        return stack if isinstance(what, Step) else stacked(stack, (number, what))

    def _steps(self, world: World) -> Iterator[tuple[str, World]]:
        steps = super()._steps(world)
        if world.happened < len(self._story) and self._has_to_wait(world):
            next(steps)  # skip the step of the story
        yield from steps

    def _has_to_wait(self, world: World) -> bool:
        """Tell whether a handler that opened a forgotten version may still be running."""
        reads = (one for handler in world.handlers for one in handler.answers if isinstance(one, Read))
        opened = {int(read.stored.version) for read in reads if read.stored.version != "null"}
        return self._steps_of_story[world.happened] in WAITS_BEFORE and bool(opened - self._kept)

    def _next_of_the_story(self, world: World) -> tuple[str, World]:
        what = self._steps_of_story[world.happened]
        if not isinstance(what, Step):
            return super()._next_of_the_story(world)
        after = world._replace(happened=world.happened + 1)
        if what in {Step.PROCESSED_SWEPT, Step.PROCESSED_SWEPT_AGAIN}:
            after = after._replace(processed=self._of_kept(world))
        if what in {Step.REJECTED_SWEPT, Step.REJECTED_SWEPT_AGAIN}:
            after = after._replace(rejected=frozenset(one for one in world.rejected if self._is_kept(one)))
        if what is Step.REVEALED:  # sends an event; no upload is young any more
            aged = sorted((one._replace(young=False) for one in world.handlers), key=hash)
            after = self._continued(after._replace(handlers=tuple(aged)), Handler(young=False))
        return what.value, after

    def _of_kept(self, world: World) -> Any:
        return world.processed if world.processed and world.processed.made_from in self._kept else None

    def _is_kept(self, report: tuple[str, bytes]) -> bool:
        return int(report[0].rpartition("/")[2].partition(".")[0]) in self._kept

    def _event(self, world: World) -> World:
        """Deliver an event. It is young until `forget` is done, because `forget` waits for as long."""
        young = Step.REVEALED not in self._steps_of_story[: world.happened]
        return self._continued(world, Handler(young=young))

    def _continued(self, world: World, handler: Handler) -> World:
        if not self._faulty and next_request(handler) is Ended.FAILED:
            raise WrongError("an event fails, and so its key comes into the failure queue")
        return super()._continued(world, handler)

    def _wrong_in_the_end(self, world: World) -> str | None:
        left = {number for number in self._stacks[world.happened] if number not in self._kept}
        if left or self._of_kept(world) != world.processed or not all(map(self._is_kept, world.rejected)):
            return f"something stands in the end of what was forgotten: {world}"
        return super()._wrong_in_the_end(world)


def stories(before: Story, again: Document) -> Iterator[Forgotten]:
    """Yield the story with `forget` after `before`; then with another upload after each of its steps."""
    yield (*before, *Step)
    for at in range(1, len(Step) + 1):
        yield (*before, *list(Step)[:at], again, *list(Step)[at:])
