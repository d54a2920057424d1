"""A stage's CloudWatch metrics of the last 24 hours."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import boto3

from chalicelib.telemetry import NAMESPACE
from infra.ops.aws.place import Place

HOUR, DAY = 60 * 60, 24 * 60 * 60  # seconds
OURS = (NAMESPACE, "function_name")
LAMBDA = ("AWS/Lambda", "FunctionName")


class Metric(NamedTuple):
    """A metric of `data-processor`: its namespace and dimension, name and statistic."""

    source: tuple[str, str]
    name: str
    statistic: str = "Sum"


class Day(NamedTuple):
    """Counts of the last 24 hours, and the duration of an upload; None if CloudWatch has no data.

    `malformed` does not include `refused` documents. `failed` and `throttled` count invocations: an object
    that failed within a replay is only in `objects_failed`.
    """

    published: float | None
    unchanged: float | None
    malformed: float | None
    refused: float | None
    objects_failed: float | None
    records_rejected: float | None
    p50_milliseconds: float | None
    p99_milliseconds: float | None
    invocations: float | None
    failed: float | None
    throttled: float | None

    @property
    def uncounted(self) -> bool:
        """Whether the function has run, but CloudWatch has none of its own metrics."""
        ours = [getattr(self, name) for name, metric in METRICS.items() if metric.source == OURS]
        return bool(self.invocations) and set(ours) == {None}


METRICS = {
    "published": Metric(OURS, "ObjectsProcessed"),
    "unchanged": Metric(OURS, "ObjectsUnchanged"),
    "malformed": Metric(OURS, "ObjectsMalformed"),
    "refused": Metric(OURS, "ObjectsRefused"),
    "objects_failed": Metric(OURS, "ObjectsFailed"),
    "records_rejected": Metric(OURS, "RecordsRejected"),
    "p50_milliseconds": Metric(OURS, "Duration", "p50"),
    "p99_milliseconds": Metric(OURS, "Duration", "p99"),
    "invocations": Metric(LAMBDA, "Invocations"),
    "failed": Metric(LAMBDA, "Errors"),
    "throttled": Metric(LAMBDA, "Throttles"),
}


def last_day(place: Place) -> Day:
    """Read the metrics: sums, and of percentiles the largest that CloudWatch returns."""
    cloudwatch: Any = boto3.client("cloudwatch", region_name=place.region)
    now = datetime.now(UTC)
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[_query(name, metric, place.function) for name, metric in METRICS.items()],
        StartTime=now - timedelta(days=1),
        EndTime=now,
    )
    values: dict[str, list[float]] = {name: [] for name in METRICS}
    for page in pages:
        for result in page["MetricDataResults"]:
            values[result["Id"]] += result["Values"]
    day = Day(**{name: _whole(METRICS[name], found) for name, found in values.items()})
    # The pipeline counts refused documents as malformed, too.
    return day._replace(malformed=day.malformed and day.malformed - (day.refused or 0))


def _query(name: str, metric: Metric, function: str) -> dict[str, Any]:
    namespace, dimension = metric.source
    about = {
        "Namespace": namespace,
        "MetricName": metric.name,
        "Dimensions": [{"Name": dimension, "Value": function}],
    }
    # Hourly sums can be added, and cover the 24 hours exactly. Percentiles cannot be added.
    period = HOUR if metric.statistic == "Sum" else DAY
    return {"Id": name, "MetricStat": {"Metric": about, "Period": period, "Stat": metric.statistic}}


def _whole(metric: Metric, values: list[float]) -> float | None:
    if not values:
        return None
    return sum(values) if metric.statistic == "Sum" else max(values)
