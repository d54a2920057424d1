"""The benchmarks leave the checkout as it is, unless they are told to draw."""

import sys
from unittest.mock import Mock

import pytest

from tests.benchmarks import benchmark, whole
from tests.benchmarks.picture import Bar

ALWAYS = whole.Run(1, 1, 1, 1)


@pytest.fixture(autouse=True)
def without_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "compare", lambda *_: [Bar("ours", 1, 1)])
    for part in ("shapes", "kinds", "bounds", "limits"):
        monkeypatch.setattr(benchmark, part, Mock())
    monkeypatch.setattr(
        whole, "measure", lambda tasks, _: {(name, one): ALWAYS for name in tasks for one in whole.FUNCTIONS}
    )


@pytest.mark.parametrize("module", [benchmark, whole], ids=["extraction", "whole"])
@pytest.mark.parametrize("options", [[], ["--picture"]], ids=["by default", "on request"])
def test_a_benchmark_changes_its_picture_only_on_request(
    monkeypatch: pytest.MonkeyPatch, module: Mock, options: list[str]
) -> None:
    monkeypatch.setattr(module, "PICTURE", file := Mock())
    monkeypatch.setattr(sys, "argv", ["benchmark", *options])

    module.main()

    assert file.write_text.called == bool(options)
