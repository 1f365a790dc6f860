# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollback on request: where to, what it needs, what it refuses."""

from __future__ import annotations

import shutil
from unittest.mock import Mock

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import (
    COMPLIANT,
    REQUIRED_GATES,
    SANDBOX,
    Refused,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.rollback import roll_back
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.state import state_of

from .conftest import D1, D2, D3, Bench


def test_it_goes_to_the_digest_before_without_vault_gates_or_source(bench: Bench) -> None:
    bench.promoted(D1, D2)
    first = next(e for e in bench.evidence.entries() if e.event == "completed")
    bench.signer.failure = AssertionError("Vault was asked")
    shutil.rmtree(bench.root / "services")
    outcome = roll_back(bench.promoter, "svc", "it is slow")
    assert (outcome.outcome, outcome.digest, outcome.hash_chain_id) == ("rolled_back", D1, first.hash)
    assert bench.compliant_digest() == D1
    last = bench.entries()[-1]
    assert (last["event"], last["digest"], last["from_digest"], last["reason"], last["automatic"]) == (
        "rolled_back",
        D1,
        D2,
        "it is slow",
        False,
    )


def test_run_again_it_does_not_go_back_further(bench: Bench) -> None:
    bench.promoted(D1, D2, D3)
    roll_back(bench.promoter, "svc", "slow")
    again = roll_back(bench.promoter, "svc", "slow")
    assert (again.outcome, again.changed, bench.compliant_digest()) == ("unchanged", False, D2)
    further = roll_back(bench.promoter, "svc", "slow", digest=D1)
    assert (further.outcome, bench.compliant_digest()) == ("rolled_back", D1)


def test_it_goes_to_a_named_digest(bench: Bench) -> None:
    bench.promoted(D1, D2, D3)
    assert roll_back(bench.promoter, "svc", "slow", digest=D1).digest == D1
    state = state_of(bench.evidence.entries(), "svc")
    assert [promotion.digest for promotion in state.history] == [D1]


def test_a_promotion_after_a_rollback_can_be_rolled_back_again(bench: Bench) -> None:
    bench.promoted(D1, D2)
    roll_back(bench.promoter, "svc", "slow")
    bench.promoted(D2)
    assert bench.compliant_digest() == D2
    assert roll_back(bench.promoter, "svc", "still slow").digest == D1


def test_a_digest_that_was_never_compliant_is_refused(bench: Bench) -> None:
    bench.promoted(D1, D2)
    with pytest.raises(Refused, match=f"{D3} was not compliant before; to choose from: {D1}"):
        roll_back(bench.promoter, "svc", "slow", digest=D3)
    assert bench.compliant_digest() == D2
    assert bench.events()[-1] == "refused"


def test_with_nothing_before_it_is_refused_unless_removal_is_meant(bench: Bench) -> None:
    bench.promoted(D1)
    with pytest.raises(Refused, match="nothing was compliant before"):
        roll_back(bench.promoter, "svc", "slow")
    assert bench.compliant_digest() == D1
    assert roll_back(bench.promoter, "svc", "slow", remove=True).outcome == "removed"
    assert bench.compliant_digest() is None


@pytest.mark.parametrize("reason", ["", "  "])
def test_without_a_reason_it_is_refused(bench: Bench, reason: str) -> None:
    bench.promoted(D1, D2)
    with pytest.raises(Refused, match="a rollback needs a reason"):
        roll_back(bench.promoter, "svc", reason)
    assert bench.compliant_digest() == D2


def test_a_service_that_was_never_promoted_is_refused(bench: Bench) -> None:
    with pytest.raises(Refused, match=r"the ledger has no promotion of '\.\./x'"):
        roll_back(bench.promoter, "../x", "slow")
    assert bench.events() == ["refused"]
    assert not (bench.root / "run").exists()


def test_a_rollout_in_progress_that_was_killed_is_what_is_taken_back(bench: Bench) -> None:
    bench.promoted(D1)
    bench.cluster.run(SANDBOX, "svc", D2)
    bench.promoter.request("svc", None, "tester")
    bench.promoter.evaluate("svc", bench.scanners, REQUIRED_GATES)
    bench.cluster.wait_rollout = Mock(side_effect=KeyboardInterrupt)  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        bench.promoter.promote("svc")
    del bench.cluster.wait_rollout
    outcome = roll_back(bench.promoter, "svc", "stop it")
    assert (outcome.outcome, bench.compliant_digest()) == ("rolled_back", D1)
    assert bench.events()[-2:] == ["failed", "rolled_back"]
    assert bench.play().outcome == "compliant"


def test_with_the_api_server_down_it_says_so_and_can_be_repeated(bench: Bench) -> None:
    bench.promoted(D1, D2)
    bench.cluster.down = True
    with pytest.raises(GoldenGooseError, match="does not answer"):
        roll_back(bench.promoter, "svc", "slow")
    bench.cluster.down = False
    assert roll_back(bench.promoter, "svc", "slow").digest == D1
    assert bench.cluster.digest(COMPLIANT) == D1
