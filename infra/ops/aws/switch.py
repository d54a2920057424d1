"""Pauses a stage by the concurrency of its function and the event source mapping of its upload queue.

With a reserved concurrency of 0, Lambda sends every new event to the failure queue without an attempt
(https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html). A mapping is disabled
first. Otherwise its messages would be received and throttled, and SQS would give them up after some receives.
"""

import time
from typing import Any, NamedTuple

import boto3

from infra.ops.aws.place import Place
from infra.ops.errors import OperatorError

SWITCHES_WITHIN = 120  # seconds
POLL_SECONDS = 1
SETTLED = {"Enabled", "Disabled"}


class SwitchError(OperatorError):
    """A mapping does not change its state; names it."""


class Position(NamedTuple):
    """Reserved concurrency (None: the account's limit), and the states of the function's mappings, by id."""

    at_once: int | None
    mappings: dict[str, str]

    @property
    def paused(self) -> bool:
        """Whether the function, or its upload queue, is switched off."""
        return self.at_once == 0 or not {"Disabled", "Disabling"}.isdisjoint(self.mappings.values())

    @property
    def by_queue(self) -> bool:
        """Whether uploads come by an upload queue."""
        return bool(self.mappings)


class Switch:
    """Switches a stage off and on."""

    def __init__(self, place: Place) -> None:
        self._functions: Any = boto3.client("lambda", region_name=place.region)
        self._function = {"FunctionName": place.function}

    def position(self) -> Position:
        """Read the current position."""
        reserved = self._functions.get_function_concurrency(**self._function)
        return Position(reserved.get("ReservedConcurrentExecutions"), self._mappings())

    def off(self) -> None:
        """Stop publishing. Running invocations finish."""
        self._set_mappings("Disabled")
        self._functions.put_function_concurrency(**self._function, ReservedConcurrentExecutions=0)

    def on(self, at_once: int | None) -> None:
        """Publish again, with this reserved concurrency."""
        if at_once is None:
            self._functions.delete_function_concurrency(**self._function)
        else:
            self._functions.put_function_concurrency(**self._function, ReservedConcurrentExecutions=at_once)
        self._set_mappings("Enabled")

    def _mappings(self) -> dict[str, str]:
        pages = self._functions.get_paginator("list_event_source_mappings").paginate(**self._function)
        return {one["UUID"]: one["State"] for page in pages for one in page["EventSourceMappings"]}

    def _set_mappings(self, wanted: str) -> None:
        # Lambda refuses to update a mapping that is still changing.
        self._await(SETTLED)
        for mapping, state in self._mappings().items():
            if state != wanted:
                self._functions.update_event_source_mapping(UUID=mapping, Enabled=wanted == "Enabled")
        self._await({wanted})

    def _await(self, states: set[str]) -> None:
        deadline = time.monotonic() + SWITCHES_WITHIN
        while others := {one: state for one, state in self._mappings().items() if state not in states}:
            if time.monotonic() > deadline:
                raise SwitchError(
                    f"After {SWITCHES_WITHIN} seconds, these mappings have not changed: {others}."
                )
            time.sleep(POLL_SECONDS)
