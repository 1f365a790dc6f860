# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one process remembers of a ledger: the same entries, each verified once, and nothing after the block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger, LedgerBroken
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion import reading
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.evidence import Evidence

from .conftest import METADATA, Bench


def say(ledger: Ledger, count: int) -> None:
    for number in range(count):
        ledger.append(type="validation", event="note", data={"number": number}, metadata=METADATA)


@pytest.fixture
def evidence(bench: Bench) -> Evidence:
    say(bench.evidence.ledger, 5)
    return bench.evidence


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many entries each verification took on trust."""
    trusted: list[int] = []
    real: Callable[..., Any] = reading.verify

    def verify(*arguments: Any, **options: Any) -> Any:
        trusted.append(options["trusted"].size if options["trusted"] else 0)
        return real(*arguments, **options)

    monkeypatch.setattr(reading, "verify", verify)
    return trusted


def test_entries_are_those_of_the_ledger_whoever_adds_them(evidence: Evidence) -> None:
    other = Ledger.open(evidence.ledger.root)
    with evidence.reading.once():
        for ledger in (other, evidence.ledger, other):
            assert [*evidence.entries()] == [*other.entries()]
            say(ledger, 2)
        assert [*evidence.entries()] == [*other.entries()]
        assert len([*evidence.entries()]) == 11


def test_what_was_verified_is_verified_once_in_the_block_and_anew_after_it(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = counted(monkeypatch)
    with evidence.reading.once():
        evidence.require_sound()
        say(evidence.ledger, 2)
        evidence.require_sound()
        evidence.require_sound()
        evidence.require_sound(whole=True)
        with evidence.reading.once():
            evidence.require_sound()
        evidence.require_sound()
    evidence.require_sound()
    assert trusted == [0, 5, 7, 0, 7, 7, 0]


def test_an_edit_of_what_was_verified_is_found_by_the_whole_verification(evidence: Evidence) -> None:
    file = evidence.ledger.entries_path
    with evidence.reading.once():
        evidence.require_sound()
        file.write_bytes(file.read_bytes().replace(b'"number":1', b'"number":9', 1))
        evidence.require_sound()
        with pytest.raises(LedgerBroken, match="cannot be trusted"):
            evidence.require_sound(whole=True)
    with pytest.raises(LedgerBroken, match="cannot be trusted"):
        evidence.require_sound()


@pytest.mark.parametrize("lines", [3, 4])
def test_a_cut_or_a_bad_line_in_the_block_is_found(evidence: Evidence, lines: int) -> None:
    file = evidence.ledger.entries_path
    with evidence.reading.once():
        evidence.require_sound()
        assert len([*evidence.entries()]) == 5
        kept = b"".join(file.read_bytes().splitlines(keepends=True)[:lines])
        file.write_bytes(kept)
        with pytest.raises(LedgerBroken, match="cannot be trusted"):
            evidence.require_sound()
        assert len([*evidence.entries()]) == lines
        file.write_bytes(kept + b'{"not": "an entry"}\n')
        with pytest.raises(LedgerBroken):
            list(evidence.entries())


def test_of_a_large_ledger_nothing_is_remembered(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "KEPT_BYTES", 100)
    with evidence.reading.once():
        assert [*evidence.entries()] == [*evidence.ledger.entries()]
        assert evidence.reading == reading.Reading(kept=True)
