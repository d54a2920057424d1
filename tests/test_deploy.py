"""What `deploy` does if a service is not ready yet. In the local cloud, it always is."""

import pytest
from botocore.exceptions import ClientError

from infra.ops.aws import notification
from infra.ops.aws.notification import NOT_YET_PERMITTED, retry_until_permitted
from infra.ops.commands import deploy
from infra.ops.stage import Stage
from infra.ops.tools.run import ToolError


class Connection:
    """Raises these errors, one at each call, and then succeeds."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.runs = 0

    def __call__(self) -> None:
        self.runs += 1
        if self._failures:
            raise self._failures.pop(0)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notification, "PAUSES", (0, 0))


def refused(words: str) -> list[Exception]:
    """The errors with which Chalice's command and the client report a refusal of S3."""
    return [ToolError(f"An error occurred: {words}"), ClientError({"Error": {"Message": words}}, "Put")]


def test_connecting_s3_to_a_function_that_it_does_not_know_yet_is_retried() -> None:
    connection = Connection(*refused(NOT_YET_PERMITTED))

    retry_until_permitted(connection)

    assert connection.runs == 3


@pytest.mark.parametrize("failure", refused("AccessDenied"), ids=["Chalice", "client"])
def test_any_other_error_is_not_retried(failure: Exception) -> None:
    connection = Connection(failure)

    with pytest.raises(type(failure), match="AccessDenied"):
        retry_until_permitted(connection)

    assert connection.runs == 1


def test_the_error_of_a_missing_boundary_names_bootstrap() -> None:
    class Foundation:
        def apply(self) -> None:
            raise ToolError("NoSuchEntity: arn:aws:iam::1:policy/ikerian-dev-boundary does not exist")

    with pytest.raises(ToolError, match=r"First run `make bootstrap STAGE=dev`"):
        deploy._apply(Stage("dev"), Foundation())  # type: ignore[arg-type]  # noqa: SLF001 - `deploy` as a whole needs an account
