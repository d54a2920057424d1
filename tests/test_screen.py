"""Output for the operator is the same on a terminal as in a pipe."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from infra.ops.screen.numbers import counted
from infra.ops.screen.progress import bar, console, print_json, steps, use_json


def move_a_bar() -> None:
    with bar("Looking", 2) as advance:
        advance(1, 2)
        print_json(found=1)


def take_a_step() -> None:
    with steps() as step:
        step("Looking")
        print_json(found=1)


@pytest.mark.parametrize("show", [move_a_bar, take_a_step])
def test_lines_of_json_beside_a_progress_bar_reach_a_terminal_too(
    show: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[Any]
) -> None:
    monkeypatch.setattr(console, "quiet", False)
    monkeypatch.setattr(console, "_force_terminal", True)
    use_json()

    show()

    first, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["step"] == "Looking"
    assert last == {"found": 1}


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 records"), (1, "1 record"), (2, "2 records"), (1203, "1,203 records")]
)
def test_one_takes_the_singular(number: int, text: str) -> None:
    assert counted(number, "record") == text
