"""Write an object that becomes visible whole; the parts of a large one are sent while the next is written."""

from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

from chalicelib.deadline import Threads, cleaning_up
from chalicelib.s3 import S3, AbsentError, Condition, ObjectStoreError, OvertakenError

# S3 takes 10,000 parts: 78 GiB of output, more than a function can write in its 15 minutes.
PART_SIZE = 8 * 1024 * 1024


class Upload:
    """An object that becomes visible only by `complete`, whole; leaving the context without it aborts.

    What fits in one part is one PutObject; anything larger is a multipart upload of parts of PART_SIZE. Two
    of them are in memory: the one that is sent, and the one that is written.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - an S3 write has that many sides
        self,
        s3: S3,
        bucket: str,
        key: str,
        condition: Condition,
        content_type: str,
        metadata: Mapping[str, str],
    ) -> None:
        self._s3 = s3
        self._address = {"Bucket": bucket, "Key": key}
        self._condition = condition
        self._about = {"ContentType": content_type, "Metadata": metadata}
        self._buffer = bytearray()
        self._multipart: dict[str, str] = {}
        self._parts: list[dict[str, Any]] = []
        self._under_way: Future[dict[str, Any]] | None = None
        self._threads = Threads(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.stop()  # first: a part that arrives after the abort would stay
        if self._multipart:
            # Whatever led here matters more; what cannot be aborted now, the bucket's lifecycle rule sweeps.
            with suppress(ObjectStoreError), cleaning_up():
                self._s3.request("abort_multipart_upload", **self._multipart)

    def write(self, data: bytes) -> None:
        """Add bytes to the end of the object."""
        self._buffer += data
        if len(self._buffer) >= PART_SIZE:
            self._send_part()

    def complete(self) -> None:
        """Publish what was written, in one step; OvertakenError if the condition does not hold."""
        try:
            self._complete()
        except AbsentError as error:  # S3's answer to If-Match where nothing stands any more
            raise OvertakenError(str(error)) from None

    def _complete(self) -> None:
        if self._multipart:
            self._complete_multipart()
        else:
            body = bytes(self._buffer)
            self._s3.request("put_object", **self._address, **self._about, **self._condition, Body=body)

    def _send_part(self) -> None:
        if not self._multipart:
            upload = self._s3.request("create_multipart_upload", **self._address, **self._about)
            self._multipart = {**self._address, "UploadId": upload["UploadId"]}
        self._await_part()
        self._under_way = self._threads.start(partial(self._part, len(self._parts) + 1, self._buffer))
        self._buffer = bytearray()

    def _await_part(self) -> None:
        if self._under_way:
            self._parts.append(self._under_way.result())
            self._under_way = None

    def _part(self, number: int, body: bytearray) -> dict[str, Any]:
        # As it is: of bytes, http.client would make another copy to put the headers before them.
        part = self._s3.request("upload_part", **self._multipart, PartNumber=number, Body=body)
        # The ETag alone: S3 has checked the part's checksum, which botocore adds by itself, and refuses a
        # completion that names one unless the upload was created for it.
        return {"PartNumber": number, "ETag": part["ETag"]}

    def _complete_multipart(self) -> None:
        if self._buffer:
            self._send_part()
        self._await_part()
        parts = {"Parts": self._parts}
        self._s3.request(
            "complete_multipart_upload", **self._multipart, **self._condition, MultipartUpload=parts
        )
        self._multipart = {}
