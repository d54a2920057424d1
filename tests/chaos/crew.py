"""Workers that handle S3's events, and die: what fails comes again, after three times to the failure queue.

The events are S3's own, by way of a queue. Every other worker waits for several, to handle them at once; if
one of them fails, all come again. The workers are processes of ours, not the local cloud's, which
starts one for every event that finds none free: of those, two cores carry too few to see anything.
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
BATCH = 10  # messages at most, as SQS hands them on
WINDOW = 0.5  # seconds in which they come together
ATTEMPTS = 3  # as Lambda's
# Seconds until the next attempt; Lambda takes a minute. What a killed worker still has on the way to S3 must
# have arrived by then.
PAUSE = 1
ENDS_WITHIN = 300  # seconds, from the end of the uploads to the end of the last event
SENDER = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}}
S3_SENDS = {"Version": "2012-10-17", "Statement": [{**SENDER, "Action": "sqs:SendMessage", "Resource": "*"}]}


class Crew:
    """The workers, and the queues that they live on."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.failed: list[dict[str, Any]] = []
        self.crashes = 0
        self.batches = 0  # invocations with several events
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
    def at_work(self) -> Iterator[None]:
        """Have S3's events handled, once a worker has started."""
        self._make_buckets()
        with ThreadPoolExecutor(WORKERS) as threads:
            places = [threads.submit(self._keep, place) for place in range(WORKERS)]
            try:
                self._await_start()
                yield
            finally:
                self._stopped = True
        for place in places:
            place.result()

    def _await_start(self) -> None:
        self.send(TEST_EVENT)
        self.finish()
        assert not self._waiting(self._events), "no worker started; its log says why"

    def send(self, event: dict[str, Any], *, delay: int = 0) -> None:
        """Have an event come, so many seconds from now."""
        self._sqs.send_message(QueueUrl=self._events, MessageBody=json.dumps(event), DelaySeconds=delay)

    def kill_one(self, random: Random) -> None:
        """Kill a worker; another takes its place."""
        random.choice(list(self._workers.values())).kill()
        self.crashes += 1

    def finish(self) -> None:
        """Wait for every event's end, sending again what failed for good until nothing does; not for ever."""
        deadline = time.monotonic() + ENDS_WITHIN
        while self._waiting(self._events) or self._waiting(self._failures):
            if time.monotonic() > deadline:
                return
            for message in self._receive(self._failures):
                self.failed.append(json.loads(message["Body"]))
                self.send(self.failed[-1])
                self._sqs.delete_message(QueueUrl=self._failures, ReceiptHandle=message["ReceiptHandle"])

    def _keep(self, place: int) -> None:
        """Keep a worker at this place, whatever happens to it."""
        with self._log.open("a") as log:
            while not self._stopped:
                with Worker(self._environment, log) as self._workers[place]:
                    self._work(self._workers[place], window=WINDOW * (place % 2))

    def _work(self, worker: Worker, window: float) -> None:
        while worker.alive and not self._stopped:
            time.sleep(window)
            if messages := self._receive(self._events, BATCH if window else 1):
                self.batches += len(messages) > 1
                self._try(worker, messages)

    def _try(self, worker: Worker, messages: list[Any]) -> None:
        places = [{"QueueUrl": self._events, "ReceiptHandle": one["ReceiptHandle"]} for one in messages]
        try:
            worker.handle(sqs_event(*(one["Body"] for one in messages)))
        except FailedError:
            for place in places:
                self._sqs.change_message_visibility(**place, VisibilityTimeout=PAUSE)
        else:
            for place in places:
                self._sqs.delete_message(**place)

    def _receive(self, queue: str, at_most: int = 1) -> list[Any]:
        asked: Any = {"WaitTimeSeconds": 1, "MaxNumberOfMessages": at_most}
        return self._sqs.receive_message(QueueUrl=queue, **asked).get("Messages", [])

    def _waiting(self, queue: str) -> bool:
        attributes = self._sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        return any(int(count) for name, count in attributes.items() if name.startswith("ApproximateNumber"))

    def _arn(self, queue: str) -> str:
        about = self._sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        return about["Attributes"]["QueueArn"]

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
