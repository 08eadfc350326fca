"""RFC 8785 canonical JSON, fast where it can be: a compiled serialiser writes, and what it would write differently is written again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import rfc8785

from governance.ledger.errors import RecordInvalid

_OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_SERIALIZE_NUMPY
)

# Where orjson and RFC 8785 differ: whole floats (1.0), exponents (1e-7), and the order of keys beyond the BMP (code points here, UTF-16
# units there). The numbers are looked for by what ends them, after everything that numbers never hold was dropped, and with patterns that
# begin with a letter: both make the search several times faster. A hit inside a string costs time only. What begins a character beyond the
# BMP in UTF-8 (F0 to F4) is kept as well, and is then all that is not ASCII.
_NEVER_IN_NUMBERS = bytes(
    code for code in range(256) if 0x80 <= code < 0xF0 or (code < 0x80 and chr(code).isalpha() and chr(code) != "e") or chr(code) in " _:"
)
_WHOLE_FLOAT = re.compile(rb"\.0[,\]}]")
_EXPONENT = re.compile(rb"e(?<=[0-9]e)[-+]?[0-9]{1,3}[,\]}]")
# What these find is looked at again from where a number can begin, so that "low = 1e-05, ..." within a string costs no more than this.
_IS_EXPONENT = re.compile(rb'["\[,]-?[0-9.]+e[-+]?[0-9]{1,3}[,\]}]')
_IS_WHOLE_FLOAT = re.compile(rb'["\[,]-?[0-9]+\.0[,\]}]')
_LARGE = re.compile(rb"[\[,:]-?[0-9]{16}")


@dataclass(frozen=True, slots=True)
class Canonical:
    """A value that is RFC 8785 text already: made once, written into many records."""

    text: bytes


def canonical(value: object) -> bytes:
    """The RFC 8785 bytes of a JSON value; NaN and infinities are written as ``null``, as in every answer.

    Raises:
        RecordInvalid: the value is not JSON, or holds an integer of 2^53 or more.
    """
    try:
        text = orjson.dumps(value, _plain, _OPTIONS)
    except TypeError as error:
        raise RecordInvalid(f"a value cannot be written as JSON: {error}") from error
    kind = type(value)
    if kind is str:
        return text
    if kind is not dict and kind is not list and not isinstance(value, Mapping | list | tuple | str):
        return _slowly(text)
    lean = text.translate(None, _NEVER_IN_NUMBERS)
    if not lean.isascii() or (_EXPONENT.search(lean) and _IS_EXPONENT.search(lean)):
        return _slowly(text)
    return _without_fractions(text) if _WHOLE_FLOAT.search(lean) and _IS_WHOLE_FLOAT.search(lean) else text


def _slowly(text: bytes) -> bytes:
    try:
        return rfc8785.dumps(orjson.loads(text))
    except rfc8785.CanonicalizationError as error:
        raise RecordInvalid(f"a value has no canonical JSON: {error}") from error


def _without_fractions(text: bytes) -> bytes:
    """Canonical JSON of a text in which only whole floats can differ."""
    try:
        return orjson.dumps(_whole(orjson.loads(text)), option=_OPTIONS)
    except orjson.JSONEncodeError:  # a whole number that no longer counts as one: 2^53 and more
        return _slowly(text)


def _whole(value: Any) -> Any:
    kind = type(value)
    if kind is float:
        return int(value) if value.is_integer() else value
    if kind is dict:
        return {name: _whole(item) for name, item in value.items()}
    return [_whole(item) for item in value] if kind is list else value


def read(text: bytes) -> object:
    """Read canonical JSON so that writing it again gives the same bytes: whole numbers beyond 2^53 were floats.

    Raises:
        ValueError: the text is not JSON.
    """
    large = _LARGE.search(text) if text[:1] in {b"[", b"{"} else True  # the digits of a fraction are many and harmless
    return json.loads(text, parse_int=_number) if large else orjson.loads(text)


def _number(text: str) -> float:
    value = int(text)
    return value if abs(value) < 2**53 else float(text)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
