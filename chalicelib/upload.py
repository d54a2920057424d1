"""Write an object that becomes visible only when it is complete. Large objects are sent part by part."""

from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

from chalicelib.deadline import ThreadPool, cleanup_time
from chalicelib.s3 import S3, AbsentError, Condition, ObjectStoreError, OvertakenError

# Bytes of a part. S3 allows 10,000 parts, so 78 GiB: more than a function can write in its 15 minutes.
PART_SIZE = 8 * 1024 * 1024


class Upload:
    """An object that becomes visible when `complete` is called. Leaving the context without it aborts.

    A body smaller than PART_SIZE is sent with PutObject, any other with a multipart upload. Each part is sent
    while the next one is written, so two parts are in memory.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - an S3 write needs all of these
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
        self._properties = {"ContentType": content_type, "Metadata": metadata}
        self._buffer = bytearray()
        self._multipart: dict[str, str] = {}
        self._parts: list[dict[str, Any]] = []
        self._pending: Future[dict[str, Any]] | None = None
        self._threads = ThreadPool(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.stop()  # before the abort: a part that arrives after it would be kept
        if self._multipart:
            # An error here must not hide the first one. The bucket's lifecycle rule aborts what is left.
            with suppress(ObjectStoreError), cleanup_time():
                self._s3.request("abort_multipart_upload", **self._multipart)

    def write(self, data: bytes) -> None:
        """Append bytes to the object."""
        self._buffer += data
        if len(self._buffer) >= PART_SIZE:
            self._send_part()

    def complete(self) -> None:
        """Publish the object atomically; raises OvertakenError if the condition does not hold."""
        try:
            self._complete()
        except AbsentError as error:  # the response to If-Match if there is no object any more
            raise OvertakenError(str(error)) from None

    def _complete(self) -> None:
        if self._multipart:
            self._complete_multipart()
        else:
            body = bytes(self._buffer)
            self._s3.request("put_object", **self._address, **self._properties, **self._condition, Body=body)

    def _send_part(self) -> None:
        if not self._multipart:
            upload = self._s3.request("create_multipart_upload", **self._address, **self._properties)
            self._multipart = {**self._address, "UploadId": upload["UploadId"]}
        self._await_part()
        self._pending = self._threads.submit(partial(self._upload_part, len(self._parts) + 1, self._buffer))
        self._buffer = bytearray()

    def _await_part(self) -> None:
        if self._pending:
            self._parts.append(self._pending.result())
            self._pending = None

    def _upload_part(self, number: int, body: bytearray) -> dict[str, Any]:
        # A bytearray, not bytes: http.client would copy bytes to put the headers in front of them.
        part = self._s3.request("upload_part", **self._multipart, PartNumber=number, Body=body)
        # Without the checksum, which botocore adds to each part and S3 checks. S3 refuses a completion with
        # checksums unless the upload was created with a checksum algorithm.
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
