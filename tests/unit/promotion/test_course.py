# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A promotion in one call, copy and anchor included: refused, and asked for again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import ClusterUnavailable
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.course import (
    request_members,
    run_course,
    settle_and_keep,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.engine import Denied, Waiting
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.evidence import AlreadyRecorded
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import (
    REQUIRED_GATES,
    SANDBOX,
    Refused,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.plan import Plan, Requester
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.policy import Policy
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.sealing import make_plan

from .conftest import D1, D2, signing
from .kills import Keeping, fresh


@pytest.fixture
def keeping(tmp_path: Path, gate_verdicts: dict[str, str]) -> Keeping:
    return fresh(tmp_path / "kept")


def story(bench: Keeping) -> list[str]:
    """The events, without those that say that they were kept."""
    return [event for event in bench.events() if event not in ("backup", "signing_key")]


def test_one_call_does_all_of_it_and_keeps_the_evidence(keeping: Keeping) -> None:
    course = keeping.course()
    assert (course.outcome.outcome, course.before, course.changed) == ("compliant", None, True)
    assert story(keeping) == ["requested", *REQUIRED_GATES, "started", "completed"]
    assert keeping.events()[-1] == "backup"
    keeping.assert_kept()


def test_again_it_changes_nothing(keeping: Keeping) -> None:
    keeping.course()
    before = keeping.events(), list(keeping.cluster.writes), list(keeping.second.kept.items())
    again = keeping.course()
    assert (again.outcome.outcome, again.before, again.changed) == ("unchanged", D1, False)
    assert (keeping.events(), keeping.cluster.writes, list(keeping.second.kept.items())) == before


def test_after_a_refusal_nothing_is_copied_and_nothing_is_signed(
    keeping: Keeping, gate_verdicts: dict[str, str]
) -> None:
    gate_verdicts["sast"] = "deny"
    with pytest.raises(Denied, match="gate sast denies"):
        keeping.course()
    assert story(keeping) == ["requested", *REQUIRED_GATES, "refused"]
    assert (keeping.copied(), keeping.signed(), keeping.cluster.writes) == (b"", 0, [])


def test_verdicts_that_are_there_are_not_asked_for_again(keeping: Keeping, gate_verdicts: dict[str, str]) -> None:
    keeping.second.down = True
    with pytest.raises(GoldenGooseError, match="it does not answer"):
        keeping.course()
    # Were a gate asked again, it would deny now.
    gate_verdicts["sast"] = "deny"
    keeping.second.down = False
    assert keeping.course().outcome.outcome == "compliant"
    assert keeping.events().count("sast") == 1
    keeping.assert_kept()


def test_a_copy_that_cannot_be_written_is_told_and_what_is_complete_is_anchored(keeping: Keeping) -> None:
    (keeping.root / "backup").write_text("a file where the folder should be")
    with pytest.raises(AlreadyRecorded, match=r"complete, but the last entries are not copied and anchored: .*backup"):
        keeping.course()
    assert keeping.events()[-1] == "completed"
    assert keeping.signed() == keeping.evidence.ledger.head().size
    (keeping.root / "backup").unlink()
    assert keeping.course().outcome.outcome == "unchanged"
    keeping.assert_kept()


def test_with_a_quorum_the_plan_is_announced_and_the_call_waits_for_people(keeping: Keeping) -> None:
    keeping.policy = Policy(quorum=1)
    with pytest.raises(Waiting, match="gate approvals cannot tell"):
        run_course(keeping.promoter, "svc", Requester("carol", "e-carol"), keeping.scanners, sign=signing("e-carol"))
    assert story(keeping)[:2] == ["planned", "requested"]
    assert keeping.cluster.writes == []


def test_in_check_mode_nothing_is_written(keeping: Keeping) -> None:
    promoter = replace(keeping.promoter, dry_run=True, keep=lambda: False)
    course = run_course(promoter, "svc", Requester("tester"), keeping.scanners)
    assert (course.outcome.outcome, course.outcome.reason) == ("requested", "a promotion would be requested")
    assert (keeping.events(), keeping.cluster.writes) == ([], [])
    assert not keeping.evidence.ledger.objects.path(course.plan.sha256).exists()


def sealed(keeping: Keeping) -> Plan:
    keeping.add("other", D2, [])
    return make_plan(keeping.promoter, ["svc", "other"], {}, Requester("tester"))[0]


def test_a_set_is_requested_in_one_go_and_says_which_verdicts_are_missing(keeping: Keeping) -> None:
    plan = sealed(keeping)
    asked = request_members(keeping.promoter, plan)
    assert [*asked] == ["other", "svc"]
    assert {name: came["outcome"] for name, came in asked.items()} == {"other": "requested", "svc": "requested"}
    assert asked["svc"]["missing"] == asked["other"]["missing"] == [*REQUIRED_GATES]
    keeping.promoter.evaluate("svc", keeping.scanners, ["sast", "health"])
    keeping.promoter.evaluate("other", keeping.scanners, keeping.policy.gates)
    keeping.promoter.promote("other")
    again = request_members(keeping.promoter, plan)
    assert again["svc"]["missing"] == [gate for gate in REQUIRED_GATES if gate not in ("sast", "health")]
    assert (again["other"]["outcome"], again["other"]["missing"]) == ("unchanged", [])
    assert keeping.events().count("requested") == 2


def test_a_member_that_has_changed_is_stopped_and_the_others_are_not(keeping: Keeping) -> None:
    plan = sealed(keeping)
    keeping.cluster.run(SANDBOX, "other", D1)
    asked = request_members(keeping.promoter, plan)
    assert "because it has changed since: other: sandbox is sha256:1111" in asked["other"]["stopped_by"]
    assert (asked["other"]["outcome"], asked["other"]["missing"]) == ("refused", [])
    assert (asked["svc"]["outcome"], asked["svc"]["stopped_by"]) == ("requested", None)
    refused = [data for data in keeping.entries() if data["event"] == "refused"]
    assert [(data["service"], data["reason"]) for data in refused] == [("other", asked["other"]["stopped_by"])]


def test_without_a_cluster_it_is_said_once(keeping: Keeping) -> None:
    plan = sealed(keeping)
    keeping.cluster.down = True
    with pytest.raises(ClusterUnavailable, match="does not answer"):
        request_members(keeping.promoter, plan)
    assert keeping.events().count("refused") == 1


def test_a_set_that_failed_is_kept_all_the_same(keeping: Keeping) -> None:
    keeping.policy = Policy(on_failure="all_or_nothing")
    keeping.add("other", D2, [])
    keeping.cluster.broken.add(D2)
    settled = keeping.play_set(["svc", "other"])
    assert sorted(settled.missing) == ["other", "svc"]
    keeping.assert_kept()


def test_what_cannot_be_settled_is_kept_and_says_why(keeping: Keeping) -> None:
    keeping.course()
    with pytest.raises(Refused, match="There is no sealed plan 0000"):
        settle_and_keep(keeping.promoter, "0" * 64)
    keeping.evidence.record("started", {"service": "past the modules"})
    with pytest.raises(Refused, match="There is no sealed plan 0000"):
        settle_and_keep(keeping.promoter, "0" * 64)
    keeping.assert_kept()
