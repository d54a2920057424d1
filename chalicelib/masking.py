"""Mask JSON that the parser refuses and the contract accepts: NaN, Infinity, and escapes of lone surrogates.

A mask is as long as what it replaces, so offsets in a masked text are offsets in the original.
"""

import re

SAMPLE = 16 * 1024  # bytes at the start of a text that are searched, to estimate how many escapes it has
MANY_ESCAPES = SAMPLE // 180
PIECE = 16 * 1024  # bytes that are masked at a time if there are many escapes: each of them takes memory
# In texts with few matches, a regular expression takes a tenth of the time of a method of bytes.
find_surrogate = re.compile(rb"\\u[dD]").search
find_nan, find_all_nan = re.compile(rb"NaN").search, re.compile(rb"NaN").finditer
find_infinity, find_all_infinity = re.compile(rb"Infinity").search, re.compile(rb"Infinity").finditer
match_partial_constant = re.compile(rb".*?(Na?|-?I(?:n(?:f(?:i(?:n(?:it?)?)?)?)?)?)", re.DOTALL).fullmatch
LONGEST_PARTIAL_CONSTANT = len("-Infinit")
# The first byte, in UTF-8, of a masked surrogate; and escapes of characters that look like one.
MASK = b"\xee"
find_private = re.compile(rb"\\u[eE]").search
# A row that was decoded from a masked text has one of these if a mask is in it.
MASK_TRACES = (MASK, b"[")


def is_about_surrogate(error: str) -> bool:
    """Whether the parser's error is about an escaped surrogate that is not one of a pair."""
    return "surrogate" in error or "hex escape" in error


def may_be_at_constant(error: str) -> bool:
    """Whether the parser may have stopped at NaN or Infinity."""
    return "invalid character" in error


def mask_surrogates(text: bytes | bytearray | memoryview) -> bytearray:
    r"""Replace every escaped surrogate by a private character: \ud83d by \ue83d."""
    masked = bytearray(text)
    if masked.count(b"\\", 0, SAMPLE) > MANY_ESCAPES:
        start = 0
        while start < len(masked):
            end = _end_of_piece(masked, start)
            masked[start:end] = _mask_piece(masked[start:end])
            start = end
        return masked
    at = masked.find(b"\\")
    while at >= 0:
        if find_surrogate(masked, at, at + 3):
            masked[at + 2] = ord("e")
        at = masked.find(b"\\", at + 2)
    return masked


def _end_of_piece(text: bytearray, start: int) -> int:
    """Find the end of the piece at `start`, which must not split an escape."""
    end = start + PIECE
    if end >= len(text):
        return len(text)
    piece = text[start:end].removesuffix(b"u")
    backslashes = len(piece) - len(piece.rstrip(b"\\"))
    return start + len(piece) - backslashes % 2


def _mask_piece(piece: bytearray) -> bytearray:
    # Split at escaped backslashes: they escape nothing behind them.
    parts = piece.split(rb"\\")
    return bytearray(rb"\\").join(
        [part.replace(rb"\ud", rb"\ue").replace(rb"\uD", rb"\ue") for part in parts]
    )


def may_have_constants(text: bytes | bytearray | memoryview) -> bool:
    """Search for NaN and Infinity; they may be in a string, too."""
    return bool(find_nan(text) or find_infinity(text))


def mask(text: bytes | bytearray | memoryview) -> bytearray:
    """Mask surrogates, NaN and Infinity, and the start of NaN or Infinity where the text ends.

    Constants become arrays. Digits would join a number beside them: 1NaN has to stay malformed.
    """
    masked = mask_surrogates(text)
    for match in find_all_nan(masked):
        masked[match.start() : match.end()] = b"[0]"
    for match in find_all_infinity(masked):
        if masked[match.start() - 1 : match.start()] == b"-":
            masked[match.start() - 1 : match.end()] = b"[1111111]"
        else:
            masked[match.start() : match.end()] = b"[111111]"
    if partial := match_partial_constant(masked[-LONGEST_PARTIAL_CONSTANT:]):
        masked[-len(partial[1]) :] = b"[".ljust(len(partial[1]), b"1")
    return masked
