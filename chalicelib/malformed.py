"""Why a document is no use as a whole."""

from enum import StrEnum

from msgspec import Struct

MIB = 1024 * 1024
RECORD_LIMIT = 64 * MIB
"""Bytes that one record may have. Memory grows with the largest record, not with the document."""


class Reason(StrEnum):
    """Why a document is no use as a whole."""

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


# First bytes, as the formats define them.
CONTAINERS = {
    b"\x1f\x8b": Reason.GZIP_WITHIN_GZIP,  # the outer one is decompressed
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
    """The document as a whole is no use: why, and the byte of the decoded document where that shows.

    What is nested too deeply or too large shows where its record starts, broken gzip at the start. A document
    in UTF-16 is decoded to UTF-8.
    """

    def __init__(self, reason: Reason, offset: int) -> None:
        super().__init__(f"{reason} (byte {offset})")
        self.reason = reason
        self.offset = offset


class MalformedReport(Struct):
    """The one line in the rejected bucket about a document that is no use as a whole."""

    reason: Reason
    offset: int


class RefusedReport(Struct):
    """The one line in the rejected bucket about a document of which every record is rejected: how many."""

    rejected: int


def named(beginning: bytes) -> Reason:
    """Say what a document is that begins like this, as it is neither an array nor an object."""
    names = (name for magic, name in CONTAINERS.items() if beginning.startswith(magic))
    return next(names, Reason.NEITHER)
