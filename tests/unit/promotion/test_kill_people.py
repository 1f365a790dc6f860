# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people say, killed in the middle and said again: it is said once, and counts as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.people import (
    approve,
    lift,
    override,
    resume,
    stop,
    veto,
    withdraw,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.policy import Policy
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.sealing import make_plan

from .conftest import D2, Bench
from .kills import SYSTEM_CALLS, Keeping, Killer, Scenario, again, calm, killed_before_each
from .test_people import ALICE, ASKS, BOB, CAROL


def seal(bench: Bench) -> str:
    """Seal a plan that alice asks for and one other person has to approve."""
    bench.policy = Policy(quorum=1)
    return make_plan(bench.promoter, ["svc"], {}, ALICE, ASKS)[0].sha256


def sealing(bench: Bench) -> Callable[[], Any]:
    return lambda: seal(bench)


def approval(bench: Bench) -> Callable[[], Any]:
    plan = seal(bench)
    return lambda: approve(bench.evidence, BOB, plan)


def withdrawal(bench: Bench) -> Callable[[], Any]:
    plan = seal(bench)
    approve(bench.evidence, BOB, plan)
    return lambda: withdraw(bench.evidence, BOB, plan, "I read the wrong notes")


def second_thought(bench: Bench) -> Callable[[], Any]:
    """An approval after one that was withdrawn."""
    withdrawal(bench)()
    plan = seal(bench)
    return lambda: approve(bench.evidence, BOB, plan)


def overriding(bench: Bench) -> Callable[[], Any]:
    plan = seal(bench)
    stop(bench.evidence, CAROL, None, "audit")
    override(bench.evidence, CAROL, plan, "it is urgent")
    return lambda: override(bench.evidence, BOB, plan, "it is urgent")


def vetoing(bench: Bench) -> Callable[[], Any]:
    return lambda: veto(bench.evidence, BOB, D2, "it loses orders")


def lifting(bench: Bench) -> Callable[[], Any]:
    vetoing(bench)()
    return lambda: lift(bench.evidence, CAROL, D2, "it does not")


def stopping(bench: Bench) -> Callable[[], Any]:
    return lambda: stop(bench.evidence, BOB, "svc", "audit")


def resuming(bench: Bench) -> Callable[[], Any]:
    stopping(bench)()
    return lambda: resume(bench.evidence, CAROL, "svc", "it is over")


@pytest.mark.parametrize(
    "scenario",
    [sealing, approval, withdrawal, second_thought, overriding, vetoing, lifting, stopping, resuming],
)
def test_killed_anywhere_and_said_again_it_is_said_once(
    scenario: Scenario, tmp_path: Path, gate_verdicts: dict[str, str]
) -> None:
    expected, calls = calm(scenario, tmp_path / "calm", SYSTEM_CALLS)
    assert "pwrite" in calls
    for number, name in enumerate(calls):
        for half in (False, True) if name == "pwrite" else (False,):
            killer = Killer(number, SYSTEM_CALLS, half)
            _bench, found = again(scenario, tmp_path / f"{number}-{half}", killer, expected)
            assert found == expected, f"{'in' if half else 'before'} system call {number} ({name})"


def test_killed_anywhere_a_promotion_that_people_decide_ends_the_same(
    tmp_path: Path, gate_verdicts: dict[str, str]
) -> None:
    def decided(bench: Bench) -> Callable[[], Any]:
        assert isinstance(bench, Keeping)
        plan = seal(bench)
        approve(bench.evidence, BOB, plan)
        return lambda: bench.course(sealed=plan)

    expected, effects = calm(decided, tmp_path / "calm")
    for bench in killed_before_each(decided, tmp_path, expected, effects):
        started = next(data for data in bench.entries() if data["event"] == "started")
        assert [item["by"]["name"] for item in started["approvals"]["given"]] == ["bob"]
