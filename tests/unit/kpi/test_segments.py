# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The figures are of all segments, and frozen ones are read once."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.kpi.watch import Watch
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger, entry, freeze, whole

from tests.unit.ledger.second_place import Memory

from .story import METADATA, Story


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were verified, and those whose entries were read."""
    seen: list[str] = []
    verify, entries = whole.verify_segment, Ledger.own_entries

    def verifying(path: object, *arguments: object, **options: object) -> object:
        seen.append(f"verify {str(path).rpartition('/')[2]}")
        return verify(path, *arguments, **options)  # type: ignore[arg-type]

    def reading(ledger: Ledger, strict: bool = True, events: Collection[str] | None = None) -> object:
        if events is None:  # Else it is the verification, which looks for keys.
            seen.append(f"read {ledger.number}")
        return entries(ledger, strict, events)

    monkeypatch.setattr(whole, "verify_segment", verifying)
    monkeypatch.setattr(Ledger, "own_entries", reading)
    return seen


def test_figures_go_on_over_a_freeze_and_read_it_once(story: Story, reads: list[str]) -> None:
    now = [0.0]
    watch = Watch(story.ledger.path, 300.0, lambda: now[0])
    root = story.ledger.path
    promotion = story.request()
    story.gates(promotion)
    freeze(story.ledger, Memory(), METADATA, 2)
    story.step(promotion, "started")
    story.step(promotion, "completed")
    reads.clear()
    figures = watch.figures()
    assert reads == [f"verify {root.name}", "verify 2", "read 1", "read 2"]
    assert (figures.ledger_state, figures.compliance, figures.success_rate) == ("intact", {"service-a": 1}, 1.0)
    assert figures.entries == story.ledger.size and figures.completeness == 1.0
    reads.clear()
    other = story.request()
    assert watch.figures().promotions[("service-a", "open")] == 1 and other
    assert reads == ["verify 2", "read 2"]
    # Whoever changes a frozen segment is noticed; and all of it is read again now and then.
    now[0] = 301.0
    reads.clear()
    watch.figures()
    assert reads[:2] == [f"verify {root.name}", "verify 2"]
    lines = (root / "entries.jsonl").read_bytes()
    (root / "entries.jsonl").write_bytes(lines.replace(b'"event":"requested"', b'"event":"requestes"'))
    assert watch.figures().ledger_state == "broken"
    assert entry.parse(lines.splitlines()[0]).event == "requested"
