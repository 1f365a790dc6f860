# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Canonical JSON, against examples of RFC 8785 and against an implementation that is not ours."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest
import rfc8785
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger.canonical import (
    MAX_DEPTH,
    MAX_SAFE_INTEGER,
    NotCanonical,
    decode_strict,
    encode,
)
from hypothesis import example, given
from hypothesis import strategies as st

_safe_integers = st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
_floats = st.floats(allow_nan=False, allow_infinity=False)
_texts = st.text(st.characters(exclude_categories=["Cs"]))
_values = st.recursive(
    st.none() | st.booleans() | _safe_integers | _floats | _texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_texts, inner, max_size=5),
    max_leaves=20,
)

# RFC 8785, appendix B: IEEE 754 bits and the text.
_APPENDIX_B = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
]


@pytest.mark.parametrize(("bits", "text"), _APPENDIX_B)
def test_numbers_of_appendix_b(bits: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert encode(value).decode() == text


def test_the_example_of_section_3_2_3() -> None:
    """Keys are sorted by UTF-16 code units, not by code points."""
    value = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(encode(value))) == order


def test_strings_escape_only_what_json_demands() -> None:
    assert encode('\u20ac$\u000f\nA\'B"\\\\"/\x7f') == '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/\x7f"'.encode()


@given(_values)
@example(value=[1e21, 1e-7, -1.5, 0.1, 2.0**70, 123456789012345680000.0])
def test_the_bytes_are_those_of_another_implementation(value: Any) -> None:
    assert encode(value) == rfc8785.dumps(value)


@given(_values)
def test_what_is_written_is_read_back(value: Any) -> None:
    line = encode(value)
    assert encode(decode_strict(line)) == line


@given(_values)
def test_another_layout_of_the_same_value_is_refused(value: Any) -> None:
    loose = json.dumps({"b": value, "a": 1}).encode()
    with pytest.raises(NotCanonical):
        decode_strict(loose)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        value = decode_strict(data)
    except NotCanonical:
        return
    assert encode(value) == data


@pytest.mark.parametrize(
    "value",
    [
        MAX_SAFE_INTEGER + 1,
        -MAX_SAFE_INTEGER - 1,
        math.nan,
        math.inf,
        "\ud800",
        {"\udfff": 1},
        {1: "x"},
        b"bytes",
        {"a", "b"},
    ],
)
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(NotCanonical):
        encode(value)


@pytest.mark.parametrize(
    "line",
    [
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b'{"a": 1}',
        b'{"a":1.0}',
        b'{"a":-0}',
        b"[1e2]",
        b"9007199254740993",
        b'"\\u0041"',
        b'"\\/"',
        b'"\\ud800"',
        b"NaN",
        b"[1] ",
        b"\xef\xbb\xbf1",
        b"\xff",
        b"",
        b"[" * 100_000,
        b"1" * 10_000,
    ],
)
def test_other_forms_are_refused(line: bytes) -> None:
    with pytest.raises(NotCanonical):
        decode_strict(line)


def test_nesting_has_a_limit_for_reader_and_writer() -> None:
    deepest: Any = []
    for _level in range(MAX_DEPTH - 1):
        deepest = [deepest]
    assert decode_strict(encode(deepest)) == deepest
    with pytest.raises(NotCanonical, match="nested deeper"):
        encode([deepest])
    with pytest.raises(NotCanonical, match="nested deeper"):
        decode_strict(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))
