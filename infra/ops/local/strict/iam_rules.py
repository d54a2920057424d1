"""What IAM does and MiniStack's does not."""

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
def a_change_of_a_role_is_judged_by_its_boundary(
    inner: Callable[..., dict[str, Any]], service: str, action: str, body: bytes, named: dict[str, Any]
) -> dict[str, Any]:
    """Let policies ask for the boundary of a role that is made or changed: iam:PermissionsBoundary.

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
def what_is_done_to_a_mapping_has_actions_of_its_own(
    inner: Callable[..., str | None], method: str, path: str
) -> str | None:
    """Name them: MiniStack takes a look at one for a look at all, and asks nobody about the rest.

    Service Authorization Reference, "Actions defined by AWS Lambda", 2025-11.
    """
    if not re.search("/event-source-mappings/[^/]+", path):
        return inner(method, path)
    return {"GET": "Get", "PUT": "Update", "DELETE": "Delete"}[method] + "EventSourceMapping"


@around(iam_evaluator, "_resolve_condition_key")
def the_account_of_a_resource_is_its_owners(inner: Callable[..., Any], key: str, about: Any) -> Any:
    """Tell policies whose a bucket is by aws:ResourceAccount; MiniStack says the caller's, always.

    IAM User Guide, "AWS global condition context keys", 2025-11.
    """
    if key.lower() != "aws:resourceaccount" or not about.resource_arn.startswith(S3):
        return inner(key, about)
    return owner(about.resource_arn.removeprefix(S3).partition("/")[0])
