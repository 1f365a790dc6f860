# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Tell by its shape that data is canonical: a third of the cost of parsing it and of writing it again.

A shape is learned from data that was found to be canonical: its keys, in that order and nesting, its event, and of
every other value only what kind it is. Other data of the same shape is canonical as well when its texts need no
escape and are ASCII, and its numbers have so few digits that there is one way to write them. This is a regular
expression; where it does not match, nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

from . import fastjson
from .objects import MARK

# Each is tried in turn: with many of them it would be quicker to parse.
_MOST_SHAPES = 16
_MOST_BYTES = 4096
_CONTROLS = bytes(range(32))
# That there is no backslash, control character or byte beyond ASCII is checked for all data at once.
_TEXT = rb'"[^"]*"'
# At most 14 digits, no zeros at either end that could be left out, not -0. Any decimal of up to 15 digits is the
# shortest one of its double, and from 0.0001 to below 1e21 ECMAScript writes no exponent.
_NUMBER = rb"-?(?:[1-9][0-9]{0,9}|0)(?:\.[0-9]{0,3}[1-9])?(?<!-0)"


class Shapes:
    """The shapes that were seen."""

    def __init__(self) -> None:
        self._known: list[bytes] = []
        # Whether data of a known shape may refer to an object.
        self.refer = False
        self._match: Callable[[bytes, int], object] = re.compile(rb"(?!)").fullmatch

    def learn(self, value: dict[str, Any]) -> None:
        """Remember the shape of ``value``, whose canonical form is known to be good data with an event."""
        if len(self._known) >= _MOST_SHAPES:
            return
        shape = _shape({**value, "event": _Fixed(value["event"])})
        if shape not in self._known and len(shape) <= _MOST_BYTES:
            self._known.append(shape)
            self.refer = self.refer or MARK in shape
            self._match = re.compile(b"|".join(self._known)).fullmatch

    def unknown(self, parts: Sequence[bytes], joined: bytes, start: int = 0) -> list[int]:
        """Return the places of those ``parts`` that are not plainly data of a known shape.

        :param joined: has all bytes of ``parts``, and no control characters besides.
        :param start: where in each of them the data begin.
        """
        if not self._known or not _needs_no_escape(joined):
            return list(range(len(parts)))
        return [place for place, found in enumerate(map(self._match, parts, repeat(start))) if found is None]


class _Fixed(str):
    """A text that is part of the shape."""


def _needs_no_escape(joined: bytes) -> bool:
    return joined.isascii() and b"\\" not in joined and len(joined.translate(None, _CONTROLS)) == len(joined)


def _shape(value: Any) -> bytes:
    if isinstance(value, _Fixed):
        return re.escape(fastjson.write(str(value)))
    if isinstance(value, str):
        return _TEXT
    if isinstance(value, bool):
        return b"(?:true|false)"
    if isinstance(value, int | float):
        return _NUMBER
    if value is None:
        return b"null"
    if isinstance(value, dict):
        members = [re.escape(fastjson.write(key)) + b":" + _shape(value[key]) for key in sorted(value)]
        return rb"\{" + b",".join(members) + rb"\}"
    return rb"\[" + b",".join(map(_shape, value)) + rb"\]"
