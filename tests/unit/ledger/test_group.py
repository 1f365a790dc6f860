# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A group of entries is one write and one fsync, all or nothing; a writer that stays notices another file."""

from __future__ import annotations

import errno
import os
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
    entry,
    store,
    verify,
)

from .conftest import METADATA, ORIGIN, rewrite

Add = Callable[..., Appended]


def _item(id: str | None = None, **data: Any) -> dict[str, Any]:
    return {"type": "validation", "event": "sast", "data": data, "metadata": METADATA, "id": id}


def test_a_group_is_written_with_one_fsync(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(store.os, "fsync", lambda descriptor: (synced.append(descriptor), real(descriptor))[1])
    made = ledger.append_many([_item(number=number) for number in range(50)])
    assert len(synced) == 1
    assert [one.changed for one in made] == [True] * 50
    assert [one.entry for one in made] == list(ledger.entries())
    assert verify(ledger.path).intact


def test_a_group_and_single_entries_make_the_same_lines(tmp_path: Path) -> None:
    now = datetime(2025, 9, 25, tzinfo=UTC)
    items = [_item(str(uuid.uuid4()), number=number, share=number / 7, text="ü\U00010000") for number in range(20)]
    ledgers = []
    for name in ("one", "other"):
        Ledger.create(tmp_path / name, ORIGIN)
        ledgers.append(Ledger(tmp_path / name, ORIGIN, now=lambda: now))
    ledgers[0].append_many(items)
    for item in items:
        ledgers[1].append(**item)
    assert ledgers[0].entries_path.read_bytes() == ledgers[1].entries_path.read_bytes()


def test_saying_a_group_again_adds_what_is_new(ledger: Ledger) -> None:
    items = [_item(str(uuid.uuid4()), number=number) for number in range(6)]
    ledger.append_many(items[:3])
    assert [one.changed for one in ledger.append_many(items)] == [False] * 3 + [True] * 3
    assert [one.changed for one in ledger.append_many(items)] == [False] * 6
    assert ledger.append_many([]) == []
    assert [one.data["number"] for one in ledger.entries()] == list(range(6))


def test_the_same_id_twice_in_a_group_is_one_entry_or_a_conflict(ledger: Ledger) -> None:
    id = str(uuid.uuid4())
    made = ledger.append_many([_item(id, number=1), _item(), _item(id, number=1)])
    assert [one.changed for one in made] == [True, True, False]
    assert made[0].entry == made[2].entry
    id = str(uuid.uuid4())
    with pytest.raises(EntryConflict, match="Entry 2 of"):
        ledger.append_many([_item(id, number=1), _item(id, number=2)])
    assert ledger.head().size == 2


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ({"password": "hunter2"}, "data.password"),
        ({"number": 2**53}, "beyond"),
        ({"text": "x" * entry.MAX_LINE_BYTES}, "65535 bytes"),
    ],
)
def test_nothing_of_a_group_is_kept_when_one_is_refused(ledger: Ledger, bad: dict[str, Any], sentence: str) -> None:
    with pytest.raises(EntryRefused, match=sentence):
        ledger.append_many([_item(number=1), _item(**bad), _item(number=2)])
    assert ledger.entries_path.read_bytes() == b""


def test_the_longest_line_is_an_entry_and_a_longer_one_is_reported(ledger: Ledger, add: Add) -> None:
    room = entry.MAX_LINE_BYTES - len(add(text="").entry.line)
    assert len(add(text="x" * room).entry.line) == entry.MAX_LINE_BYTES
    assert verify(ledger.path).intact
    with pytest.raises(EntryRefused, match="objects"):
        add(text="x" * (room + 1))
    line, _hash = entry.write(
        2,
        str(uuid.uuid4()),
        "2999-01-01T00:00:00.000Z",
        "validation",
        b'{"event":"sast","text":"' + b"x" * entry.MAX_LINE_BYTES + b'"}',
        b"{}",
        ledger.head().hash,
    )
    rewrite(ledger, lambda lines: [*lines, line + b"\n"])
    problem = verify(ledger.path).problems[0]
    assert (problem.sequence, problem.kind) == (2, "line")
    assert "65535" in problem.message


def test_an_error_takes_the_whole_group_back(ledger: Ledger, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    add(number=0)
    before = ledger.entries_path.read_bytes()
    failed: list[int] = []

    def fail_once(descriptor: int) -> None:
        if not failed:
            failed.append(descriptor)
            raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(store.os, "fsync", fail_once)
        with pytest.raises(LedgerError, match="nothing of the entry was kept"):
            ledger.append_many([_item(number=number) for number in range(9)])
    assert ledger.entries_path.read_bytes() == before
    assert add(number=1).entry.sequence == 1


def test_a_replaced_file_is_noticed_while_open(ledger: Ledger, add: Add, tmp_path: Path) -> None:
    add(number=1)
    copy = tmp_path / "copy"
    copy.write_bytes(ledger.entries_path.read_bytes())
    copy.replace(ledger.entries_path)
    with pytest.raises(LedgerBroken, match="was replaced by another file while this process had it open"):
        add(number=2)
    assert Ledger.open(ledger.path).append(**_item(number=2)).changed


def test_a_deleted_file_is_noticed_while_open(ledger: Ledger, add: Add) -> None:
    add(number=1)
    ledger.entries_path.unlink()
    with pytest.raises(LedgerBroken, match="is missing although the ledger exists"):
        add(number=2)
    assert not ledger.entries_path.exists()


def test_a_rewritten_last_entry_is_noticed_while_open(ledger: Ledger, add: Add) -> None:
    add(number=1)
    line, _hash = entry.write(
        0,
        str(uuid.uuid4()),
        "2025-09-25T12:00:00.000Z",
        "validation",
        b'{"event":"sast","number":2}',
        b'{"provisional":true,"sprint":"1"}',
        entry.genesis_hash(ORIGIN),
    )
    ledger.entries_path.write_bytes(line.ljust(ledger.entries_path.stat().st_size - 1, b" ") + b"\n")
    with pytest.raises(LedgerBroken):
        add(number=3)


def test_a_clock_that_was_set_back_is_recorded_once(tmp_path: Path) -> None:
    noon = datetime(2025, 9, 25, 12, tzinfo=UTC)
    clock = iter([noon, noon - timedelta(hours=2), noon - timedelta(hours=1), noon + timedelta(seconds=1)])
    Ledger.create(tmp_path / "l", ORIGIN)
    ledger = Ledger(tmp_path / "l", ORIGIN, now=lambda: next(clock))
    for number in range(4):
        ledger.append(**_item(number=number))
    entries = list(ledger.entries())
    assert [one.event for one in entries] == ["sast", "clock_set_back", "sast", "sast", "sast"]
    assert entries[1].data == {
        "event": "clock_set_back",
        "clock": "2025-09-25T10:00:00.000Z",
        "last": "2025-09-25T12:00:00.000Z",
        "behind_seconds": 7200,
    }
    assert [one.timestamp[11:19] for one in entries] == ["12:00:00"] * 4 + ["12:00:01"]
    assert verify(ledger.path).intact


def test_clocks_that_are_adjusted_a_little_are_no_event(tmp_path: Path) -> None:
    noon = datetime(2025, 9, 25, 12, tzinfo=UTC)
    clock = iter([noon, noon - timedelta(milliseconds=900)])
    Ledger.create(tmp_path / "l", ORIGIN)
    ledger = Ledger(tmp_path / "l", ORIGIN, now=lambda: next(clock))
    assert [ledger.append(**_item()).entry.sequence for _round in range(2)] == [0, 1]
