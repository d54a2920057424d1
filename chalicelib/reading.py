"""Read a record that the strict parser refused, field by field, and describe each fault.

Some of these records are valid: the parser refuses lone surrogates, for example, and the contract does not.
"""

import json
import math
import re
from functools import lru_cache
from json.decoder import scanstring  # type: ignore[attr-defined] # not in its stubs
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import DecodeError, Meta, Raw, Struct, ValidationError, structs
from msgspec.json import Decoder

from chalicelib.masking import mask
from chalicelib.records import ScanRecord

ABSENT = Raw(b"")
UNUSABLE_NUMBER = object()  # NaN, an infinity, or more digits than Python converts: of no type


class Fault(str):
    """What is wrong with a field, but not its value: the place in the field, a colon, what was expected."""

    __slots__ = ()


# The fields of a record, undecoded.
RawFields = msgspec.defstruct(
    "RawFields",
    [
        (each.name, Raw, msgspec.field(default=ABSENT, name=each.encode_name))
        for each in structs.fields(ScanRecord)
    ],
    gc=False,
)
decode_fields = Decoder(RawFields).decode


def read(fields: Struct) -> Struct | str:
    """Read the RawFields of a record. Returns the record, or all its faults, without any value."""
    values: dict[str, Any] = {}
    faults = []
    for name, required, read_value in FIELDS:
        raw = getattr(fields, name)
        if raw is not ABSENT:
            value = values[name] = read_value(raw)
            if type(value) is Fault:
                faults.append(name + value)
        elif required:
            faults.append(name + ": missing")
    return "; ".join(faults) if faults else ScanRecord(**values)


# The type that the shortcuts for texts enforce. A field of any other type takes no shortcut.
NOT_BLANK = Annotated[str, Meta(pattern=r"\S")]


def _read_text(raw: Raw) -> str:
    """Read a value of the type NOT_BLANK. This is several times as fast as a Reader of its pattern."""
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
        """Read a value. Returns it, or a Fault."""
        try:
            return self._decode(raw)
        except UnicodeDecodeError:
            return NOT_UTF8
        except DecodeError as error:
            message = str(error)
            if type(error) is ValidationError and "out of range" not in message:
                return describe(message)
        return self._read_leniently(bytes(raw))

    def _read_leniently(self, text: bytes) -> object:
        """Read a value that the parser refuses as JSON, because of a lone surrogate or an unusable number."""
        try:
            if fault := self._wrong_type(text):
                return fault
            value: object = msgspec.convert(decode_leniently(text.decode()), self._type)
            msgspec.to_builtins(value, enc_hook=_refuse_number)  # in a field of the type Any
        except UnicodeDecodeError:
            return NOT_UTF8
        except UnicodeEncodeError:  # a lone surrogate in a text that is to become a date, for example
            return self._fault_of_masked(text)
        except ValidationError as error:
            return describe(str(error))
        return value

    def _fault_of_masked(self, text: bytes) -> Fault:
        try:
            self._decode(mask(text))
        except ValidationError as error:
            return describe(str(error))
        return describe("")

    def _wrong_type(self, text: bytes) -> Fault | None:
        """Check the type of an array or object first: it may be large, and slow to read."""
        if text[0] not in b"[{":
            return None
        try:
            self._decode(mask(text))
        except ValidationError as error:
            return describe(str(error)) if ", got `" in str(error) else None
        return None


def _refuse_number(_number: object) -> NoReturn:
    raise ValidationError("Unusable number")


def _finite_float(text: str) -> object:
    number = float(text)
    return number if math.isfinite(number) else UNUSABLE_NUMBER


def _short_int(text: str) -> object:
    try:
        return int(text)
    except ValueError:
        return UNUSABLE_NUMBER


BLANK = Fault(": blank")
NOT_A_STRING = Fault(": not a string")
NOT_UTF8 = Fault(": not UTF-8")
decode_leniently = json.JSONDecoder(
    parse_constant=lambda _name: UNUSABLE_NUMBER, parse_float=_finite_float, parse_int=_short_int
).decode

TYPE_NAMES = {
    "array": "an array",
    "bool": "true or false",
    "bytes": "base64",
    "float": "a number",
    "int": "an integer",
    "null": "null",
    "object": "an object",
    "str": "a string",
}
# The parser's messages, https://github.com/jcrist/msgspec. Only what they say of the contract is passed on.
split_place = re.compile(r"(.*) - at `(?:key` in `)?\$([\w.\[\]]*)`", re.DOTALL).fullmatch
DESCRIPTIONS = [
    (re.compile(pattern, re.DOTALL), description)
    for pattern, description in {
        r"Expected `([\w| ]+)`(?:, got `.*)?": "not {types}",
        r"Expected `str` matching regex '\\\\S'": "blank",
        r"Expected `str` matching regex '(.*)'": "does not match {pattern}",
        r"Expected `str` of length ([<>=]+ \d+)": "length not {0}",
        r"Expected `\w+` of length ([<>=]+ \d+)": "number of items not {0}",
        r"Expected `\w+` ([<>]=? [\w.+-]+)": "not {0}",
        r"Expected `\w+` that's (a multiple of [\w.+-]+)": "not {0}",
        r"Invalid (?:RFC3339 encoded |ISO8601 )?(\w+)(?: string)?": "not {types}",
        r"Invalid base64 encoded string": "not base64",
        r"Number out of range": "not a number",
        r"Unusable number": "contains an unusable number",
        r"Invalid enum value .*": "not one of the values that it may have",
        r"Object missing required field .*": "lacks a field",
    }.items()
]


@lru_cache(100)
def describe(message: str) -> Fault:
    """Turn an error message of the parser into a Fault: what was expected and where, never what was found."""
    split = split_place(message)
    expected, place = split.groups() if split else (message, "")
    for pattern, description in DESCRIPTIONS:
        if match := pattern.fullmatch(expected):
            found = match[1] if match.groups() else ""
            types = " or ".join(TYPE_NAMES.get(name, f"a {name}") for name in found.split(" | "))
            fault = description.format(found, types=types, pattern=found.replace(r"\\", "\\"))
            return Fault(f"{place}: {fault}")
    return Fault(f"{place}: not valid")


FIELDS = [
    (each.name, each.required, _read_text if each.type == NOT_BLANK else Reader(each.type))
    for each in structs.fields(ScanRecord)
]
