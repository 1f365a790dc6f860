# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Appending: what it writes, what it refuses, and that saying the same twice says it once."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    Appended,
    EntryConflict,
    EntryRefused,
    Ledger,
    LedgerBroken,
    LedgerError,
    LedgerMissing,
    genesis_hash,
    verify,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import METADATA, ORIGIN, rewrite

Add = Callable[..., Appended]
ID = "8a1f6a0e-6c1a-4f3a-8f0e-0c6f2a9f8b11"


def test_entries_form_a_chain_from_the_origin(ledger: Ledger, add: Add) -> None:
    first, second = add(number=1).entry, add(event="coverage").entry
    assert (first.sequence, first.previous_hash) == (0, genesis_hash(ORIGIN))
    assert (second.sequence, second.previous_hash) == (1, first.hash)
    assert list(ledger.entries()) == [first, second]
    assert ledger.head().size == 2
    assert first.data == {"event": "sast", "number": 1}


def test_the_line_has_the_form_of_the_addendum(ledger: Ledger, add: Add) -> None:
    add(number=1)
    value = json.loads(ledger.entries_path.read_bytes())
    assert {"id", "timestamp", "type", "metadata", "data", "hash"} <= value.keys()
    assert value["metadata"]["sprint"] == "1"
    assert value["metadata"]["provisional"] is True
    assert uuid.UUID(value["id"]).version == 4
    assert datetime.fromisoformat(value["timestamp"]).tzinfo is not None


def test_the_same_id_and_content_changes_nothing(ledger: Ledger, add: Add) -> None:
    first = add(id=ID, number=1.0)
    before = ledger.entries_path.read_bytes()
    again = add(id=ID, number=1)
    assert (first.changed, again.changed) == (True, False)
    assert again.entry == first.entry
    assert ledger.entries_path.read_bytes() == before


def test_the_same_id_with_other_content_is_a_conflict(ledger: Ledger, add: Add) -> None:
    add(id=ID, number=1)
    before = ledger.entries_path.read_bytes()
    for change in ({"number": 2}, {"number": 1, "event": "coverage"}):
        with pytest.raises(EntryConflict, match="other content"):
            add(id=ID, **change)
    with pytest.raises(EntryConflict):
        ledger.append(type="promotion", event="sast", data={"number": 1}, metadata=METADATA, id=ID)
    assert ledger.entries_path.read_bytes() == before


def test_a_writer_does_not_wait_for_its_own_lock(add: Add) -> None:
    started = time.monotonic()
    add(id=ID)
    assert time.monotonic() - started < 2


def test_an_id_that_is_only_mentioned_is_not_the_id(ledger: Ledger, add: Add) -> None:
    add(id=str(uuid.uuid4()), nested={"id": ID})
    assert ledger.find(ID) is None
    assert add(id=ID).changed


def test_preview_writes_nothing_and_agrees_with_append(ledger: Ledger, add: Add) -> None:
    said: dict[str, Any] = {"type": "validation", "event": "sast", "data": {}, "metadata": METADATA, "id": ID}
    assert ledger.preview(**said) is None
    assert ledger.entries_path.read_bytes() == b""
    entry = ledger.append(**said).entry
    assert ledger.preview(**said) == entry
    with pytest.raises(EntryConflict):
        ledger.preview(**{**said, "data": {"x": 1}})


def test_time_never_goes_back(tmp_path: Path) -> None:
    noon = datetime(2025, 9, 25, 12, tzinfo=UTC)
    clock = iter([noon, noon - timedelta(hours=2), noon + timedelta(milliseconds=1)])
    Ledger.create(tmp_path / "l", ORIGIN)
    ledger = Ledger(tmp_path / "l", ORIGIN, now=lambda: next(clock))
    stamps = [
        ledger.append(type="validation", event="sast", data={}, metadata=METADATA).entry.timestamp
        for _entry in range(3)
    ]
    assert stamps == ["2025-09-25T12:00:00.000Z", "2025-09-25T12:00:00.000Z", "2025-09-25T12:00:00.001Z"]
    assert verify(ledger.path).intact


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"metadata": {"sprint": "1"}}, "'provisional'"),
        ({"metadata": {"provisional": True}}, "'sprint'"),
        ({"metadata": {"sprint": 1, "provisional": True}}, "'sprint'"),
        ({"type": "gossip"}, "type is not one of"),
        ({"event": "Not A Name"}, "data.event"),
        ({"data": {"event": "other"}}, "data.event is 'other'"),
        ({"data": {"n": 2**53}}, "beyond"),
        ({"data": {"n": float("nan")}}, "not a JSON number"),
        ({"data": {"x": "a" * (1 << 20)}}, "objects"),
        ({"id": ID.upper()}, "UUID"),
        ({"data": {"password": "hunter2"}}, "data.password"),
        ({"data": {"deep": [{"x": "hvs." + "A" * 24}]}}, r"data.deep\[0\].x"),
        ({"data": {"x": "-----BEGIN EC PRIVATE KEY-----\nMH"}}, "data.x"),
    ],
)
def test_what_may_not_be_evidence_is_refused(ledger: Ledger, changes: dict[str, Any], sentence: str) -> None:
    said: dict[str, Any] = {"type": "validation", "event": "sast", "data": {}, "metadata": METADATA, **changes}
    with pytest.raises(EntryRefused, match=sentence) as caught:
        ledger.append(**said)
    assert "hunter2" not in str(caught.value)
    assert ledger.entries_path.read_bytes() == b""


def test_words_about_secrets_are_not_secrets(add: Add) -> None:
    add(reason="token expired", findings=[{"test": "hardcoded_password", "line": 3}], tokens=3)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda key: key != "event"),
        st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False),
        max_size=6,
    )
)
def test_any_data_comes_back_and_verifies(ledger: Ledger, data: dict[str, Any]) -> None:
    entry = ledger.append(type="validation", event="sast", data=data, metadata=METADATA).entry
    found = ledger.find(entry.id)
    assert found is not None and found.line == entry.line
    assert found.data == {**data, "event": "sast"}
    assert verify(ledger.path).intact


def test_nothing_is_added_after_a_broken_last_line(ledger: Ledger, add: Add) -> None:
    add(number=1)
    add(number=2)
    rewrite(ledger, lambda lines: [lines[0], lines[1].replace(b'"number":2', b'"number":3')])
    before = ledger.entries_path.read_bytes()
    with pytest.raises(LedgerBroken, match="last line"):
        add(number=4)
    assert ledger.entries_path.read_bytes() == before


def test_a_ledger_is_opened_only_under_its_origin(ledger: Ledger) -> None:
    assert Ledger.open(ledger.path, ORIGIN).origin == ORIGIN
    with pytest.raises(LedgerError, match="is of the origin"):
        Ledger.open(ledger.path, "example.test/other")
    with pytest.raises(LedgerError, match="is of the origin"):
        Ledger.create(ledger.path, "example.test/other")


def test_creating_twice_keeps_what_is_there(ledger: Ledger, add: Add) -> None:
    add()
    assert Ledger.create(ledger.path, ORIGIN).head().size == 1


def test_a_ledger_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(LedgerMissing, match="no ledger"):
        Ledger.open(tmp_path / "nowhere")


def test_entries_without_description_are_not_taken_over(ledger: Ledger, add: Add) -> None:
    add()
    (ledger.path / "ledger.json").unlink()
    with pytest.raises(LedgerBroken, match="restore that file"):
        Ledger.create(ledger.path, ORIGIN)


@pytest.mark.parametrize("origin", ["", "two words", "x" * 256, "ümlaut", "line\nfeed"])
def test_origins_have_a_plain_form(tmp_path: Path, origin: str) -> None:
    with pytest.raises(LedgerError, match="cannot name a ledger"):
        Ledger.create(tmp_path / "l", origin)
    assert not (tmp_path / "l").exists()


def test_the_folder_is_for_owner_and_group_only(ledger: Ledger, add: Add) -> None:
    add(object=ledger.objects.put_bytes(b"x"))
    for path in (ledger.path, *ledger.path.rglob("*")):
        assert path.stat().st_mode & 0o007 == 0, path


def test_a_lenient_reader_gets_what_still_holds(ledger: Ledger, add: Add) -> None:
    for number in range(4):
        add(number=number)
    rewrite(ledger, lambda lines: [line.replace(b'"number":1', b'"number":9') for line in lines])
    assert [entry.data["number"] for entry in ledger.entries(strict=False)] == [0, 2, 3]
    with pytest.raises(LedgerBroken):
        list(ledger.entries())
