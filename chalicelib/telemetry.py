"""Write log events and their metrics. The events are in `log_events`; nothing else writes to the log."""

import logging
import os
import re
import sys
from collections.abc import Callable
from functools import cache
from threading import Lock

import msgspec
from aws_lambda_powertools import Logger, Metrics

from chalicelib.log_events import METRICS, Event, FunctionStarted
from chalicelib.safe_names import CodeLocation, Version

NAMESPACE = "ikerian-data-pipeline"
LOGGER_NAME = "pipeline"  # not the app's name, which is the name of Chalice's own logger

# Metrics of Powertools are not thread-safe: some would be lost, and lines would be mixed.
_LOCK = Lock()


def emit(event: Event) -> None:
    """Write one event to the log and count its metrics.

    Do not call this while an exception is being handled. If writing failed, Python would print both
    exceptions, with their messages.
    """
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(event).__name__).lower()
    with _LOCK:
        getattr(_logger(), event.severity())(name, extra=msgspec.to_builtins(event))
        for metric, value in event.metrics().items():
            _metrics().add_metric(metric, METRICS[metric], value)


def instrumented[**P, R](handler: Callable[P, R]) -> Callable[P, R]:
    """Wrap a Lambda handler: log its cold start, add the request id to every line, flush its metrics."""

    def measured(*args: P.args, **kwargs: P.kwargs) -> R:
        _log_cold_start()
        try:
            return handler(*args, **kwargs)
        finally:
            _flush()

    # False, not unset: if it is unset, an environment variable can have whole events logged.
    logged: Callable[P, R] = _logger().inject_lambda_context(measured, log_event=False, clear_state=True)
    return logged


def _flush() -> None:
    if _metrics().provider.metric_set:  # Powertools warns about an empty set, which is normal here
        _metrics().flush_metrics()


@cache
def _log_cold_start() -> None:
    python = Version(".".join(map(str, sys.version_info[:3])))
    modules = [sys.modules[name].__file__ for name in ("aws_lambda_powertools", "chalicelib", "msgspec")]
    emit(FunctionStarted(python=python, modules=[CodeLocation(str(module)) for module in modules]))


@cache
def _logger() -> Logger:
    # Lambda prints what reaches the root logger, and libraries log freely: boto3 logs whole requests.
    logging.getLogger().handlers = [logging.NullHandler()]
    # No trace id: whoever invokes the function can put any text into that header.
    logger = Logger(service=LOGGER_NAME, location=None, utc=True, use_rfc3339=True, xray_trace_id=None)
    # Alarms refer to warnings and errors, so the environment cannot hide them. `setLevel` of Powertools
    # would prefer the environment; with a sample rate, Powertools returns to the initial level.
    logger.initial_log_level = min(logger.log_level, logging.WARNING)
    logging.getLogger(LOGGER_NAME).setLevel(logger.initial_log_level)
    return logger


@cache
def _metrics() -> Metrics:
    # An empty service, not an unset one: if it is unset, an environment variable can add a dimension.
    metrics = Metrics(namespace=NAMESPACE, service="")
    metrics.set_default_dimensions(function_name=os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "none"))
    return metrics
