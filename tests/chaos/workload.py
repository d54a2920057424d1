"""Concurrent uploads of many keys, and of a few hot keys.

Hot keys are uploaded repeatedly, deleted and undeleted. Their newest version is removed for good, and their
processed object is deleted.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

import boto3

from chalicelib.pipeline import RECHECK_AFTER
from tests.chaos.documents import NAMES, Expected, document, scans
from tests.chaos.worker_pool import BUCKETS, WorkerPool
from tests.events import s3_event

HOT = "hot-"
HOT_KEYS = 6
UPLOADERS = 4
MAX_DELAY = 4  # seconds by which a repeated event may be late


class Workload:
    """The uploads, and the expected outcome of each key and version."""

    def __init__(self, pool: WorkerPool, *, seed: int) -> None:
        self.expected: dict[str, dict[str, Expected]] = {}
        self._changed: dict[str, float] = {}  # time of the last change, by key
        self.erased: set[str] = set()  # keys whose processed object was deleted
        self._pool = pool
        self._dice = [Random(f"{seed} {number}") for number in range(UPLOADERS + 1)]  # noqa: S311 - repeatable
        self._s3 = boto3.client("s3")

    def run(self, seconds: float, *, rate: float, kills: float) -> None:
        """Run for `seconds`: `rate` actions per second, and a worker is killed every `kills` seconds."""
        end = time.monotonic() + seconds
        with ThreadPoolExecutor() as threads:
            running = [threads.submit(self._act, end, rate / UPLOADERS, dice) for dice in self._dice[1:]]
            running.append(threads.submit(self._kill, end, kills, self._dice[0]))
        for thread in running:
            thread.result()

    def _act(self, end: float, rate: float, random: Random) -> None:
        acts = (self._upload_hot, self._upload_cold, self._repeat, self._delete, self._remove, self._erase)
        while time.monotonic() < end:
            time.sleep(random.expovariate(rate))
            random.choices(acts, (9, 8, 2, 1, 1, 1))[0](random)

    def _kill(self, end: float, every: float, random: Random) -> None:
        while time.monotonic() + every < end:
            time.sleep(every)
            self._pool.kill_one(random)

    def _upload_hot(self, random: Random) -> None:
        # Mostly one of three contents, so that earlier content returns.
        number, returning = random.randrange(3), random.random() < 0.7
        # Some keys are hotter. The processed objects of the others stay for a while.
        (hot,) = random.choices(range(HOT_KEYS), [2**number for number in range(HOT_KEYS)])
        key = f"{HOT}{hot}.json"
        self._upload(key, *(scans(number) if returning else document(random, number)))

    def _upload_cold(self, random: Random) -> None:
        key = f"{random.getrandbits(64):x} {random.choice(NAMES)}.json"
        self._upload(key, *document(random, random.getrandbits(32)))

    def _upload(self, key: str, body: bytes, expected: Expected) -> None:
        versions = self.expected.setdefault(key, {})
        self._changed[key] = time.monotonic()
        answer = self._s3.put_object(Bucket=BUCKETS.raw, Key=key, Body=body)
        versions[answer["VersionId"]] = expected

    def _repeat(self, random: Random) -> None:
        for key in self._some(random, ""):
            self._pool.send(s3_event((BUCKETS.raw, key)), delay=random.randrange(MAX_DELAY))

    def _delete(self, random: Random) -> None:
        for key in self._some(random, HOT):
            marker = self._s3.delete_object(Bucket=BUCKETS.raw, Key=key)["VersionId"]
            if random.random() < 0.5:
                time.sleep(random.random())
                self._changed[key] = time.monotonic()
                self._s3.delete_object(Bucket=BUCKETS.raw, Key=key, VersionId=marker)

    def _remove(self, random: Random) -> None:
        for key in self._some(random, HOT):
            _, *later = tuple(self.expected[key])
            if later:  # never the only version: the event of a key without versions fails for 15 minutes
                self._changed[key] = time.monotonic()
                self._s3.delete_object(Bucket=BUCKETS.raw, Key=key, VersionId=later[-1])

    def _erase(self, random: Random) -> None:
        for key in self._some(random, HOT):
            if self._is_settled(key):
                self.erased.add(key)
                self._s3.delete_object(Bucket=BUCKETS.processed, Key=key)

    def _is_settled(self, key: str) -> bool:
        """Tell whether the last change is longer ago than the pipeline assumes, and a second more."""
        return time.monotonic() - self._changed[key] > RECHECK_AFTER + 1

    def _some(self, random: Random, name: str) -> list[str]:
        keys = [key for key in tuple(self.expected) if name in key]
        return random.sample(keys, min(len(keys), 1))
