# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of promotions, folded from entries."""

from __future__ import annotations

from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.engine import Promoter
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import REQUIRED_GATES
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.order import DependencyResolver
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.rollback import roll_back
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.state import fold, state_of
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.summary import summaries

from .conftest import D1, D2, Bench


def test_the_order_is_that_of_the_names() -> None:
    assert DependencyResolver().compute_promotion_order(["b", "c", "a"]) == ["a", "b", "c"]
    assert DependencyResolver().compute_promotion_order([]) == []


def test_an_empty_ledger_has_no_state(bench: Bench) -> None:
    assert fold(bench.evidence.entries()) == {}
    assert state_of(bench.evidence.entries(), "svc").compliant is None


def test_phases_as_a_promotion_goes_on(bench: Bench) -> None:
    promoter: Promoter = bench.promoter
    promotion_id = promoter.request("svc", None, "tester").promotion_id

    def phase() -> str:
        return state_of(bench.evidence.entries(), "svc").promotions[str(promotion_id)].phase

    assert phase() == "requested"
    promoter.evaluate("svc", bench.scanners, REQUIRED_GATES)
    assert phase() == "requested"
    promoter.promote("svc")
    assert phase() == "completed"
    roll_back(promoter, "svc", "slow", remove=True)
    assert phase() == "rolled_back"


def test_the_summary_says_what_is_compliant_and_what_it_can_go_back_to(bench: Bench) -> None:
    bench.promoted(D1, D2)
    summary = summaries(bench.evidence.entries())["svc"]
    assert (summary["compliant"], summary["history"], summary["open"]) == (D2, [D1, D2], None)
    assert [item["phase"] for item in summary["promotions"]] == ["completed", "completed"]
    assert summary["promotions"][0]["verdicts"] == dict.fromkeys(REQUIRED_GATES, "allow")
    assert summaries(bench.evidence.entries(), "other") == {}


def test_entries_of_other_events_and_of_unknown_promotions_are_passed_over(bench: Bench) -> None:
    bench.promoted(D1)
    before = summaries(bench.evidence.entries())
    bench.evidence.record("backup", {"size": 1}, type="validation")
    bench.evidence.record("completed", {"promotion_id": "9" * 8, "service": "svc", "digest": D2})
    assert summaries(bench.evidence.entries()) == before
