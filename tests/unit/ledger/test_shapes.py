# Copyright: Contributors to Golden Goose
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging data by its shape, or many values at once, accepts nothing that the exact way refuses."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import canonical, fastjson
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger.shapes import Shapes
from hypothesis import example, given, settings
from hypothesis import strategies as st

NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(2**53) - 2, 2**53 + 2),
    st.floats(),
    st.decimals(allow_nan=False, allow_infinity=False, places=4).map(float),
)
TEXTS = st.text(st.characters(), max_size=6)
KEYS = TEXTS | st.sampled_from(["a", "b", "event", "n.m", 'q"', "\U00010000", "\ue000"])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=10,
)
DATA = st.dictionaries(KEYS, VALUES, max_size=5).map(lambda value: {**value, "event": "sast"})
NUMBER_TEXTS = st.text("0123456789+-.eE", min_size=1, max_size=18)
_FORGED = [
    b"-0", b"00", b"01", b"1.0", b"0.0", b"-0.0", b"1.50", b"1e3", b"1E3", b"0.00001", b"1e-7", b".5", b"5.", b"+1",
    b"9007199254740993", b"100000000000000000000000", b"NaN", b"--1", b"1 ", b"", b"null", b'"1"', b"true",
]  # fmt: skip
_FORGED_TEXTS = [b"\\u0041", b"\\/", b"a\nb", b"\x00", b"\xff", b'","x":"', b'"', b"\\", b"\xc3\xa9", b"\x7f", b"},{"]


def _canonical(part: bytes) -> bool:
    try:
        value = canonical._read_exact(part)
    except canonical.NotCanonical:
        return False
    return isinstance(value, dict) and value.get("event") == "sast"


def _accepted(shapes: Shapes, part: bytes) -> bool:
    return not shapes.unknown([part], part)


def _encoded(value: Any) -> bytes | None:
    try:
        return canonical.encode(value)
    except canonical.NotCanonical:
        return None


@settings(max_examples=500, deadline=None)
@given(DATA, st.data())
@example({"event": "sast", "n": 87.5, "t": ["x", {"y": None, "z": True}]}, None)
def test_what_fits_a_shape_is_canonical(value: dict[str, Any], data: st.DataObject | None) -> None:
    part = _encoded(value)
    if part is None:
        return
    shapes = Shapes()
    shapes.learn(value)
    assert not _accepted(shapes, part) or _canonical(part)
    if data is None:
        assert _accepted(shapes, part)
        return
    place = data.draw(st.integers(0, len(part)))
    new = data.draw(st.sampled_from([b"", b" ", b"0", b"1", b",", b'"', b"e", b".", b"-", b"\\", b"\n", b'"a":1,']))
    for changed in (part[:place] + new + part[place:], part[:place] + new + part[place + 1 :]):
        assert not _accepted(shapes, changed) or _canonical(changed)


@settings(max_examples=1000, deadline=None)
@given(NUMBER_TEXTS)
def test_any_number_that_fits_is_written_as_ecmascript_does(text: str) -> None:
    shapes = Shapes()
    shapes.learn({"event": "sast", "n": 1})
    part = b'{"event":"sast","n":%b}' % text.encode()
    assert not _accepted(shapes, part) or _canonical(part)


@settings(max_examples=500, deadline=None)
@given(st.integers(-(10**10) + 1, 10**10 - 1), st.integers(0, 9999))
def test_usual_numbers_fit(whole: int, fraction: int) -> None:
    shapes = Shapes()
    shapes.learn({"event": "sast", "n": 0.5})
    part = canonical.encode({"event": "sast", "n": float(f"{whole}.{fraction:04d}")})
    assert _accepted(shapes, part) and _canonical(part)


@pytest.mark.parametrize("number", _FORGED)
def test_a_number_that_can_be_written_differently_does_not_fit(number: bytes) -> None:
    shapes = Shapes()
    shapes.learn({"event": "sast", "n": 1})
    assert not _accepted(shapes, b'{"event":"sast","n":%b}' % number)
    assert _accepted(shapes, b'{"event":"sast","n":-1.5}')


@pytest.mark.parametrize("text", _FORGED_TEXTS)
def test_a_text_that_needs_a_closer_look_does_not_fit(text: bytes) -> None:
    shapes = Shapes()
    shapes.learn({"event": "sast", "t": "x"})
    part = b'{"event":"sast","t":"%b"}' % text
    assert not _accepted(shapes, part) or _canonical(part)
    assert _accepted(shapes, part) == (text in (b"\x7f", b"},{"))


def test_another_event_order_or_repeated_key_does_not_fit() -> None:
    shapes = Shapes()
    shapes.learn({"event": "sast", "n": 1})
    for part in (
        b'{"event":"chain","n":1}',
        b'{"n":1,"event":"sast"}',
        b'{"event":"sast","n":1,"n":1}',
        b'{"event":"sast","event":"sast","n":1}',
        b'{"event":"sast"}',
        b'{"event":"sast","n":1}}',
    ):
        assert not _accepted(shapes, part)


def test_only_so_many_shapes_are_kept() -> None:
    shapes = Shapes()
    for number in range(30):
        shapes.learn({"event": "sast", f"k{number:02d}": 1})
    assert _accepted(shapes, b'{"event":"sast","k00":1}')
    assert not _accepted(shapes, b'{"event":"sast","k29":1}')


@settings(max_examples=500, deadline=None)
@given(st.lists(VALUES, max_size=5), st.integers(0, 4))
@example([float("nan")], 4)
@example([[[[1]]]], 3)
@example([[[[1]]]], 2)
@example([{"\U00010000": 1}, {"": 1}], 4)
@example([{1: 1}], 4)
@example([2**53], 4)
@example([{"a": (1, 2.0)}], 4)
def test_many_values_are_plain_when_each_is(values: list[Any], depth: int) -> None:
    together = fastjson.all_plain(values, depth)
    each = all(fastjson.plain(value, depth) for value in values)
    assert together or not each
    if together:  # Though not each: orjson itself refuses integers that are too large.
        for value in values:
            try:
                written = fastjson.write(value)
            except (ValueError, TypeError):
                continue
            assert written == canonical.encode_exact(value)
