"""Read a record patiently: what a strict parser has refused, field by field, to say what is wrong with it.

Or that nothing is: JSON may hold what the parser does not take, half a surrogate pair for one.
"""

import json
import math
import re
from functools import lru_cache
from json.decoder import scanstring  # type: ignore[attr-defined] # not in its stubs
from typing import Annotated, Any

from msgspec import DecodeError, Meta, Raw, Struct, ValidationError, convert, defstruct, field, structs
from msgspec.json import Decoder

from chalicelib.legible import legible
from chalicelib.records import ScanRecord

ABSENT = Raw(b"")
ODD_NUMBER = object()


class Fault(str):
    """What is wrong with a field, without its value: where in it, a colon, and what was expected."""

    __slots__ = ()


# The same fields as JSON, whatever they are.
FieldTexts = defstruct(
    "FieldTexts",
    [(each.name, Raw, field(default=ABSENT, name=each.encode_name)) for each in structs.fields(ScanRecord)],
    gc=False,
)
decode_texts = Decoder(FieldTexts).decode


def read(texts: Struct) -> Struct | str:
    """Read the FieldTexts of a record; returns it, or why it is not valid: all faults, and never a value."""
    values: dict[str, Any] = {}
    faults = []
    for name, required, read_value in FIELDS:
        text = getattr(texts, name)
        if text is not ABSENT:
            value = values[name] = read_value(text)
            if type(value) is Fault:
                faults.append(name + value)
        elif required:
            faults.append(name + ": missing")
    return "; ".join(faults) if faults else ScanRecord(**values)


# The type that the shortcuts for texts enforce. A field of any other type takes no shortcut.
NOT_BLANK = Annotated[str, Meta(pattern=r"\S")]


def _read_text(raw: Raw) -> str:
    """Read a value of the type NOT_BLANK, several times as fast as a Reader."""
    text = bytes(raw)
    if not text.startswith(b'"'):
        return NOT_A_STRING
    try:
        value: str = scanstring(text.decode(), 1)[0]
    except UnicodeDecodeError:
        return NOT_UTF8
    return value if value.strip() else BLANK


class Reader:
    """Reads values of any other type."""

    def __init__(self, kind: Any) -> None:
        self._type = kind
        self._decode = Decoder(kind).decode

    def __call__(self, raw: Raw) -> object:
        """Read a value, or say what is wrong with it."""
        try:
            return self._decode(raw)
        except UnicodeDecodeError:
            return NOT_UTF8
        except DecodeError as error:
            said = str(error)
            if type(error) is ValidationError and "out of range" not in said:
                return worded(said)
        return self._read_odd(bytes(raw))

    def _read_odd(self, text: bytes) -> object:
        """Read a value with half a surrogate pair, or a number that is none or fits nowhere."""
        try:
            return self._wrong_kind(text) or convert(read_odd(text.decode()), self._type)
        except UnicodeDecodeError:
            return NOT_UTF8
        except ValidationError as error:
            return worded(str(error))

    def _wrong_kind(self, text: bytes) -> Fault | None:
        """Look whether it is of another kind, which shows before all of it is read, large as it may be."""
        if text[0] not in b"[{":
            return None
        try:
            self._decode(legible(text))
        except ValidationError as error:
            return worded(str(error)) if ", got `" in str(error) else None
        return None


def _finite(text: str) -> object:
    number = float(text)
    return number if math.isfinite(number) else ODD_NUMBER


def _short(text: str) -> object:
    try:
        return int(text)
    except ValueError:
        return ODD_NUMBER


BLANK = Fault(": blank")
NOT_A_STRING = Fault(": not a string")
NOT_UTF8 = Fault(": not UTF-8")
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
def worded(error: str) -> Fault:
    """Say what was expected, and where within a field, as the parser's error does; never what was found."""
    split = split_place(error)
    said, place = split.groups() if split else (error, "")
    for pattern, words in WORDS:
        if match := pattern.fullmatch(said):
            found = match[1] if match.groups() else ""
            kinds = " or ".join(KINDS.get(kind, f"a {kind}") for kind in found.split(" | "))
            fault = words.format(found, kinds=kinds, pattern=found.replace(r"\\", "\\"))
            return Fault(f"{place}: {fault}")
    return Fault(f"{place}: not valid")


FIELDS = [
    (each.name, each.required, _read_text if each.type == NOT_BLANK else Reader(each.type))
    for each in structs.fields(ScanRecord)
]
