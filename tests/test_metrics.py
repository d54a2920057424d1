"""A metric, from the code that emits it to the alarms and graphs that show it."""

import re

from chalicelib import log_events
from infra.ops.local.cloud import ROOT

CLOUDWATCH = (ROOT / "infra" / "operations" / "cloudwatch.tf").read_text()
# The modules that emit the events of each function.
EMITTERS = {
    "local.api_name": [ROOT / "app.py"],
    "local.data_processor_name": sorted((ROOT / "chalicelib").glob("*.py")),
}
# AWS's own metrics that are used, by namespace:
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
# https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
OF_AWS = {
    '"AWS/Lambda"': {"DestinationDeliveryFailures", "Duration", "Errors", "Invocations", "Throttles"},
    '"AWS/SQS"': {
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesVisible",
    },
    '"AWS/States"': {"ExecutionsFailed"},
}
# Event -> the metrics that it moves.
COUNTS = {name: event.counts for name, event in vars(log_events).items() if getattr(event, "counts", None)}
# Namespace, metric, dimension and its value, as alarms and graphs write them.
ALARMS = re.findall(
    r"namespace += (\S+)\n +metric += (\S+)\n +dimensions += \{ (\w+) += (\S+) \}\n +statistic +=",
    CLOUDWATCH,
)
LINES = re.findall(r'^ +\[(\S+), (\S+), "(\w+)", (\S+), \{', CLOUDWATCH, re.MULTILINE)


def emitted(function: str) -> set[str]:
    """Return the events that a function's modules make, of those that move a metric."""
    code = "\n".join(path.read_text() for path in EMITTERS[function])
    return COUNTS.keys() & set(re.findall(r"log_events\.(\w+)\(", code))


def test_every_event_that_moves_a_metric_is_emitted() -> None:
    assert len(COUNTS) >= 10
    assert set().union(*map(emitted, EMITTERS)) == COUNTS.keys()


def test_alarms_and_graphs_watch_metrics_that_exist_in_the_namespace_that_they_name() -> None:
    assert len(ALARMS) == CLOUDWATCH.count(" statistic  = ")
    assert len(LINES) == CLOUDWATCH.count("{ label = ")
    for namespace, metric, _, _ in [*ALARMS, *LINES]:
        if namespace == "local.application":
            assert metric.removeprefix("local.metrics.") in log_events.METRICS
        else:
            assert metric.strip('"') in OF_AWS[namespace]


def test_alarms_and_graphs_watch_the_function_that_emits_the_metric() -> None:
    moved = {name: {metric for event in emitted(name) for metric in COUNTS[event]} for name in EMITTERS}

    for namespace, metric, dimension, function in [*ALARMS, *LINES]:
        if namespace == "local.application":
            assert dimension.strip('"') == "function_name"
            assert metric.removeprefix("local.metrics.") in moved[function]
