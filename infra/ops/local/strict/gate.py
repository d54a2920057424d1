"""Decorators that install a rule between MiniStack's entrance, which knows the caller, and its services."""

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ministack.core.iam_evaluator import enforce
from ministack.core.router import extract_access_key_id, extract_region

type Answer = tuple[int, dict[str, Any], Any]  # status, headers, body
type Handler = Callable[..., Awaitable[Answer]]


@dataclass(frozen=True)
class Request:
    """A request as MiniStack's services receive it: checked, decoded, header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    query: dict[str, list[str]]

    @property
    def bucket(self) -> str:
        """The bucket of a request to S3."""
        return self.path.lstrip("/").partition("/")[0]

    @property
    def key(self) -> str:
        """The key of a request to S3; empty if the request is about the bucket."""
        return self.path.lstrip("/").partition("/")[2]

    @property
    def reads(self) -> bool:
        """Whether this is a GET or HEAD of an object."""
        return self.method in {"GET", "HEAD"} and bool(self.key)

    @property
    def upload(self) -> str | None:
        """Id of the multipart upload that the request completes; None if it completes none."""
        return self.query.get("uploadId", [None])[0] if self.method == "POST" else None

    @property
    def writes(self) -> bool:
        """Whether this creates an object: PutObject, CopyObject or CompleteMultipartUpload."""
        whole = self.method == "PUT" and all(name.lower().startswith("x-") for name in self.query)
        return bool(self.key) and (whole or self.upload is not None)

    def may(self, action: str, resource: str) -> bool:
        """Ask MiniStack's IAM whether the caller has another permission."""
        caller = extract_access_key_id(self.headers, self.query)
        region = extract_region(self.headers, self.query)
        return enforce(caller, action, action.partition(":")[0], region, resource_arn=resource) is None


def around(module: ModuleType, name: str = "handle_request") -> Callable[[Callable[..., Any]], None]:
    """Replace a function of MiniStack by a rule, whose first argument is the original function."""

    def install(rule: Callable[..., Any]) -> None:
        inner = getattr(module, name)
        setattr(module, name, functools.wraps(inner)(functools.partial(rule, inner)))

    return install


def before(service: ModuleType) -> Callable[[Callable[[Request], Any]], None]:
    """Run a rule before each request to a service. If it returns an answer, the service is not called."""

    def install(rule: Callable[[Request], Any]) -> None:
        @around(service)
        async def strict(inner: Handler, *request: Any, **about: Any) -> Answer:
            return rule(Request(*request)) or await inner(*request, **about)

    return install


def after(service: ModuleType) -> Callable[[Callable[[Request, Answer], Answer]], None]:
    """Run a rule on each answer of a service. Its result replaces the answer."""

    def install(rule: Callable[[Request, Answer], Answer]) -> None:
        @around(service)
        async def strict(inner: Handler, *request: Any, **about: Any) -> Answer:
            return rule(Request(*request), await inner(*request, **about))

    return install
