"""`forget` among the handlers of a key: its steps, in its order, between all of theirs.

Buckets are what they are in tests/chaos/schedules.py, so the processed one has no versions here. That several
are removed, by their ids, tests/test_forget.py tries in a real bucket.
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
    """What `forget` does, in this order."""

    HIDDEN = "forget puts a delete marker on the raw object"
    PURGED = "forget removes the raw versions"
    PROCESSED_SWEPT = "forget removes what was published of them"
    REJECTED_SWEPT = "forget removes what was rejected of them"
    PROCESSED_SWEPT_AGAIN = "forget removes once more what was published of them"
    REJECTED_SWEPT_AGAIN = "forget removes once more what was rejected of them"
    REVEALED = "forget removes its marker"


WAITS_BEFORE = {Step.PROCESSED_SWEPT_AGAIN, Step.REJECTED_SWEPT_AGAIN}

type Forgotten = tuple[Document | Happening | Step, ...]
"""What happens to a key: uploads and deletions, and the steps of `forget`."""


class Forgetting(Exploration):
    """All schedules in which a key is forgotten; what is uploaded after the first step is another upload."""

    def __init__(self, story: Forgotten, *, duplicates: int = 0, faults: int = 0) -> None:
        super().__init__(cast("Story", story), duplicates=duplicates, faults=faults)
        self._steps_told = story
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
            next(steps)  # the one of the story
        yield from steps

    def _has_to_wait(self, world: World) -> bool:
        """Whether a handler that had opened what is to be forgotten may still be running."""
        reads = (one for handler in world.handlers for one in handler.answers if isinstance(one, Read))
        opened = {int(read.stored.version) for read in reads if read.stored.version != "null"}
        return self._steps_told[world.happened] in WAITS_BEFORE and bool(opened - self._kept)

    def _next_of_the_story(self, world: World) -> tuple[str, World]:
        what = self._steps_told[world.happened]
        if not isinstance(what, Step):
            return super()._next_of_the_story(world)
        after = world._replace(happened=world.happened + 1)
        if what in {Step.PROCESSED_SWEPT, Step.PROCESSED_SWEPT_AGAIN}:
            after = after._replace(processed=self._of_kept(world))
        if what in {Step.REJECTED_SWEPT, Step.REJECTED_SWEPT_AGAIN}:
            after = after._replace(rejected=frozenset(one for one in world.rejected if self._is_kept(one)))
        if what is Step.REVEALED:  # an event, and by now no upload is young
            aged = sorted((one._replace(young=False) for one in world.handlers), key=hash)
            after = self._continued(after._replace(handlers=tuple(aged)), Handler(young=False))
        return what.value, after

    def _of_kept(self, world: World) -> Any:
        return world.processed if world.processed and world.processed.made_from in self._kept else None

    def _is_kept(self, report: tuple[str, bytes]) -> bool:
        return int(report[0].rpartition("/")[2].partition(".")[0]) in self._kept

    def _event(self, world: World) -> World:
        """Have an event come: young until `forget` is done, which takes as long as that."""
        young = Step.REVEALED not in self._steps_told[: world.happened]
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
    """Forget what has happened before; then again with another upload after each step."""
    yield (*before, *Step)
    for at in range(1, len(Step) + 1):
        yield (*before, *list(Step)[:at], again, *list(Step)[at:])
