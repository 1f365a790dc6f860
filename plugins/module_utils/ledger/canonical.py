# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""RFC 8785 canonical JSON: one value, one sequence of bytes.

Numbers follow ECMAScript's ``Number.prototype.toString``, object keys are sorted by UTF-16 code units,
strings are escaped only where JSON demands it, the output is UTF-8.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from . import fastjson

# RFC 7493 (I-JSON): beyond this an IEEE double no longer tells neighbours apart.
MAX_SAFE_INTEGER = fastjson.MAX_SAFE_INTEGER
# Ours, not the RFC's: a limit that every reader can honour without running out of stack.
MAX_DEPTH = 64

_quote = json.JSONEncoder(ensure_ascii=False).encode


class NotCanonical(ValueError):
    """The value has no canonical form, or the bytes are not in it."""


def encode(value: Any) -> bytes:
    """Return the canonical UTF-8 bytes of ``value``, without a final line feed.

    :param value: made of dict (keys are str), list, tuple, str, int, float, bool and None.
    :raises NotCanonical: another type, an integer beyond ±(2^53-1), NaN, an infinity, a lone surrogate,
        or nesting deeper than ``MAX_DEPTH``.
    """
    if fastjson.plain(value, MAX_DEPTH):
        try:
            return fastjson.write(value)
        except (ValueError, TypeError, RecursionError):
            pass  # A lone surrogate; the exact writer below says so.
    return encode_exact(value)


def encode_many(values: Sequence[Any]) -> list[bytes]:
    """Return :func:`encode` of each of ``values``, in fewer steps.

    :raises NotCanonical: one of them has no canonical form.
    """
    if len(values) > 1 and fastjson.all_plain(values, MAX_DEPTH):
        try:
            return fastjson.write_many(values)
        except (ValueError, TypeError, RecursionError):
            pass
    return list(map(encode, values))


def encode_exact(value: Any) -> bytes:
    """Return the same bytes as :func:`encode`, by this module alone."""
    parts: list[str] = []
    _write(value, parts, 0)
    try:
        return "".join(parts).encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotCanonical("a string holds a lone surrogate, which UTF-8 cannot express") from error


def decode_strict(line: bytes) -> Any:
    """Return the value whose canonical form is exactly ``line`` (no final line feed).

    :raises NotCanonical: the bytes are not JSON, repeat a key, or are not the canonical form.
    """
    value = _read_fast(line)
    return _read_exact(line) if value is _UNSURE else value


_UNSURE = object()


def _read_fast(line: bytes) -> Any:
    """Return the value of a line that is plainly canonical; what is not, the exact reader looks at."""
    try:
        value = fastjson.read(line)
        # A repeated key, a blank, another order or escape: the bytes come out differently.
        if fastjson.plain(value, MAX_DEPTH, keys=not line.isascii()) and fastjson.write(value) == line:
            return value
    except (ValueError, TypeError, RecursionError):
        pass
    return _UNSURE


def _read_exact(line: bytes) -> Any:
    try:
        value = json.loads(
            line.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_constant=_no_constant,
        )
    except NotCanonical:
        raise
    except (ValueError, RecursionError) as error:
        raise NotCanonical(f"not JSON: {error}") from error
    if encode_exact(value) != line:
        raise NotCanonical("JSON, but not in the canonical form of RFC 8785")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise NotCanonical("an object repeats a key")
    return result


def _integer(digits: str) -> int | float:
    # A double of 2^53 or more is written without a fraction; it comes back as the double it was, and the
    # comparison with the line then refuses digits that no double has.
    if len(digits) <= 17:
        value = int(digits)
        if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
            return value
    return float(digits)


def _no_constant(name: str) -> Any:
    raise NotCanonical(f"{name} is not JSON")


def _write(value: Any, parts: list[str], depth: int) -> None:
    if value is None:
        parts.append("null")
    elif isinstance(value, bool):
        parts.append("true" if value else "false")
    elif isinstance(value, str):
        parts.append(_quote(str(value)))
    elif isinstance(value, int):
        parts.append(_integer_text(value))
    elif isinstance(value, float):
        parts.append(_double_text(value))
    elif isinstance(value, dict | list | tuple):
        if depth >= MAX_DEPTH:
            raise NotCanonical(f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            _write_object(value, parts, depth + 1)
        else:
            _write_array(value, parts, depth + 1)
    else:
        raise NotCanonical(f"{type(value).__name__} is not a JSON type")


def _write_array(values: Sequence[Any], parts: list[str], depth: int) -> None:
    parts.append("[")
    for index, item in enumerate(values):
        if index:
            parts.append(",")
        _write(item, parts, depth)
    parts.append("]")


def _write_object(value: dict[Any, Any], parts: list[str], depth: int) -> None:
    for key in value:
        if not isinstance(key, str):
            raise NotCanonical(f"the key {key!r} is not a string")
    parts.append("{")
    for index, key in enumerate(sorted(value, key=_utf16)):
        if index:
            parts.append(",")
        parts.append(_quote(str(key)))
        parts.append(":")
        _write(value[key], parts, depth)
    parts.append("}")


def _utf16(key: str) -> bytes:
    try:
        return key.encode("utf-16-be")
    except UnicodeEncodeError as error:
        raise NotCanonical("a key holds a lone surrogate, which UTF-8 cannot express") from error


def _integer_text(value: int) -> str:
    if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        raise NotCanonical(f"the integer {value} is beyond ±(2^53-1); give it as a string")
    return int.__repr__(value)


def _double_text(value: float) -> str:
    """ECMA-262 Number::toString(10); Python's repr gives the same shortest digits, laid out differently."""
    if not math.isfinite(value):
        raise NotCanonical(f"{value} is not a JSON number")
    if value == 0:
        return "0"  # also for -0
    mantissa, exponent = _halves(float.__repr__(abs(value)), "e")
    whole, fraction = _halves(mantissa, ".")
    digits = (whole + fraction).lstrip("0")
    leading_zeros = len(whole + fraction) - len(digits)
    # The value is 0.digits times 10^point.
    point = len(whole) - leading_zeros + int(exponent or "0")
    digits = digits.rstrip("0")
    return ("-" if value < 0 else "") + _layout(digits, point)


def _halves(text: str, mark: str) -> tuple[str, str]:
    first, _mark, rest = text.partition(mark)
    return first, rest


def _layout(digits: str, point: int) -> str:
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    exponent = point - 1
    tail = ("." + digits[1:]) if count > 1 else ""
    return f"{digits[0]}{tail}e{'+' if exponent > 0 else '-'}{abs(exponent)}"
