"""What `deploy` does about a service that is not ready, where the local cloud always is."""

import pytest

from infra.ops.commands import deploy
from infra.ops.stage import Stage
from infra.ops.tools.run import ToolError


class Chalice:
    """Chalice's command, which fails with these words, one after the other, and then works."""

    def __init__(self, *failures: str) -> None:
        self._failures = list(failures)
        self.runs = 0

    def __call__(self, _stage: Stage, _verb: str) -> None:
        self.runs += 1
        if self._failures:
            raise ToolError(self._failures.pop(0))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy, "PAUSES", (0, 0))


def test_a_function_that_s3_does_not_know_yet_is_deployed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    chalice = Chalice(*[f"An error occurred: {deploy.UNKNOWN_YET}"] * 2)
    monkeypatch.setattr(deploy, "chalice", chalice)

    deploy._deploy_functions(Stage("dev"))  # noqa: SLF001 - all of `deploy` would want an account

    assert chalice.runs == 3


def test_another_failure_of_chalice_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    chalice = Chalice("An error occurred: AccessDenied")
    monkeypatch.setattr(deploy, "chalice", chalice)

    with pytest.raises(ToolError, match="AccessDenied"):
        deploy._deploy_functions(Stage("dev"))  # noqa: SLF001 - likewise

    assert chalice.runs == 1


def test_a_stage_without_its_boundary_is_told_to_bootstrap() -> None:
    class Foundation:
        def apply(self) -> None:
            raise ToolError("NoSuchEntity: arn:aws:iam::1:policy/ikerian-dev-boundary does not exist")

    with pytest.raises(ToolError, match=r"First `make bootstrap STAGE=dev`"):
        deploy._within_its_boundary(Stage("dev"), Foundation())  # type: ignore[arg-type]  # noqa: SLF001 - likewise
