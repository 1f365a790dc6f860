# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""JSON at the speed of C where that gives the same bytes as RFC 8785: orjson if installed, else the ``json`` module.

Neither writes numbers or sorts keys as RFC 8785 does in all cases, so :func:`plain` says first whether a value is of
the kind for which they do. Everything else is left to ``canonical``, which is exact and slow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain, repeat
from typing import Any

try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment,unused-ignore]

MAX_SAFE_INTEGER = 2**53 - 1
# Within these bounds, and with a fraction, a double has the same digits in ECMAScript, Python and orjson, without
# an exponent. Whole doubles are written without ".0" by ECMAScript only.
_SMALLEST, _LARGEST = 1e-4, 1e15
_TEXT = frozenset({str})
_CONTAINERS = frozenset({dict, list, tuple})
_KINDS = _CONTAINERS | {str, bool, int, float, type(None)}


def plain(value: Any, depth: int, keys: bool = True) -> bool:
    """Say whether the fast writers give the canonical bytes of ``value``, which may nest ``depth`` levels at most.

    True only for exact built-in types, safe integers, doubles that all write alike, and keys within the Basic
    Multilingual Plane, where code points and UTF-16 code units sort alike.

    :param keys: false when all keys are known to be ASCII texts, as those that were read from ASCII are.
    """
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        return bool(-MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER)
    if kind is float:
        return bool(_SMALLEST <= abs(value) < _LARGEST and not value.is_integer())
    if kind is dict:
        if depth <= 0:
            return False
        if keys and not _plain_keys(value):
            return False
        if SAME.issuperset(map(type, value.values())):
            return True
        for item in value.values():
            kind = type(item)
            if kind is float:
                if not _SMALLEST <= abs(item) < _LARGEST or item.is_integer():
                    return False
            elif kind not in SAME and not plain(item, depth - 1, keys):
                return False
        return True
    if kind is list or kind is tuple:
        if depth <= 0:
            return False
        return SAME.issuperset(map(type, value)) or all(plain(item, depth - 1, keys) for item in value)
    return False


def all_plain(values: Sequence[Any], depth: int, keys: bool = True) -> bool:
    """Say whether :func:`plain` is true of each of ``values``: all of them at once, one level of nesting after another.

    :param keys: false when all keys are known to be ASCII texts, as those that were read from ASCII are.
    """
    level: Sequence[Any] = values
    while True:
        kinds = set(map(type, level))
        if SAME.issuperset(kinds):
            return True
        if not _KINDS.issuperset(kinds):
            return False
        if float in kinds and not _plain_doubles([value for value in level if isinstance(value, float)]):
            return False
        if int in kinds and int not in SAME and not all(plain(value, 0) for value in level if isinstance(value, int)):
            return False
        if _CONTAINERS.isdisjoint(kinds):
            return True
        if depth <= 0:
            return False
        depth -= 1
        objects = [value for value in level if isinstance(value, dict)]
        if keys and not _plain_keys(set(chain.from_iterable(objects))):
            return False
        inner: list[Iterable[Any]] = [chain.from_iterable(map(dict.values, objects))]
        if not {list, tuple}.isdisjoint(kinds):
            inner += [value for value in level if isinstance(value, (list, tuple))]
        level = list(chain.from_iterable(inner))


def _plain_doubles(doubles: Sequence[float]) -> bool:
    return all(_SMALLEST <= abs(one) < _LARGEST for one in doubles) and not any(map(float.is_integer, doubles))


def _plain_keys(keys: Collection[Any]) -> bool:
    if not _TEXT.issuperset(map(type, keys)):
        return False
    joined = "".join(keys)
    return joined.isascii() or max(joined) <= "\uffff"


def write_many(values: Sequence[Any]) -> list[bytes]:
    """Return ``write`` of each of ``values``.

    With orjson it is one call for all: they become one array, with a raw line feed between them. Within JSON that is
    compact there is none, so what stands between the feeds is each one's own.
    """
    if _FEED is None or not values:
        return list(map(write, values))
    whole = write(list(chain.from_iterable(zip(values, repeat(_FEED)))))
    return whole[len(b"[") : -len(b",\n]")].split(b",\n,")


def _with_orjson() -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    options = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER

    def write(value: Any) -> bytes:
        encoded: bytes = orjson.dumps(value, option=options)
        return encoded

    return write, orjson.loads


def _with_json() -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    encode = json.JSONEncoder(
        ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False, check_circular=False
    ).encode

    def write(value: Any) -> bytes:
        return encode(value).encode("utf-8")

    def read(data: bytes) -> Any:
        return json.loads(data.decode("utf-8"))

    return write, read


# ``write`` gives the canonical bytes of what is plain; ``read`` parses leniently: only writing the value again and
# comparing the bytes tells whether they were canonical. Both raise ValueError, TypeError or RecursionError.
write, read = _with_orjson() if orjson is not None else _with_json()
# What orjson puts into its output as it is; older ones cannot.
_FEED = orjson.Fragment(b"\n") if hasattr(orjson, "Fragment") else None
# Values of these types are plain whatever they are; orjson itself refuses integers that are not.
SAME = frozenset({str, bool, type(None)} | ({int} if orjson is not None else set()))
