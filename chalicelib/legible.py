"""Make legible what is JSON to others, or to the letter, but not to the parser: text of the same length."""

import re

SAMPLE = 16 * 1024  # bytes of a text that tell whether there are many escapes in it
MANY = SAMPLE // 64
PIECE = 64 * 1024  # bytes in which they are replaced at once: each escape takes memory for a moment
# Where there are few, these take a tenth of the time that methods of bytes take; and they read a memoryview.
find_halves = re.compile(rb"\\u[dD]").search
find_nan, find_all_nan = re.compile(rb"NaN").search, re.compile(rb"NaN").finditer
find_infinity, find_all_infinity = re.compile(rb"Infinity").search, re.compile(rb"-?Infinity").finditer
match_begun = re.compile(rb".*?(Na?|-?I(?:n(?:f(?:i(?:n(?:it?)?)?)?)?)?)", re.DOTALL).fullmatch
BEGUN = len("-Infinit")
# What shows in a text that something of the kind may have been in it.
MARKS = (b"\xee", b"[")


def without_halves(text: bytes | bytearray | memoryview) -> bytearray:
    """Replace escaped surrogates, byte for byte: half a pair is JSON, but not to the parser."""
    readable = bytearray(text)
    if readable.count(b"\\", 0, SAMPLE) > MANY:  # then this is faster
        start = 0
        while start < len(readable):
            end = _end_of_piece(readable, start, start + PIECE)
            readable[start:end] = _without_halves(readable[start:end])
            start = end
        return readable
    at = readable.find(b"\\")
    while at >= 0:
        if find_halves(readable, at, at + 3):
            readable[at + 2] = ord("e")
        at = readable.find(b"\\", at + 2)
    return readable


def _end_of_piece(text: bytearray, start: int, end: int) -> int:
    """Go back from `end` to where no escape is cut."""
    piece = text[start:end].removesuffix(b"u")
    backslashes = len(piece) - len(piece.rstrip(b"\\"))
    return start + len(piece) - backslashes % 2 if end < len(text) else len(text)


def _without_halves(piece: bytearray) -> bytearray:
    # An escaped backslash escapes nothing behind it.
    parts = piece.split(rb"\\")
    return bytearray(rb"\\").join(
        [part.replace(rb"\ud", rb"\ue").replace(rb"\uD", rb"\ue") for part in parts]
    )


def find_constants(text: bytes | bytearray | memoryview) -> bool:
    """Whether NaN or Infinity may be in it."""
    return bool(find_nan(text) or find_infinity(text))


def legible(text: bytes | bytearray | memoryview) -> bytearray:
    """Replace NaN and Infinity, too: with arrays, which no number and no word becomes part of.

    What is begun of them at the end becomes an array that is begun.
    """
    readable = without_halves(text)
    for match in find_all_nan(readable):
        readable[match.start() : match.end()] = b"[0]"
    for match in find_all_infinity(readable):
        readable[match.start() : match.end()] = b"[%b]" % (b"1" * (len(match[0]) - 2))
    if begun := match_begun(readable[-BEGUN:]):
        readable[-len(begun[1]) :] = b"[".ljust(len(begun[1]), b"1")
    return readable
