"""Tell whether a document has one record a line, so that a broken line can be rejected alone."""

from msgspec import DecodeError

from chalicelib.json_scanner import measure
from chalicelib.legible import legible

SPACE = b" \t\r\xef\xbb\xbf"


def are_records(before: bytes | bytearray, *, whole: bool) -> bool:
    """Whether every line of what comes before a broken line is one record, and that begins a line.

    Unless it is `whole`, it begins in the midst of a line, which is left out.
    """
    *lines, indent = before.split(b"\n")
    if not whole:
        if not lines:
            return False
        lines.pop(0)
    return not indent.strip(SPACE) and all(map(_is_record, lines))


def _is_record(line: bytes | bytearray) -> bool:
    text = line.strip(SPACE)
    try:
        return not text or bool(measure(legible(bytes(text))))
    except (DecodeError, RecursionError):
        return False
