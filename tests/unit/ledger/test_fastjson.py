# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""With orjson, without it and by hand: the same bytes, and the same lines refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import canonical, fastjson
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

_SETTINGS = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(2**53) - 2, 2**53 + 2),
    st.floats(),
    st.integers(-400, 400).map(lambda power: float(f"1e{power % 300 - 20}")),
    st.decimals(allow_nan=False, allow_infinity=False, places=5).map(float),
)
TEXTS = st.text(st.characters(), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=12,
)


@pytest.fixture(params=["orjson", "json"])
def writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "orjson":
        pytest.importorskip("orjson")
    write, read = getattr(fastjson, f"_with_{request.param}")()
    monkeypatch.setattr(fastjson, "write", write)
    monkeypatch.setattr(fastjson, "read", read)
    same = {str, bool, type(None)} | ({int} if request.param == "orjson" else set())
    monkeypatch.setattr(fastjson, "SAME", frozenset(same))
    if request.param == "json":
        monkeypatch.setattr(fastjson, "_FEED", None)
    yield request.param


def _outcome(call: Any, value: Any) -> Any:
    try:
        return call(value)
    except canonical.NotCanonical as error:
        return str(error)


@_SETTINGS
@given(VALUES)
@example({"\ud800": 1})
@example(["\udfff"])
@example({"\U00010000": 1, "\ue000": 2})
@example([1e21, 1e-7, 1e16, 5e-324, -0.0, 1.0, 0.00001, 123456789012345680.0])
@example({"a": 2**53 - 1, "b": 2**53})
@example({"\x7f\u2028\x00\x1f": '\x7f\u2028\x00\x1f/\\"\b\f\n\r\t'})
def test_the_fast_writer_gives_the_bytes_of_the_exact_one(writer: str, value: Any) -> None:
    assert _outcome(canonical.encode, value) == _outcome(canonical.encode_exact, value)


@_SETTINGS
@given(VALUES, st.sampled_from(["ascii", "spaced", "unsorted", "repr"]))
@example(1e16, "repr")
@example([float("nan"), float("inf")], "repr")
def test_the_fast_reader_agrees_with_the_exact_one(writer: str, value: Any, style: str) -> None:
    line = json.dumps(
        value,
        ensure_ascii=style == "ascii",
        separators=(", ", ": ") if style == "spaced" else (",", ":"),
        sort_keys=style != "unsorted",
    ).encode("utf-8", "surrogatepass")
    fast, exact = _outcome(canonical.decode_strict, line), _outcome(canonical._read_exact, line)
    assert (type(fast), repr(fast)) == (type(exact), repr(exact))


@_SETTINGS
@given(VALUES, st.data())
def test_a_changed_byte_is_judged_alike(writer: str, value: Any, data: st.DataObject) -> None:
    try:
        line = bytearray(canonical.encode(value))
    except canonical.NotCanonical:
        return
    place = data.draw(st.integers(0, len(line) - 1))
    line[place : place + 1] = data.draw(st.sampled_from([b"", b" ", b"0", b"1", b",", b'"', b"e", b".", b"\xf0", b"-"]))
    fast, exact = _outcome(canonical.decode_strict, bytes(line)), _outcome(canonical._read_exact, bytes(line))
    assert (type(fast), repr(fast)) == (type(exact), repr(exact))


@pytest.mark.parametrize(
    "line",
    [
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"b":1,"a":2}',
        b"1.0",
        b"[1.0]",
        b'{"a":5e1}',
        b"1e16",
        b"1E21",
        b"1e-5",
        b"9007199254740993",
        b"18446744073709551616",
        b"-0",
        b"[NaN]",
        b"[Infinity]",
        b'"\\u0041"',
        b'"\\/"',
        b'"\\ud800"',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b'{"\xf0\x90\x80\x80":1,"\xee\x80\x80":2} ',
        b'{"\xee\x80\x80":2,"\xf0\x90\x80\x80":1}',
        b"[1] ",
        b"[1][1]",
        b"[" * 65 + b"]" * 65,
        b"[" * 5000 + b"]" * 5000,
        b"",
    ],
)
def test_what_is_not_canonical_is_refused_by_each(writer: str, line: bytes) -> None:
    with pytest.raises(canonical.NotCanonical):
        canonical.decode_strict(line)


@settings(_SETTINGS, max_examples=200)
@given(st.lists(VALUES, max_size=6))
@example([])
@example(["a,\n,b", {"\n": ",\n,"}, [",", "\n"], "\n"])
@example([[], {}, "", 0, [[]]])
@example([1, 1.0, 2])
@example([{"a": "\ud800"}, 1])
def test_many_at_once_are_the_same_bytes(writer: str, values: list[Any]) -> None:
    try:
        expected = [canonical.encode_exact(value) for value in values]
    except canonical.NotCanonical:
        with pytest.raises(canonical.NotCanonical):
            canonical.encode_many(values)
    else:
        assert canonical.encode_many(values) == expected
