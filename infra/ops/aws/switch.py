"""What makes a stage publish or not: the concurrency of its function, and the mapping of its queue.

At a reserved concurrency of 0, Lambda sends every new event to the failure queue, without a try
(https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html). Where uploads come by a
queue, its mapping is switched off first: the queue keeps what nobody takes from it, but gives up a message
that was refused some times.
"""

import time
from typing import Any, NamedTuple

import boto3

from infra.ops.aws.place import Place
from infra.ops.errors import OperatorError

SWITCHES_WITHIN = 120  # seconds
LOOK = 1  # second
SETTLED = {"Enabled", "Disabled"}


class SwitchError(OperatorError):
    """A mapping does not change; says which."""


class Position(NamedTuple):
    """Uploads that the function may work on at once (None: as many as the account allows), and its mappings.

    Mappings are those of queues to the function: their state, by id.
    """

    at_once: int | None
    mappings: dict[str, str]

    @property
    def paused(self) -> bool:
        """Whether nothing is published, or nothing but what does not come through the queue."""
        return self.at_once == 0 or not {"Disabled", "Disabling"}.isdisjoint(self.mappings.values())

    @property
    def by_queue(self) -> bool:
        """Whether uploads come through a queue."""
        return bool(self.mappings)


class Switch:
    """The switch of a stage."""

    def __init__(self, place: Place) -> None:
        self._functions: Any = boto3.client("lambda", region_name=place.region)
        self._function = {"FunctionName": place.function}

    def position(self) -> Position:
        """Look how it stands."""
        reserved = self._functions.get_function_concurrency(**self._function)
        return Position(reserved.get("ReservedConcurrentExecutions"), self._mappings())

    def off(self) -> None:
        """Publish nothing from now on; what is being worked on comes to its end."""
        self._set_mappings("Disabled")
        self._functions.put_function_concurrency(**self._function, ReservedConcurrentExecutions=0)

    def on(self, at_once: int | None) -> None:
        """Publish again, so many uploads at once."""
        if at_once is None:
            self._functions.delete_function_concurrency(**self._function)
        else:
            self._functions.put_function_concurrency(**self._function, ReservedConcurrentExecutions=at_once)
        self._set_mappings("Enabled")

    def _mappings(self) -> dict[str, str]:
        pages = self._functions.get_paginator("list_event_source_mappings").paginate(**self._function)
        return {one["UUID"]: one["State"] for page in pages for one in page["EventSourceMappings"]}

    def _set_mappings(self, wanted: str) -> None:
        # Lambda refuses to change a mapping that is changing.
        self._await(SETTLED)
        for mapping, state in self._mappings().items():
            if state != wanted:
                self._functions.update_event_source_mapping(UUID=mapping, Enabled=wanted == "Enabled")
        self._await({wanted})

    def _await(self, states: set[str]) -> None:
        deadline = time.monotonic() + SWITCHES_WITHIN
        while others := {one: state for one, state in self._mappings().items() if state not in states}:
            if time.monotonic() > deadline:
                raise SwitchError(f"After {SWITCHES_WITHIN} seconds, these mappings still are so: {others}.")
            time.sleep(LOOK)
