"""Read a record patiently: what a strict parser has refused, field by field, to say what is wrong with it.

Or that nothing is: JSON may hold what the parser does not take, half a surrogate pair for one.
"""

import json
import math
import re
from functools import lru_cache
from typing import Any, NamedTuple

from msgspec import DecodeError, Raw, Struct, ValidationError, convert, defstruct, field, structs
from msgspec.json import Decoder

from chalicelib.records import ScanRecord

ABSENT = Raw(b"")
ODD_NUMBER = object()


class Field(NamedTuple):
    """A field of the contract, and how to read it."""

    name: str
    type: Any
    required: bool
    decoder: Decoder[Any]


FIELDS = [
    Field(each.name, each.type, each.required, Decoder(each.type)) for each in structs.fields(ScanRecord)
]
# The same fields as JSON, whatever they are.
FieldTexts = defstruct(
    "FieldTexts",
    [(each.name, Raw, field(default=ABSENT, name=each.encode_name)) for each in structs.fields(ScanRecord)],
    gc=False,
)
decode_texts = Decoder(FieldTexts).decode

# What is JSON to others, or to the letter, but not to the parser; and what it takes, of the same length.
LEGIBLE = {rb"\\": b"??", rb"\ud": rb"\ue", rb"\uD": rb"\ue"}
LARGE = 1024 * 1024
find_escapes = re.compile(rb"\\(?:\\|u[dD])").sub
match_begun = re.compile(rb".*?(Na?|-?I(?:n(?:f(?:i(?:n(?:it?)?)?)?)?)?)", re.DOTALL).fullmatch
BEGUN = len("-Infinit")
# Where something of the kind may be in a text that has been made legible.
find_mark = re.compile(rb"\?\?|\xee|\[0\]|\[1{6,7}\]").finditer


class FieldFault(Exception):  # noqa: N818 - it is the field's
    """What is wrong with a field, without its value."""


def read(text: bytes) -> Struct | str:
    """Read a record; returns it, or why it is not valid: every field at fault, and never a value."""
    if not text.startswith(b"{"):
        return "record: not an object"
    texts = _texts(text)
    values: dict[str, Any] = {}
    faults = []
    for each in FIELDS:
        value = getattr(texts, each.name)
        if value is not ABSENT:
            try:
                values[each.name] = _value(value, each)
            except FieldFault as fault:
                faults.append(f"{each.name}{fault}")
        elif each.required:
            faults.append(f"{each.name}: missing")
    return "; ".join(faults) or ScanRecord(**values)


def without_halves(text: bytes) -> bytes:
    """Replace escaped surrogates, byte for byte: half a pair is JSON, but not to the parser."""
    # An escaped backslash escapes nothing behind it, so it goes first.
    if len(text) < LARGE:  # faster where there are few, and takes memory where there are many
        return find_escapes(lambda escape: LEGIBLE[escape[0]], text)
    for escape, plain in LEGIBLE.items():
        text = text.replace(escape, plain)
    return text


def legible(text: bytes) -> bytes:
    """Replace NaN and Infinity, too: with arrays, which no number and no word becomes part of.

    What is begun of them at the end becomes an array that is begun.
    """
    text = without_halves(text).replace(b"NaN", b"[0]")
    text = text.replace(b"-Infinity", b"[1111111]").replace(b"Infinity", b"[111111]")
    begun = match_begun(text[-BEGUN:])
    return text[: -len(begun[1])] + b"[".ljust(len(begun[1]), b"1") if begun else text


def _texts(text: bytes) -> Struct:
    try:
        return decode_texts(text)
    except DecodeError:
        buffer = bytearray(legible(text))
    texts = decode_texts(buffer)
    buffer[:] = text  # of which they are views
    return texts


def _value(text: Raw, expected: Field) -> object:
    try:
        return expected.decoder.decode(text)
    except UnicodeDecodeError:
        raise FieldFault(": not UTF-8") from None
    except (ValidationError, DecodeError) as error:
        if type(error) is ValidationError and "out of range" not in str(error):
            raise FieldFault(worded(str(error))) from None
    return _odd_value(bytes(text), expected)


def _odd_value(text: bytes, expected: Field) -> object:
    """Read a value with half a surrogate pair, or a number that is none or fits nowhere."""
    try:
        expected.decoder.decode(legible(text))  # large as it may be, the wrong kind shows before it is read
    except ValidationError as error:
        if ", got `" in str(error):
            raise FieldFault(worded(str(error))) from None
    except UnicodeDecodeError:
        pass
    try:
        return convert(read_odd(text.decode()), expected.type)
    except UnicodeDecodeError:
        raise FieldFault(": not UTF-8") from None
    except ValidationError as error:
        raise FieldFault(worded(str(error))) from None


def _finite(text: str) -> object:
    number = float(text)
    return number if math.isfinite(number) else ODD_NUMBER


def _short(text: str) -> object:
    try:
        return int(text)
    except ValueError:
        return ODD_NUMBER


read_odd = json.JSONDecoder(
    parse_constant=lambda _name: ODD_NUMBER, parse_float=_finite, parse_int=_short
).decode

KINDS = {
    "array": "an array",
    "bool": "true or false",
    "float": "a number",
    "int": "an integer",
    "null": "null",
    "object": "an object",
    "str": "a string",
}
# The parser's words, https://github.com/jcrist/msgspec: only what they say of the contract is passed on.
split_place = re.compile(r"(.*) - at `\$([\w.\[\]]*)`", re.DOTALL).fullmatch
WORDS = [
    (re.compile(pattern, re.DOTALL), words)
    for pattern, words in {
        r"Expected `([\w| ]+)`(?:, got `.*)?": "not {kinds}",
        r"Expected `str` matching regex '\\\\S'": "blank",
        r"Expected `str` matching regex '(.*)'": "does not match {pattern}",
        r"Expected `str` of length ([<>=]+ \d+)": "length not {0}",
        r"Expected `\w+` of length ([<>=]+ \d+)": "number of items not {0}",
        r"Expected `\w+` ([<>]=? [\w.+-]+)": "not {0}",
        r"Expected `\w+` that's (a multiple of [\w.+-]+)": "not {0}",
        r"Invalid RFC3339 encoded (\w+)": "not {kinds}",
        r"Invalid enum value .*": "not one of the values that it may have",
        r"Object missing required field .*": "lacks a field",
    }.items()
]


@lru_cache(100)
def worded(error: str) -> str:
    """Say what was expected, and where within a field, as the parser's error does; never what was found."""
    split = split_place(error)
    said, place = split.groups() if split else (error, "")
    for pattern, words in WORDS:
        if match := pattern.fullmatch(said):
            found = match[1] if match.groups() else ""
            kinds = " or ".join(KINDS.get(kind, f"a {kind}") for kind in found.split(" | "))
            fault = words.format(found, kinds=kinds, pattern=found.replace(r"\\", "\\"))
            return f"{place}: {fault}"
    return f"{place}: not valid"
