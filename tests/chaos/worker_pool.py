"""Worker processes that handle S3's events and can be killed. An event that fails three times is a failure.

S3 sends its events to a queue. Every second worker waits for several events and handles them together; if one
fails, all of them are delivered again. The workers are not functions of the local cloud, because that starts
a process for each concurrent event, and two cores are too slow for many processes.
"""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import boto3

from infra.ops.aws.uploads import Buckets
from tests.chaos.worker import FailedError, Worker
from tests.events import TEST_EVENT, sqs_event

BUCKETS = Buckets("chaos-raw", "chaos-processed", "chaos-rejected")
WORKERS = 4
BATCH = 10  # messages at most, the limit of SQS
WINDOW = 0.5  # seconds in which a worker waits for a batch
ATTEMPTS = 3  # as Lambda has
# Seconds until the retry; Lambda waits a minute. Requests of a killed worker must have arrived by then.
PAUSE = 1
ENDS_WITHIN = 300  # seconds from the last upload until the last event is handled
SENDER = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}}
S3_SENDS = {"Version": "2012-10-17", "Statement": [{**SENDER, "Action": "sqs:SendMessage", "Resource": "*"}]}


class WorkerPool:
    """The workers and their queues."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.failed: list[dict[str, Any]] = []
        self.crashes = 0
        self.batches = 0  # invocations with more than one event
        self._environment = environment | dict(
            zip(("RAW_BUCKET", "PROCESSED_BUCKET", "REJECTED_BUCKET"), BUCKETS, strict=True)
        )
        self._log = log
        self._sqs = boto3.client("sqs")
        self._failures = self._sqs.create_queue(QueueName="chaos-failures")["QueueUrl"]
        self._events = self._sqs.create_queue(QueueName="chaos-events")["QueueUrl"]
        redrive = {"deadLetterTargetArn": self._arn(self._failures), "maxReceiveCount": ATTEMPTS}
        self._sqs.set_queue_attributes(
            QueueUrl=self._events,
            Attributes={
                "Policy": json.dumps(S3_SENDS),
                "RedrivePolicy": json.dumps(redrive),
                "VisibilityTimeout": "600",
            },
        )
        self._workers: dict[int, Worker] = {}
        self._stopped = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the workers; returns once one has started."""
        self._make_buckets()
        with ThreadPoolExecutor(WORKERS) as threads:
            slots = [threads.submit(self._keep_running, slot) for slot in range(WORKERS)]
            try:
                self._await_start()
                yield
            finally:
                self._stopped = True
        for slot in slots:
            slot.result()

    def _await_start(self) -> None:
        self.send(TEST_EVENT)
        self.finish()
        assert not self._waiting(self._events), "no worker started; its log says why"

    def send(self, event: dict[str, Any], *, delay: int = 0) -> None:
        """Send an event, delivered after `delay` seconds."""
        self._sqs.send_message(QueueUrl=self._events, MessageBody=json.dumps(event), DelaySeconds=delay)

    def kill_one(self, random: Random) -> None:
        """Kill a worker. A new one replaces it."""
        random.choice(list(self._workers.values())).kill()
        self.crashes += 1

    def finish(self) -> None:
        """Wait until every event is handled, at most ENDS_WITHIN. Resend events from the failure queue."""
        deadline = time.monotonic() + ENDS_WITHIN
        while self._waiting(self._events) or self._waiting(self._failures):
            if time.monotonic() > deadline:
                return
            for message in self._receive(self._failures):
                self.failed.append(json.loads(message["Body"]))
                self.send(self.failed[-1])
                self._sqs.delete_message(QueueUrl=self._failures, ReceiptHandle=message["ReceiptHandle"])

    def _keep_running(self, slot: int) -> None:
        """Run a worker in this slot, and start a new one whenever it dies."""
        with self._log.open("a") as log:
            while not self._stopped:
                with Worker(self._environment, log) as self._workers[slot]:
                    self._work(self._workers[slot], window=WINDOW * (slot % 2))

    def _work(self, worker: Worker, window: float) -> None:
        while worker.alive and not self._stopped:
            time.sleep(window)
            if messages := self._receive(self._events, BATCH if window else 1):
                self.batches += len(messages) > 1
                self._try(worker, messages)

    def _try(self, worker: Worker, messages: list[Any]) -> None:
        received = [{"QueueUrl": self._events, "ReceiptHandle": one["ReceiptHandle"]} for one in messages]
        try:
            worker.handle(sqs_event(*(one["Body"] for one in messages)))
        except FailedError:
            for message in received:
                self._sqs.change_message_visibility(**message, VisibilityTimeout=PAUSE)
        else:
            for message in received:
                self._sqs.delete_message(**message)

    def _receive(self, queue: str, at_most: int = 1) -> list[Any]:
        limits: Any = {"WaitTimeSeconds": 1, "MaxNumberOfMessages": at_most}
        return self._sqs.receive_message(QueueUrl=queue, **limits).get("Messages", [])

    def _waiting(self, queue: str) -> bool:
        attributes = self._sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        return any(int(count) for name, count in attributes.items() if name.startswith("ApproximateNumber"))

    def _arn(self, queue: str) -> str:
        response = self._sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        return response["Attributes"]["QueueArn"]

    def _make_buckets(self) -> None:
        s3: Any = boto3.client("s3")
        for bucket in BUCKETS:
            s3.create_bucket(Bucket=bucket)
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:Delete"]
        notified = {"QueueArn": self._arn(self._events), "Events": events}
        s3.put_bucket_notification_configuration(
            Bucket=BUCKETS.raw, NotificationConfiguration={"QueueConfigurations": [notified]}
        )
