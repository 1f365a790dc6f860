# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a forger does is found, and said with the entry's number."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    Appended,
    Head,
    Ledger,
    LedgerBroken,
    canonical,
    sweep,
    verify,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import METADATA, ORIGIN, rewrite

Add = Callable[..., Appended]


@pytest.fixture(params=["in one piece", "in pieces, by several processes"], autouse=True)
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "in one piece":
        monkeypatch.setattr(sweep, "PIECE_BYTES", 700)
        monkeypatch.setattr(sweep, "_PARALLEL_BYTES", 0)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1, 2})


@pytest.fixture
def five(ledger: Ledger, add: Add) -> Ledger:
    for number in range(5):
        add(number=number)
    return ledger


def _found(ledger: Ledger) -> list[tuple[int | None, str]]:
    return [(problem.sequence, problem.kind) for problem in verify(ledger.path).problems]


def _reseal(line: bytes, **changes: Any) -> bytes:
    """The forger knows the format: change fields and compute the line's own hash anew."""
    value = json.loads(line)
    value.update(changes)
    del value["hash"]
    value["hash"] = hashlib.sha256(canonical.encode(value)).hexdigest()
    return canonical.encode(value) + b"\n"


def test_an_untouched_ledger_is_intact(five: Ledger) -> None:
    report = verify(five.path, ORIGIN)
    assert (report.state, report.size, report.problems) == ("intact", 5, [])
    assert report.head == five.head().hash == list(five.entries())[-1].hash


def test_an_edited_line_is_named(five: Ledger) -> None:
    rewrite(five, lambda lines: [line.replace(b'"number":2', b'"number":7') for line in lines])
    assert _found(five) == [(2, "hash")]
    assert verify(five.path).state == "broken"
    with pytest.raises(LedgerBroken) as caught:
        list(five.entries())
    assert caught.value.facts["sequence"] == 2


def test_an_edited_and_resealed_line_is_named_by_its_successor(five: Ledger) -> None:
    forged = {"event": "sast", "number": 7}
    rewrite(five, lambda lines: [*lines[:2], _reseal(lines[2], data=forged), *lines[3:]])
    assert _found(five) == [(2, "link")]


def test_a_removed_line_is_named(five: Ledger) -> None:
    rewrite(five, lambda lines: [*lines[:2], *lines[3:]])
    assert _found(five) == [(2, "missing")]


def test_swapped_lines_are_named(five: Ledger) -> None:
    rewrite(five, lambda lines: [*lines[:2], lines[3], lines[2], lines[4]])
    assert {sequence for sequence, _kind in _found(five)} == {2}
    assert verify(five.path).state == "broken"


def test_a_repeated_line_is_named(five: Ledger) -> None:
    rewrite(five, lambda lines: [*lines[:3], lines[2], *lines[3:]])
    assert (2, "order") in _found(five)


def test_an_inserted_foreign_line_is_named(five: Ledger) -> None:
    rewrite(five, lambda lines: [*lines[:2], b'{"hello":"world"}\n', *lines[2:]])
    assert (2, "line") in _found(five)


def test_a_repeated_id_is_named(five: Ledger) -> None:
    def forge(lines: list[bytes]) -> list[bytes]:
        return [*lines[:4], _reseal(lines[4], id=json.loads(lines[1])["id"])]

    rewrite(five, forge)
    assert (4, "duplicate_id") in _found(five)


def test_a_time_that_goes_back_is_named(five: Ledger) -> None:
    rewrite(five, lambda lines: [*lines[:4], _reseal(lines[4], timestamp="2001-01-01T00:00:00.000Z")])
    assert _found(five) == [(4, "timestamp")]


def test_a_ledger_of_another_origin_is_named(five: Ledger) -> None:
    described = {"format": "golden-goose-ledger/1", "origin": "example.test/other"}
    (five.path / "ledger.json").write_text(json.dumps(described))
    assert _found(five) == [(0, "origin")]
    assert verify(five.path, ORIGIN).problems[0].kind == "origin"


def test_lines_of_another_ledger_cannot_be_spliced_in(five: Ledger, tmp_path: Path) -> None:
    other = Ledger.create(tmp_path / "other", "example.test/other")
    for number in range(5):
        other.append(type="validation", event="sast", data={"number": number}, metadata=METADATA)
    foreign = other.entries_path.read_bytes().splitlines(keepends=True)
    rewrite(five, lambda lines: [*lines[:3], *foreign[3:]])
    assert (2, "link") in _found(five)


def test_nothing_to_verify_is_not_success(ledger: Ledger, tmp_path: Path) -> None:
    assert verify(ledger.path).state == "nothing_to_verify"
    absent = verify(tmp_path / "nowhere")
    assert (absent.state, absent.problems[0].kind) == ("nothing_to_verify", "absent")


def test_lines_without_their_description_are_broken(five: Ledger) -> None:
    (five.path / "ledger.json").unlink()
    assert (verify(five.path).state, _found(five)) == ("broken", [(None, "ledger")])


def test_a_missing_file_of_entries_is_broken(five: Ledger) -> None:
    five.entries_path.unlink()
    assert verify(five.path).state == "broken"


def test_an_unfinished_last_line_is_incomplete(five: Ledger) -> None:
    with five.entries_path.open("ab") as stream:
        stream.write(b'{"data":{"ev')
    report = verify(five.path)
    assert (report.state, report.size, report.problems[0].kind) == ("incomplete", 5, "torn_tail")


def test_objects_are_checked(ledger: Ledger, add: Add) -> None:
    reference = ledger.objects.put_bytes(b"findings", "application/json")
    add(object=reference)
    assert (verify(ledger.path).state, verify(ledger.path).objects) == ("intact", 1)
    ledger.objects.path(reference["sha256"]).write_bytes(b"findingz")
    assert (verify(ledger.path).state, _found(ledger)) == ("incomplete", [(0, "object_altered")])
    ledger.objects.path(reference["sha256"]).unlink()
    assert (verify(ledger.path).state, _found(ledger)) == ("incomplete", [(0, "object_missing")])
    ledger.objects.put_bytes(b"findings", "application/json")
    assert verify(ledger.path).intact


def test_garbage_is_reported_within_bounds(ledger: Ledger) -> None:
    ledger.entries_path.write_bytes(b"\n" * 1000)
    report = verify(ledger.path)
    assert (report.state, report.problem_count, len(report.problems)) == ("broken", 1000, 100)


def test_a_line_without_end_needs_no_endless_memory(ledger: Ledger) -> None:
    ledger.entries_path.write_bytes(b"x" * (3 << 20) + b"\n")
    assert verify(ledger.path).state == "broken"


def test_verifying_writes_nothing(five: Ledger) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in five.path.rglob("*"))
    verify(five.path)
    assert sorted((path, path.stat().st_mtime_ns) for path in five.path.rglob("*")) == before


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(five: Ledger, place: int, flip: int) -> None:
    sound = five.entries_path.read_bytes()
    forged = bytearray(sound)
    forged[place % len(sound)] ^= flip
    five.entries_path.write_bytes(bytes(forged))
    try:
        assert verify(five.path, ORIGIN).state in ("broken", "incomplete")
    finally:
        five.entries_path.write_bytes(sound)


def test_only_what_came_after_a_trusted_head_is_looked_at(five: Ledger, add: Add) -> None:
    trusted = five.head()
    assert verify(five.path, trusted=trusted).trusted == 5
    assert verify(five.path, trusted=trusted).intact
    add(number=5)
    report = verify(five.path, ORIGIN, trusted=trusted)
    assert (report.state, report.size, report.head) == ("intact", 6, five.head().hash)
    assert "The 1 new entries" in report.sentence()
    rewrite(five, lambda lines: [*lines[:5], lines[5].replace(b'"number":5', b'"number":7')])
    assert [(one.sequence, one.kind) for one in verify(five.path, trusted=trusted).problems] == [(5, "hash")]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_a_trusted_head_is_found_wherever_it_is(five: Ledger, size: int) -> None:
    hashes = [entry.hash for entry in five.entries()]
    report = verify(five.path, trusted=Head(size, hashes[size - 1]))
    assert (report.state, report.size, report.trusted) == ("intact", 5, size)
    wrong = verify(five.path, trusted=Head(size, "0" * 64))
    assert [(one.sequence, one.kind) for one in wrong.problems] == [(size - 1, "rewritten")]
    assert wrong.state == "broken"


def test_a_trusted_head_that_is_gone_is_named(five: Ledger) -> None:
    trusted = five.head()
    rewrite(five, lambda lines: lines[:3])
    report = verify(five.path, trusted=trusted)
    assert [(one.sequence, one.kind) for one in report.problems] == [(4, "cut")]
    rewrite(five, lambda lines: [])
    assert verify(five.path, trusted=trusted).problems[0].kind == "cut"


def test_a_trusted_entry_that_was_resealed_is_named(five: Ledger) -> None:
    trusted = five.head()
    rewrite(five, lambda lines: [*lines[:4], _reseal(lines[4], data={"event": "sast", "number": 9})])
    assert verify(five.path).intact
    assert [(one.sequence, one.kind) for one in verify(five.path, trusted=trusted).problems] == [(4, "rewritten")]


def test_a_worker_that_is_killed_changes_nothing(five: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "PIECE_BYTES", 700)
    monkeypatch.setattr(sweep, "_PARALLEL_BYTES", 0)
    parent, real = os.getpid(), sweep._summary

    def die(*arguments: Any) -> Any:
        if os.getpid() != parent:
            os.kill(os.getpid(), 9)
        return real(*arguments)

    monkeypatch.setattr(sweep, "_summary", die)
    report = verify(five.path)
    assert (report.state, report.size, report.head) == ("intact", 5, five.head().hash)
