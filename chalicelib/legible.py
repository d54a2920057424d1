"""Make legible what is JSON to others, or to the letter, but not to the parser: text of the same length."""

import re

SAMPLE = 16 * 1024  # bytes of a text that tell whether there are many escapes in it
MANY = SAMPLE // 64
# Where there are few, these take a tenth of the time that methods of bytes take; and they read a memoryview.
find_halves = re.compile(rb"\\u[dD]").search
find_nan, find_all_nan = re.compile(rb"NaN").search, re.compile(rb"NaN").finditer
find_infinity = re.compile(rb"Infinity").search
match_begun = re.compile(rb".*?(Na?|-?I(?:n(?:f(?:i(?:n(?:it?)?)?)?)?)?)", re.DOTALL).fullmatch
BEGUN = len("-Infinit")
# What shows in a text that something of the kind may have been in it.
MARKS = (b"\xee", b"[")


def without_halves(text: bytes | bytearray | memoryview) -> bytearray:
    """Replace escaped surrogates, byte for byte: half a pair is JSON, but not to the parser."""
    readable = bytearray(text)
    if readable.count(b"\\", 0, SAMPLE) > MANY:  # then this is faster
        # An escaped backslash escapes nothing behind it.
        parts = readable.split(rb"\\")
        return bytearray(rb"\\").join(
            [part.replace(rb"\ud", rb"\ue").replace(rb"\uD", rb"\ue") for part in parts]
        )
    at = readable.find(b"\\")
    while at >= 0:
        if find_halves(readable, at, at + 3):
            readable[at + 2] = ord("e")
        at = readable.find(b"\\", at + 2)
    return readable


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
    if find_infinity(readable):
        readable = readable.replace(b"-Infinity", b"[1111111]").replace(b"Infinity", b"[111111]")
    if begun := match_begun(readable[-BEGUN:]):
        readable[-len(begun[1]) :] = b"[".ljust(len(begun[1]), b"1")
    return readable
