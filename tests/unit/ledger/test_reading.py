# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Entries are read many at once, and as if it had been one by one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger, LedgerBroken, entry, store

METADATA: dict[str, Any] = {"sprint": "1", "provisional": True}
COUNT = 300


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger.create(tmp_path / "ledger", "example.test/reading")
    ledger.append_many(
        [
            {
                "type": "validation",
                "event": "coverage" if number % 100 else "sast",
                "data": {"n": number, "text": "\u00e9\U0001f986", "of": {"event": "sast"}, "share": 1e21},
                "metadata": METADATA,
            }
            for number in range(COUNT)
        ]
    )
    return ledger


def test_entries_are_what_their_lines_say(ledger: Ledger) -> None:
    lines = ledger.entries_path.read_bytes().splitlines()
    assert list(ledger.entries()) == [entry.parse(line) for line in lines]
    assert [found.sequence for found in ledger.own_entries(events=["sast"])] == [0, 100, 200]
    assert not list(ledger.own_entries(events=["frozen"]))


@pytest.mark.parametrize("events", [None, ["sast"]])
def test_a_line_that_does_not_hold_is_named(ledger: Ledger, events: list[str] | None) -> None:
    data = ledger.entries_path.read_bytes()
    ledger.entries_path.write_bytes(data.replace(b'"n":150', b'"n":151'))
    with pytest.raises(LedgerBroken, match="Entry 150 of") as broken:
        list(ledger.own_entries(events=events))
    assert broken.value.facts["sequence"] == 150
    # Without it; the entry after it is there, since what it follows is not looked at any more.
    rest = [found.sequence for found in ledger.entries(strict=False)]
    assert rest == [number for number in range(COUNT) if number != 150]


def test_lines_come_whole_whatever_a_block_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_BLOCK", 7)
    monkeypatch.setattr(store, "MAX_LINE_BYTES", 20)
    path = tmp_path / "lines"
    path.write_bytes(b"a\n\nbcdefgh\n" + b"x" * 50 + b"\ni\nunfinished")
    descriptor = os.open(path, os.O_RDONLY)
    lines = [line for group in store.line_groups(descriptor, 0, path.stat().st_size) for line in group]
    assert [line for group in store.line_groups(descriptor, 2, 11) for line in group] == [b"", b"bcdefgh"]
    os.close(descriptor)
    assert lines[:3] == [b"a", b"", b"bcdefgh"] and lines[-1] == b"i"
    assert b"".join(lines[3:-1]) == b"x" * 50 and len(lines[3:-1]) > 1
