# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The copy is complete, verified, only ever added to, and tells when the ledger was cut."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.keeping import check, keep_copy
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    Appended,
    Ledger,
    LedgerBroken,
    LedgerError,
    backup,
    compare,
    verify,
)

from .conftest import METADATA, ORIGIN, rewrite

Add = Callable[..., Appended]


@pytest.fixture
def filled(ledger: Ledger, add: Add) -> Ledger:
    add(object=ledger.objects.put_bytes(b"findings"))
    add(number=1)
    add(number=2)
    return ledger


def test_a_copy_holds_all_and_is_verified(filled: Ledger, tmp_path: Path) -> None:
    made = backup(filled, tmp_path / "copy")
    assert (made.size, made.head, made.changed, made.copied_objects) == (3, filled.head().hash, True, 1)
    report = verify(tmp_path / "copy", ORIGIN)
    assert (report.state, report.size, report.objects) == ("intact", 3, 1)


def test_a_second_backup_copies_only_what_is_new(filled: Ledger, add: Add, tmp_path: Path) -> None:
    backup(filled, tmp_path / "copy")
    again = backup(filled, tmp_path / "copy")
    assert (again.changed, again.copied_bytes, again.copied_objects) == (False, 0, 0)
    line = add(number=3).entry.line
    assert backup(filled, tmp_path / "copy").copied_bytes == len(line) + 1


def test_a_half_made_copy_is_completed(filled: Ledger, tmp_path: Path) -> None:
    backup(filled, tmp_path / "copy")
    entries = tmp_path / "copy" / "entries.jsonl"
    entries.write_bytes(entries.read_bytes()[:-40])
    shutil.rmtree(tmp_path / "copy" / "objects")
    backup(filled, tmp_path / "copy")
    assert entries.read_bytes() == filled.entries_path.read_bytes()
    assert verify(tmp_path / "copy").intact


def test_a_broken_ledger_is_not_copied(filled: Ledger, add: Add, tmp_path: Path) -> None:
    backup(filled, tmp_path / "copy")
    before = (tmp_path / "copy" / "entries.jsonl").read_bytes()
    add(number=3)
    rewrite(filled, lambda lines: [line.replace(b'"number":1', b'"number":8') for line in lines])
    with pytest.raises(LedgerBroken, match="is not copied") as caught:
        backup(filled, tmp_path / "copy")
    assert caught.value.facts["sequence"] == 1
    assert (tmp_path / "copy" / "entries.jsonl").read_bytes() == before


def test_a_ledger_whose_tail_was_cut_is_not_copied(filled: Ledger, tmp_path: Path) -> None:
    backup(filled, tmp_path / "copy")
    rewrite(filled, lambda lines: lines[:-1])
    assert verify(filled.path).intact  # Nothing in the ledger itself tells.
    with pytest.raises(LedgerBroken, match="cut off"):
        backup(filled, tmp_path / "copy")
    problem = compare(filled.path, tmp_path / "copy")
    assert problem is not None and (problem.sequence, problem.kind) == (2, "cut")
    assert check(filled.path, ORIGIN, tmp_path / "copy").state == "broken"


def test_a_ledger_that_was_rewritten_is_not_copied(filled: Ledger, tmp_path: Path) -> None:
    backup(filled, tmp_path / "copy")
    other = Ledger.create(tmp_path / "other", ORIGIN)
    for number in range(9):
        other.append(type="validation", event="sast", data={"number": number}, metadata=METADATA)
    with pytest.raises(LedgerBroken, match="rewritten"):
        backup(other, tmp_path / "copy")
    problem = compare(other.path, tmp_path / "copy")
    assert problem is not None and (problem.sequence, problem.kind) == (0, "rewritten")


def test_a_ledger_with_a_lost_object_is_not_copied(filled: Ledger, tmp_path: Path) -> None:
    backup(filled, tmp_path / "copy")
    shutil.rmtree(filled.path / "objects")
    with pytest.raises(LedgerBroken, match="Restore from the copy"):
        backup(filled, tmp_path / "copy")
    assert verify(tmp_path / "copy").intact


def test_a_damaged_copy_is_mended_or_refused(filled: Ledger, tmp_path: Path) -> None:
    backup(filled, tmp_path / "copy")
    stored = next(path for path in (tmp_path / "copy" / "objects").rglob("*") if path.is_file())
    stored.write_bytes(b"rubbish")
    assert backup(filled, tmp_path / "copy").copied_objects == 1
    assert verify(tmp_path / "copy").intact


def test_the_copy_of_another_ledger_is_refused(filled: Ledger, tmp_path: Path) -> None:
    Ledger.create(tmp_path / "copy", "example.test/other")
    with pytest.raises(LedgerError, match="is of the origin"):
        backup(filled, tmp_path / "copy")


def test_the_copy_cannot_be_the_ledger(filled: Ledger) -> None:
    with pytest.raises(LedgerError, match="itself"):
        backup(filled, filled.path)


def test_an_unfinished_line_is_not_copied(filled: Ledger, tmp_path: Path) -> None:
    with filled.entries_path.open("ab") as stream:
        stream.write(b"torn")
    assert backup(filled, tmp_path / "copy").size == 3
    assert verify(tmp_path / "copy").intact
    assert compare(filled.path, tmp_path / "copy") is None


def test_what_was_set_aside_is_copied(filled: Ledger, add: Add, tmp_path: Path) -> None:
    with filled.entries_path.open("ab") as stream:
        stream.write(b"torn")
    add(number=3)
    backup(filled, tmp_path / "copy")
    assert [path.read_bytes() for path in (tmp_path / "copy" / "torn").iterdir()] == [b"torn"]


def test_keeping_a_copy_says_so_once(filled: Ledger, tmp_path: Path) -> None:
    dry = keep_copy(filled, tmp_path / "copy", METADATA, dry_run=True)
    assert (dry.changed, (tmp_path / "copy").exists()) == (True, False)
    made = keep_copy(filled, tmp_path / "copy", METADATA)
    last = list(filled.entries())[-1]
    assert (last.event, last.data["size"], made.size) == ("backup", 3, 4)
    assert verify(tmp_path / "copy").size == 4
    assert not keep_copy(filled, tmp_path / "copy", METADATA).changed
    assert not keep_copy(filled, tmp_path / "copy", METADATA, dry_run=True).changed
    assert filled.head().size == 4


def test_an_incremental_backup_looks_at_what_is_new(filled: Ledger, add: Add, tmp_path: Path) -> None:
    backup(filled, tmp_path / "copy")
    line = add(object=filled.objects.put_bytes(b"more")).entry.line
    rewrite(filled, lambda lines: [line.replace(b'"number":1', b'"number":8') for line in lines])
    made = backup(filled, tmp_path / "copy", full=False)
    assert (made.size, made.copied_bytes, made.copied_objects) == (4, len(line) + 1, 1)
    assert verify(tmp_path / "copy").intact  # What was changed meanwhile is not in the copy.
    with pytest.raises(LedgerBroken, match="is not copied"):
        backup(filled, tmp_path / "copy", full=True)


def test_an_incremental_backup_refuses_what_is_wrong_in_what_is_new(filled: Ledger, add: Add, tmp_path: Path) -> None:
    backup(filled, tmp_path / "copy")
    add(number=7)
    rewrite(filled, lambda lines: [line.replace(b'"number":7', b'"number":8') for line in lines])
    with pytest.raises(LedgerBroken, match="is not copied"):
        backup(filled, tmp_path / "copy", full=False)
    rewrite(filled, lambda lines: lines[:2])
    with pytest.raises(LedgerBroken, match="is no longer there"):
        backup(filled, tmp_path / "copy", full=False)


def test_a_copy_that_was_cut_is_noticed_by_an_incremental_backup(filled: Ledger, add: Add, tmp_path: Path) -> None:
    backup(filled, tmp_path / "copy")
    add(number=7)
    entries = tmp_path / "copy" / "entries.jsonl"
    entries.write_bytes(b"".join(entries.read_bytes().splitlines(keepends=True)[:1]))
    with pytest.raises(LedgerBroken, match="lacks entries"):
        backup(filled, tmp_path / "copy", full=False)
    assert backup(filled, tmp_path / "copy", full=True).size == 4


def test_a_small_ledger_is_always_verified_in_full(filled: Ledger, tmp_path: Path) -> None:
    backup(filled, tmp_path / "copy")
    (tmp_path / "copy" / "verified.json").write_text("rubbish")
    assert backup(filled, tmp_path / "copy", full=False).size == 3
    rewrite(filled, lambda lines: [line.replace(b'"number":1', b'"number":8') for line in lines])
    with pytest.raises(LedgerBroken, match="is not copied"):
        backup(filled, tmp_path / "copy")
