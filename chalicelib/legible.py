"""Make legible what is JSON to others, or to the letter, but not to the parser: text of the same length."""

import re

SAMPLE = 16 * 1024  # bytes of a text that tell whether there are many escapes in it
MANY = SAMPLE // 64
# Where there are few, these take a tenth of the time that methods of bytes take.
find_nan, find_infinity = re.compile(rb"NaN").search, re.compile(rb"Infinity").search
replace_nan = re.compile(rb"NaN").sub
match_begun = re.compile(rb".*?(Na?|-?I(?:n(?:f(?:i(?:n(?:it?)?)?)?)?)?)", re.DOTALL).fullmatch
BEGUN = len("-Infinit")
# What shows in a text that something of the kind may have been in it.
MARKS = (b"\xee", b"[")


def without_halves(text: bytes | bytearray) -> bytearray:
    """Replace escaped surrogates, byte for byte: half a pair is JSON, but not to the parser."""
    if text.count(b"\\", 0, SAMPLE) > MANY:  # then this is faster
        # An escaped backslash escapes nothing behind it.
        parts = [part.replace(rb"\ud", rb"\ue").replace(rb"\uD", rb"\ue") for part in text.split(rb"\\")]
        return bytearray(rb"\\").join(parts)
    readable = bytearray(text)
    at = text.find(b"\\")
    while at >= 0:
        if text[at + 1 : at + 3] in (b"ud", b"uD"):
            readable[at + 2] = ord("e")
        at = text.find(b"\\", at + 2)
    return readable


def legible(text: bytes | bytearray) -> bytearray:
    """Replace NaN and Infinity, too: with arrays, which no number and no word becomes part of.

    What is begun of them at the end becomes an array that is begun.
    """
    readable = without_halves(text)
    if find_nan(readable):
        readable[:] = replace_nan(b"[0]", readable)
    if find_infinity(readable):
        readable = readable.replace(b"-Infinity", b"[1111111]").replace(b"Infinity", b"[111111]")
    if begun := match_begun(readable[-BEGUN:]):
        readable[-len(begun[1]) :] = b"[".ljust(len(begun[1]), b"1")
    return readable
