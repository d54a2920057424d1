"""What `deploy` does about a service that is not ready, where the local cloud always is."""

import pytest
from botocore.exceptions import ClientError

from infra.ops.aws import notification
from infra.ops.aws.notification import NOT_YET_PERMITTED, retry_until_permitted
from infra.ops.commands import deploy
from infra.ops.stage import Stage
from infra.ops.tools.run import ToolError


class Connection:
    """Something that fails in these ways, one after the other, and then works."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.runs = 0

    def __call__(self) -> None:
        self.runs += 1
        if self._failures:
            raise self._failures.pop(0)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notification, "PAUSES", (0, 0))


def refused(words: str) -> list[Exception]:
    """How Chalice's command and the client say that S3 has refused."""
    return [ToolError(f"An error occurred: {words}"), ClientError({"Error": {"Message": words}}, "Put")]


def test_a_function_that_s3_does_not_know_yet_is_connected_again() -> None:
    connection = Connection(*refused(NOT_YET_PERMITTED))

    retry_until_permitted(connection)

    assert connection.runs == 3


@pytest.mark.parametrize("failure", refused("AccessDenied"), ids=["Chalice", "client"])
def test_another_failure_is_told_at_once(failure: Exception) -> None:
    connection = Connection(failure)

    with pytest.raises(type(failure), match="AccessDenied"):
        retry_until_permitted(connection)

    assert connection.runs == 1


def test_a_stage_without_its_boundary_is_told_to_bootstrap() -> None:
    class Foundation:
        def apply(self) -> None:
            raise ToolError("NoSuchEntity: arn:aws:iam::1:policy/ikerian-dev-boundary does not exist")

    with pytest.raises(ToolError, match=r"First `make bootstrap STAGE=dev`"):
        deploy._within_its_boundary(Stage("dev"), Foundation())  # type: ignore[arg-type]  # noqa: SLF001 - all of `deploy` would want an account
