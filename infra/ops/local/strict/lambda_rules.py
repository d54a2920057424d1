"""Rules of Lambda and API Gateway that MiniStack does not enforce."""

import json
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.iam_evaluator import EvalContext
from ministack.core.responses import get_account_id, get_region
from ministack.services import apigateway_v1, iam, lambda_svc, sqs

from infra.ops.local.strict.gate import Answer, Request, around, before

MIB = 1024 * 1024
EVENT = 6 * MIB  # bytes, like the next two
ASYNCHRONOUS_EVENT = MIB
RESPONSE = 6 * MIB + 100
RECEIVING = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
_mapping: ContextVar[dict[str, Any] | None] = ContextVar("_mapping", default=None)


@before(lambda_svc)
def an_event_has_at_most_6_mb_or_1_mb_if_asynchronous(request: Request) -> Answer | None:
    """Refuse a larger one: 413 RequestEntityTooLargeException.

    Lambda API, Invoke, 2026-11; the message as in awslabs/aws-athena-query-federation#793.
    """
    if request.method != "POST" or not request.path.endswith("/invocations"):
        return None
    synchronous = request.headers.get("x-amz-invocation-type") != "Event"
    limit = EVENT if synchronous else ASYNCHRONOUS_EVENT
    if len(request.body) <= limit:
        return None
    words = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
    return _refused("RequestEntityTooLargeException", words, 413)


@around(lambda_svc, "_execute_function_with_config_scope")
def a_response_has_at_most_6_mb(inner: Callable[..., Any], *invocation: Any) -> Any:
    """Fail an invocation with a larger response: Function.ResponseSizeTooLarge.

    Lambda Developer Guide, "Lambda quotas", 2026-11; the bytes as in DataBiosphere/azul#8192.
    """
    result = inner(*invocation)
    body = result.get("body")
    size = len(body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode())
    if size <= RESPONSE:
        return result
    words = f"Response payload size ({size} bytes) exceeded maximum allowed payload size ({RESPONSE} bytes)."
    error = {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": words}
    return result | {"error": True, "function_error": "Unhandled", "body": error}


@around(apigateway_v1, "_call_lambda_raw")
async def an_api_has_the_limits_of_its_function_and_hides_its_errors(
    inner: Callable[..., Any], function: str, event: Any, **about: Any
) -> Any:
    """Answer 413 for an event that is too large, and 502 for any function error.

    API Gateway Developer Guide, "Gateway response types" (REQUEST_TOO_LARGE), 2026-11;
    DataBiosphere/azul#8192, 2026-07 (502 "Internal server error" for a response that was too large).
    """
    if len(json.dumps(event)) > EVENT:
        return _proxied(413, "Request Too Long"), None
    result, error = await inner(function, event, **about)
    if result and result.get("error") and not result.get("throttle"):
        return _proxied(502, "Internal server error"), None
    return result, error


@before(lambda_svc)
def a_visibility_timeout_is_at_least_the_function_timeout(request: Request) -> Answer | None:
    """Refuse to map a queue with a shorter visibility timeout.

    400 InvalidParameterValueException (github-aws-runners/terraform-aws-github-runner#5383, 2026-09).
    """
    queue, function = _mapped(request)
    if not (queue and function):
        return None
    hidden, timeout = int(queue["attributes"]["VisibilityTimeout"]), int(function["Timeout"])
    if hidden >= timeout:
        return None
    words = f"Queue visibility timeout: {hidden} seconds is less than Function timeout: {timeout} seconds"
    return _refused("InvalidParameterValueException", words, 400)


@before(lambda_svc)
def a_mapping_requires_a_role_that_may_receive(request: Request) -> Answer | None:
    """Refuse to map a queue if the function's role may not receive, delete, or read its attributes.

    400 InvalidParameterValueException (aws/aws-cdk#6770; functionalone/serverless-iam-roles-per-function#21;
    the three actions in hashicorp/terraform-provider-aws#14042; 2025-04).
    """
    queue, function = _mapped(request)
    if not (queue and function):
        return None
    missing = [name for name in RECEIVING if not _may(function["Role"], f"sqs:{name}", queue)]
    words = f"The provided execution role does not have permissions to call {', '.join(missing)} on SQS"
    return _refused("InvalidParameterValueException", words, 400) if missing else None


@around(lambda_svc, "_run_sqs_batch")
def remember_the_mapping_of_a_batch(inner: Callable[..., None], mapping: dict[str, Any], *about: Any) -> None:
    """Record the mapping of the current batch, for the next rule."""
    before = _mapping.set(mapping)
    try:
        inner(mapping, *about)
    finally:
        _mapping.reset(before)


@around(lambda_svc, "_execute_function")
def an_unknown_failed_message_fails_the_whole_batch(
    inner: Callable[..., Any], function: dict[str, Any], event: dict[str, Any]
) -> Any:
    """Fail the batch if the function reports an unknown or empty message id.

    Lambda Developer Guide, "Implementing partial batch responses", success and failure conditions, 2026-11.
    """
    result = inner(function, event)
    partial = "ReportBatchItemFailures" in (_mapping.get() or {}).get("FunctionResponseTypes", [])
    body = result.get("body")
    if not partial or result.get("error") or not isinstance(body, dict):
        return result
    known = {message["messageId"] for message in event["Records"]}
    named = [failure.get("itemIdentifier") for failure in body.get("batchItemFailures") or []]
    return result if known.issuperset(named) else result | {"error": True}


def _mapped(request: Request) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return the queue and the configuration of the function that a request maps."""
    if request.method != "POST" or not request.path.rstrip("/").endswith("/event-source-mappings"):
        return None, None
    mapping = json.loads(request.body)
    name, _, error = lambda_svc._resolve_existing_esm_function(mapping["FunctionName"])
    function = None if error else lambda_svc._functions[name]["config"]
    return sqs._queue_by_arn(mapping.get("EventSourceArn", "")), function


def _may(role: str, action: str, queue: dict[str, Any]) -> bool:
    account, name = get_account_id(), role.rpartition("/")[2]
    arn = queue["attributes"]["QueueArn"]
    about = EvalContext(role, "AssumedRole", account, action, arn, get_region())
    policies = iam_evaluator._gather_role_policies(name, account)
    boundary = iam_evaluator._permissions_boundary(iam._roles, name, account)
    return bool(iam_evaluator.evaluate(about, policies, *boundary).decision == "Allow")


@around(lambda_svc, "invoke_async_with_retry")
def with_zero_concurrency_an_event_fails_without_an_attempt(
    inner: Callable[..., None], function: dict[str, Any], event: Any
) -> None:
    """Send an event to the failure queue at once if the function's reserved concurrency is 0.

    Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations", 2026-11; the record as in
    localstack/localstack (ZeroReservedConcurrency).
    """
    if function.get("concurrency") != 0:
        inner(function, event)
        return
    destinations = (function.get("event_invoke_config") or {}).get("DestinationConfig", {})
    queue = sqs._queue_by_arn(destinations.get("OnFailure", {}).get("Destination", ""))
    context = {
        "functionArn": function["config"]["FunctionArn"],
        "condition": "ZeroReservedConcurrency",
        "approximateInvokeCount": 0,
    }
    if queue:
        body = json.dumps({"version": "1.0", "requestContext": context, "requestPayload": event})
        sqs._act_send_message({"MessageBody": body}, queue["url"])


def _proxied(status: int, words: str) -> dict[str, Any]:
    return {"body": {"statusCode": status, "body": json.dumps({"message": words})}}


def _refused(code: str, words: str, status: int) -> Answer:
    answer: Answer = lambda_svc.error_response_json(code, words, status)
    return answer
