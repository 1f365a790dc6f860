# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The fast check of many lines accepts nothing that the check of one line refuses, whatever the forger knows."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import batch, canonical, entry, fastjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

GENESIS = entry.genesis_hash("example.test/sandbox")
TIME = "2025-09-25T10:15:30.123Z"
REFERENCE = {"sha256": "0" * 64, "size": 3, "media_type": "text/plain"}
DATA: list[dict[str, Any]] = [
    {"event": "sast", "number": 1},
    {"event": "coverage", "observed": 87.5, "text": "ü\U00010000, },{"},
    {"event": "health", "object": REFERENCE, "list": [1, [2, {"hash": "x", "id": "y"}]]},
    {"event": "chain", "hash": "0" * 64},
    {"event": "gate", "whole": 1e21, "tiny": 1e-7},
    {"event": "sast", "\U00010000": 1, "\ue000": 2},
    {"event": "sast"},
]
METADATA = [{"provisional": True, "sprint": "1"}, {"provisional": False, "sprint": "2", "hash": "z"}]


@pytest.fixture(params=["orjson", "json"], autouse=True)
def writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "orjson":
        pytest.importorskip("orjson")
    write, read = getattr(fastjson, f"_with_{request.param}")()
    monkeypatch.setattr(fastjson, "write", write)
    monkeypatch.setattr(fastjson, "read", read)
    same = {str, bool, type(None)} | ({int} if request.param == "orjson" else set())
    monkeypatch.setattr(fastjson, "SAME", frozenset(same))


def _chain(parts: list[tuple[bytes, bytes]], **fields: Any) -> list[bytes]:
    """Lines with correct hashes and links around any ``(data, metadata)``, as a forger would make them."""
    lines, previous = [], GENESIS
    for number, (data, metadata) in enumerate(parts):
        told = {"id": str(uuid.UUID(int=number)), "timestamp": TIME, "type": "validation", **fields}
        line, previous = entry.write(
            number, told["id"], told["timestamp"], told["type"], data, metadata, previous_hash=previous
        )
        lines.append(line)
    return lines


def _sound() -> list[bytes]:
    return _chain([(canonical.encode(data), canonical.encode(METADATA[n // 3 % 2])) for n, data in enumerate(DATA * 3)])


def _one_by_one(lines: list[bytes]) -> bool:
    previous, last = GENESIS, ""
    for number, line in enumerate(lines):
        try:
            found = entry.parse(line)
        except entry.BadLine:
            return False
        if (found.sequence, found.previous_hash) != (number, previous) or found.timestamp < last:
            return False
        previous, last = found.hash, found.timestamp
    return True


def _at_once(lines: list[bytes], memory: batch.Memory) -> bool:
    try:
        batch.check(lines, 0, GENESIS, memory)
    except batch.Unsure:
        return False
    return True


def _warm() -> batch.Memory:
    memory = batch.Memory()
    batch.check(_sound(), 0, GENESIS, memory)
    for data in DATA:
        memory.shapes.learn(data)
    return memory


def test_sound_lines_are_read_as_one_by_one() -> None:
    lines = _sound()
    for memory in (batch.Memory(), _warm()):
        found = batch.check(lines, 0, GENESIS, memory)
        entries = [entry.parse(line) for line in lines]
        assert found.ids == [one.id.encode() for one in entries]
        assert (found.count, found.last_hash) == (len(lines), entries[-1].hash)
        assert found.references == [(number, REFERENCE) for number in (2, 9, 16)]


def test_a_shape_is_learned_and_used() -> None:
    memory = batch.Memory()
    lines = _chain([(canonical.encode({"event": "sast", "n": number}), _META) for number in range(300)])
    part = b'{"event":"sast","n":7}'
    assert memory.shapes.unknown([part], part) == [0]
    batch.check(lines, 0, GENESIS, memory)
    assert memory.shapes.unknown([part], part) == []
    assert batch.check(lines, 0, GENESIS, memory).count == 300


_OK = b'{"event":"sast"}'
_META = b'{"provisional":true,"sprint":"1"}'


@pytest.mark.parametrize(
    "data",
    [
        b'{"event":"sast","event":"sast"}',
        b'{"event":"sast","number":1.0}',
        b'{"event":"sast","number":1e3}',
        b'{"event":"sast","number":0.00001e0}',
        b'{"event":"sast","number":1e-5}',
        b'{"event":"sast","number":9007199254740993}',
        b'{"event":"sast","number":18446744073709551616}',
        b'{"event":"sast","number":-0}',
        b'{"event":"sast","number":NaN}',
        b'{"event":"sast", "number":1}',
        b'{"number":1,"event":"sast"}',
        b'{"event":"sast","text":"\\u0041"}',
        b'{"event":"sast","text":"\\ud800"}',
        b'{"event":"sast","text":"\xff"}',
        b'{"event":"sast","\xee\x80\x80":2,"\xf0\x90\x80\x80":1}',
        b'{"event":"sast","deep":' + b"[" * 63 + b"]" * 63 + b"}",
        b'{"event":"sast","deep":' + b"[" * 2000 + b"]" * 2000 + b"}",
        b'{"event":"Not A Name"}',
        b'{"event":1}',
        b'{"event":["sast"]}',
        b'{"number":1}',
        b'["event"]',
        b"{}",
        b"null",
        b'{"event":"sast"},{"event":"sast"}',
        b'{"event":"sast"}}',
        b'{"event":"sast","x":[{"event":"sast"}',
        b'{"event":"sast"},"hash":"x"',
        b"",
    ],
)
def test_data_that_one_line_may_not_have_is_not_accepted_in_many(data: bytes) -> None:
    lines = _chain([(_OK, _META), (data, _META), (_OK, _META)])
    assert not _one_by_one(lines)
    assert not _at_once(lines, batch.Memory())
    assert not _at_once(lines, _warm())


def test_parts_that_are_json_only_together_are_not_accepted() -> None:
    parts = [b'{"event":"sast","x":[1', b'2],"y":1}', b'{"event":"sast"},{"event":"sast"}']
    lines = _chain([(part, _META) for part in parts])
    assert json.loads(b"[" + b",".join(parts) + b"]")[0]["x"] == [1, 2]
    assert not _at_once(lines, _warm())


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "00000000-0000-0000-0000-00000000000G"},
        {"id": "00000000-0000-0000-0000-00000000000A"},
        {"id": "0000000-00000-0000-0000-000000000000"},
        {"id": "00000000000000000000000000000000----"},
        {"timestamp": "2025-13-25T10:15:30.123Z"},
        {"timestamp": "2025-09-25T24:15:30.123Z"},
        {"timestamp": "2025-09-25T10:15:30,123Z"},
        {"timestamp": "2025-09-25T10:15:30.12xZ"},
        {"timestamp": "2025-09-25T10:15:30.123+"},
        {"type": "gossip"},
    ],
)
def test_fields_of_a_wrong_form_are_not_accepted(fields: dict[str, str]) -> None:
    lines = _chain([(_OK, _META)] * 3, **fields)
    assert not _one_by_one(lines)
    assert not _at_once(lines, _warm())


@pytest.mark.parametrize("metadata", [b"[]", b"null", b'{"b":1,"a":2}', b'{"a":1,"a":1}', b"{} ", b'{"a":1.0}'])
def test_metadata_is_checked_too(metadata: bytes) -> None:
    lines = _chain([(_OK, _META), (_OK, metadata), (_OK, metadata)])
    assert not _one_by_one(lines)
    assert not _at_once(lines, _warm())


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_change_is_judged_alike(data: st.DataObject) -> None:
    lines = [bytearray(line) for line in _sound()]
    line = data.draw(st.sampled_from(lines))
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "swap", "drop", "repeat"]))
    place = data.draw(st.integers(0, len(line) - 1))
    if kind == "flip":
        line[place] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        del line[place : place + data.draw(st.integers(1, 9))]
    elif kind == "insert":
        line[place:place] = data.draw(st.sampled_from([b" ", b"0", b'"', b",", b"{}", b'"a":1,', b"\xf0"]))
    else:
        at, to = data.draw(st.integers(0, len(lines) - 1)), data.draw(st.integers(0, len(lines) - 1))
        if kind == "swap":
            lines[at], lines[to] = lines[to], lines[at]
        elif kind == "drop" and at < len(lines) - 1:
            del lines[at]
        elif kind == "repeat":
            lines.insert(to, lines[at])
    changed = [bytes(one) for one in lines]
    assert _at_once(changed, _warm()) == _one_by_one(changed)
