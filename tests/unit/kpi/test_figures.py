# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What the ledger says, as numbers."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.kpi.figures import Figures, read

from .story import Story

OTHER_DIGEST = "sha256:" + "b" * 64


def figures(story: Story) -> Figures:
    return read(story.ledger.path)


def test_nothing_is_claimed_without_a_ledger(tmp_path: Path) -> None:
    found = read(tmp_path / "nowhere")
    assert found.ledger_state == "nothing_to_verify"
    assert math.isnan(found.success_rate) and math.isnan(found.completeness)
    assert found.compliance == {}


def test_a_completed_promotion_makes_compliant(story: Story) -> None:
    story.promote()
    found = figures(story)
    assert found.compliance == {"service-a": 1}
    assert found.success_rate == 1.0
    assert found.completeness == 1.0
    assert found.last_failed == {"service-a": 0}
    assert found.promotions == {("service-a", "completed"): 1}
    assert found.reason == ""


def test_what_was_revoked_is_not_compliant_and_is_told_apart(story: Story) -> None:
    story.step(story.promote(), "revoked", reason="it no longer passes")
    assert figures(story).compliance == {"service-a": 0}
    assert figures(story).revoked == {"service-a": 1}
    story.promote()
    assert (figures(story).compliance, figures(story).revoked) == ({"service-a": 1}, {"service-a": 0})


def test_a_request_alone_does_not(story: Story) -> None:
    story.gates(story.request())
    found = figures(story)
    assert found.compliance == {"service-a": 0}
    assert math.isnan(found.success_rate)
    assert found.promotions == {("service-a", "open"): 1}


def test_a_refused_promotion_counts_as_not_successful(story: Story) -> None:
    story.promote()
    story.step(story.request(), "refused", reason="coverage is 12 %, required are 80 %")
    found = figures(story)
    assert found.success_rate == 0.5
    assert found.last_failed == {"service-a": 1}
    assert found.compliance == {"service-a": 1}


def test_the_next_success_ends_the_failure(story: Story) -> None:
    story.step(story.request(), "refused", reason="no")
    story.promote()
    assert figures(story).last_failed == {"service-a": 0}


def test_a_rollout_that_failed_and_went_back_is_complete_evidence(story: Story) -> None:
    promotion = story.request()
    story.gates(promotion)
    for event in ("started", "failed", "rolled_back"):
        story.step(promotion, event)
    found = figures(story)
    assert found.completeness == 1.0
    assert found.success_rate == 0.0
    assert found.compliance == {"service-a": 0}


def test_rolling_back_to_nothing_ends_compliance(story: Story) -> None:
    promotion = story.promote()
    story.step(promotion, "rolled_back", digest=None, from_digest="x", automatic=False)
    found = figures(story)
    assert found.compliance == {"service-a": 0}
    # It did succeed; that it was undone later is another matter.
    assert found.success_rate == 1.0


def test_rolling_back_to_an_earlier_artifact_keeps_compliance(story: Story) -> None:
    story.promote()
    story.step(story.promote(digest=OTHER_DIGEST), "rolled_back", automatic=False)
    assert figures(story).compliance == {"service-a": 1}


def test_a_missing_verdict_is_a_gap(story: Story) -> None:
    story.promote(gates=("provenance", "sast", "health", "chain"))
    assert figures(story).completeness == 7 / 8


def test_a_lost_object_is_a_gap_but_not_a_break(story: Story) -> None:
    story.promote()
    report = story.ledger.objects.put_bytes(b'{"results": []}', "application/json")
    story.ledger.objects.path(report["sha256"]).unlink()
    found = figures(story)
    assert found.ledger_state == "incomplete"
    assert found.chain_intact
    assert found.completeness < 1.0
    assert found.compliance == {"service-a": 1}


def test_an_edited_entry_is_a_break_and_ends_compliance(story: Story) -> None:
    story.promote()
    story.edit(b'"verdict":"allow"', b'"verdict":"alloW"')
    found = figures(story)
    assert found.ledger_state == "broken"
    assert not found.chain_intact
    assert found.compliance == {"service-a": 0}
    assert found.completeness == 0.0
    assert "Entry 1" in found.reason


def test_an_entry_without_what_its_event_needs_counts_for_nothing(story: Story) -> None:
    """Written past the engine it neither promotes anything nor keeps the exporter from its work."""
    story.promote()
    before = figures(story)
    story.ledger.append(type="promotion", event="requested", data={}, metadata={"sprint": "1", "provisional": True})
    found = figures(story)
    assert found.ledger_state == "intact"
    assert (found.success_rate, found.completeness) == (before.success_rate, before.completeness) == (1.0, 1.0)


def test_what_cannot_be_computed_is_said_not_raised(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    def compute(*_args: object) -> None:
        raise KeyError("service")

    story.promote()
    monkeypatch.setattr("ansible_collections.golden_goose.compliance.plugins.module_utils.kpi.figures.compute", compute)
    found = figures(story)
    assert found.ledger_state == "unreadable"
    assert "KeyError" in found.reason


def test_a_ledger_of_another_format_is_said_not_raised(story: Story) -> None:
    story.promote()
    (story.ledger.path / "ledger.json").write_text("{")
    assert not figures(story).chain_intact
