"""What the operator sees: the same on a terminal as in a pipe."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from infra.ops.screen.progress import bar, console, speak_json, steps, tell_json


def move_a_bar() -> None:
    with bar("Looking", 2) as advance:
        advance(1, 2)
        tell_json(found=1)


def take_a_step() -> None:
    with steps() as step:
        step("Looking")
        tell_json(found=1)


@pytest.mark.parametrize("show", [move_a_bar, take_a_step])
def test_lines_of_json_that_are_told_beside_a_bar_reach_a_terminal_too(
    show: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[Any]
) -> None:
    monkeypatch.setattr(console, "quiet", False)
    monkeypatch.setattr(console, "_force_terminal", True)
    speak_json()

    show()

    first, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["step"] == "Looking"
    assert last == {"found": 1}
