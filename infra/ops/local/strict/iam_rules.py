"""Rules of IAM that MiniStack does not enforce."""

import re
from collections.abc import Callable
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id
from ministack.services import iam

from infra.ops.local.strict.gate import around
from infra.ops.local.strict.s3_rules import owner

S3 = "arn:aws:s3:::"


@around(iam_actions, "request_tag_context")
def role_changes_are_checked_with_the_boundary(
    inner: Callable[..., dict[str, Any]], service: str, action: str, body: bytes, named: dict[str, Any]
) -> dict[str, Any]:
    """Set the condition key iam:PermissionsBoundary when a role is created or changed.

    Service Authorization Reference, "Condition keys for AWS Identity and Access Management (IAM)", 2025-11.
    """
    context = inner(service, action, body, named)
    if service != "iam":
        return context
    (boundary,) = named.get("PermissionsBoundary", [None])
    if action != "iam:CreateRole":
        (name,) = named.get("RoleName", [""])
        role = iam._roles.get_scoped(get_account_id(), None, name) or {}
        boundary = boundary or role.get("PermissionsBoundary")
    return context | ({"iam:PermissionsBoundary": boundary} if boundary else {})


@around(iam_actions, "_lambda_action")
def operations_on_a_mapping_have_actions_of_their_own(
    inner: Callable[..., str | None], method: str, path: str
) -> str | None:
    """Return the action. MiniStack takes a get for a list, and does not check update and delete.

    Service Authorization Reference, "Actions defined by AWS Lambda", 2025-11.
    """
    if not re.search("/event-source-mappings/[^/]+", path):
        return inner(method, path)
    return {"GET": "Get", "PUT": "Update", "DELETE": "Delete"}[method] + "EventSourceMapping"


@around(iam_evaluator, "_resolve_condition_key")
def a_buckets_account_is_its_owner(inner: Callable[..., Any], key: str, about: Any) -> Any:
    """Set aws:ResourceAccount to the owner of a bucket. MiniStack always sets the caller's account.

    IAM User Guide, "AWS global condition context keys", 2025-11.
    """
    if key.lower() != "aws:resourceaccount" or not about.resource_arn.startswith(S3):
        return inner(key, about)
    return owner(about.resource_arn.removeprefix(S3).partition("/")[0])
