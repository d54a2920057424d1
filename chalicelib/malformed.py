"""Why a document as a whole cannot be processed."""

from enum import StrEnum

from msgspec import Struct

MIB = 1024 * 1024
RECORD_LIMIT = 64 * MIB
"""The largest record, in bytes. Memory grows with the largest record, not with the document."""


class Reason(StrEnum):
    """Why a document as a whole cannot be processed."""

    EMPTY = "empty"
    NEITHER = "neither an array nor an object"
    NOT_JSON = "not JSON"
    TRUNCATED = "truncated"
    MORE = "more after the end"
    TOO_LARGE = f"record larger than {RECORD_LIMIT // MIB} MiB"
    TOO_DEEP = "nested too deeply"
    NO_LIST = "no list of records"
    TWO_LISTS = "more than one list of records"
    BROKEN_GZIP = "broken gzip"
    TRUNCATED_GZIP = "truncated gzip"
    GZIP_WITHIN_GZIP = "gzip within gzip"
    ZIP = "a zip archive, not JSON"
    BZIP2 = "bzip2, not JSON"
    XZ = "xz, not JSON"
    ZSTD = "zstd, not JSON"
    LZ4 = "lz4, not JSON"
    SEVEN_ZIP = "a 7z archive, not JSON"
    RAR = "a rar archive, not JSON"
    PARQUET = "parquet, not JSON"
    AVRO = "avro, not JSON"
    HDF5 = "hdf5, not JSON"
    PDF = "pdf, not JSON"


# The first bytes of other formats, as these define them.
CONTAINERS = {
    b"\x1f\x8b": Reason.GZIP_WITHIN_GZIP,  # the outer gzip is decompressed already
    b"PK\3\4": Reason.ZIP,
    b"PK\5\6": Reason.ZIP,  # an empty one
    b"BZh": Reason.BZIP2,
    b"\xfd7zXZ\0": Reason.XZ,
    b"\x28\xb5\x2f\xfd": Reason.ZSTD,
    b"\x04\x22\x4d\x18": Reason.LZ4,
    b"7z\xbc\xaf\x27\x1c": Reason.SEVEN_ZIP,
    b"Rar!\x1a\7": Reason.RAR,
    b"PAR1": Reason.PARQUET,
    b"Obj\1": Reason.AVRO,
    b"\x89HDF\r\n\x1a\n": Reason.HDF5,
    b"%PDF-": Reason.PDF,
}
LONGEST_MAGIC = max(map(len, CONTAINERS))


class MalformedScan(Exception):  # noqa: N818 - it names a document, and what is wrong with it
    """The document as a whole cannot be processed: the reason, and the offset in the decoded document.

    The offset is where the record starts if that is too large or nested too deeply, and 0 if gzip is broken.
    Decoded means decompressed, and converted from UTF-16 to UTF-8. Offsets are in bytes.
    """

    def __init__(self, reason: Reason, offset: int) -> None:
        super().__init__(f"{reason} (byte {offset})")
        self.reason = reason
        self.offset = offset


class MalformedReport(Struct):
    """The one line in the rejected bucket about a document that cannot be processed."""

    reason: Reason
    offset: int


class RefusedReport(Struct):
    """The one line in the rejected bucket about a document without a valid record: its count of records."""

    rejected: int


def identify(beginning: bytes) -> Reason:
    """Identify the format of a document that is neither an array nor an object, by its first bytes."""
    found = (reason for magic, reason in CONTAINERS.items() if beginning.startswith(magic))
    return next(found, Reason.NEITHER)
