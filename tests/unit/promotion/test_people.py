# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Separated duties: approvals, vetoes, freezes, stops and overrides, and every way around them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Entry
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.engine import Denied, Waiting
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.identity import Identity
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import SANDBOX, Refused
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.next_steps import briefing
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.people import (
    Voice,
    approve,
    is_known,
    last_deployed,
    lift,
    override,
    resume,
    stop,
    veto,
    withdraw,
    withdraw_override,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.plan import Requester, load_plan
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.policy import Policy
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.rollback import roll_back
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.sealing import make_plan
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.settle import settle
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.standing import Standing
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.windows import frozen_until

from .conftest import D1, D2, D3, Bench, signing

ALICE = Requester("alice", "e-alice")


def person(name: str, entity: str | None = None) -> Voice:
    """Return someone whose signature the bench's signer accepts."""
    who = entity or f"e-{name}"
    sign = signing(who)

    def has_signed(entry: Entry) -> bool:
        signed = entry.data.get("signed")
        return bool(signed and signed == sign(entry.data["event"], entry.data, entry.id))

    return Voice(Identity(name, who, "userpass"), sign, has_signed)


BOB, CAROL = person("bob"), person("carol")
ASKS = person("alice").sign


@pytest.fixture
def plan(bench: Bench) -> str:
    """A sealed plan that alice asked for and two people have to approve."""
    bench.policy = Policy(quorum=2, gates=(*bench.policy.gates[:-1], "approvals", "chain"))
    return make_plan(bench.promoter, ["svc"], {}, ALICE, ASKS)[0].sha256


def run(bench: Bench, plan: str) -> Any:
    bench.promoter.request("svc", None, ALICE, plan)
    bench.promoter.evaluate("svc", bench.scanners, bench.policy.gates)
    return bench.promoter.promote("svc")


def test_it_waits_for_the_quorum_and_goes_on_when_run_again(bench: Bench, plan: str) -> None:
    with pytest.raises(
        Waiting, match=r"gate approvals cannot tell: approvals: 0 .* by others than alice \(required: 2\)"
    ):
        run(bench, plan)
    approve(bench.evidence, BOB, plan)
    with pytest.raises(Waiting, match="approvals: 1 "):
        run(bench, plan)
    approve(bench.evidence, CAROL, plan)
    assert run(bench, plan).outcome == "compliant"
    assert bench.events().count("requested") == 1
    started = next(data for data in bench.entries() if data["event"] == "started")
    assert [item["by"]["name"] for item in started["approvals"]["given"]] == ["bob", "carol"]
    assert started["approvals"]["quorum"] == 2


def test_one_person_counts_once(bench: Bench, plan: str) -> None:
    assert approve(bench.evidence, BOB, plan).changed
    assert not approve(bench.evidence, BOB, plan).changed
    with pytest.raises(Waiting, match="approvals: 1 "):
        run(bench, plan)


def test_an_approval_that_was_withdrawn_does_not_count(bench: Bench, plan: str) -> None:
    approve(bench.evidence, BOB, plan)
    approve(bench.evidence, CAROL, plan)
    assert withdraw(bench.evidence, CAROL, plan, "I read the wrong notes").changed
    assert not withdraw(bench.evidence, CAROL, plan, "again").changed
    with pytest.raises(Waiting, match="approvals: 1 "):
        run(bench, plan)
    assert bench.cluster.writes == []


@pytest.mark.parametrize(
    "voice",
    [
        person("alice", "e-alice"),
        person("alice", "e-other-way-in"),
        person("ALICE", "e-x"),
        person("renamed", "e-alice"),
    ],
)
def test_who_asked_cannot_approve(bench: Bench, plan: str, voice: Voice) -> None:
    with pytest.raises(Refused, match=r"asked for the plan .* and cannot approve it"):
        approve(bench.evidence, voice, plan)
    assert bench.events()[-1] == "refused"


def forged(plan: str, by: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"plan": plan, "reason": "", "by": by, **more}


@pytest.mark.parametrize(
    "entry",
    [
        lambda plan: forged(plan, {"name": "bob", "entity": "e-bob", "method": "userpass"}),
        lambda plan: forged(plan, {"name": "bob", "entity": "", "method": "login"}),
        lambda plan: forged(
            plan,
            {"name": "bob", "entity": "e-bob", "method": "userpass"},
            signed={"signature": "by-approver-e-alice-x", "key": "approver-e-alice", "key_version": 1},
        ),
        lambda plan: forged(
            plan,
            {"name": "bob", "entity": "e-bob", "method": "userpass"},
            signed={"signature": "invented", "key": "approver-e-bob", "key_version": 1},
        ),
        lambda plan: forged(plan, {"name": "alice", "entity": "e-alice", "method": "userpass"}),
    ],
)
def test_an_approval_written_past_the_module_does_not_count_at_the_choke_point(
    bench: Bench, plan: str, entry: Callable[[str], dict[str, Any]]
) -> None:
    approve(bench.evidence, CAROL, plan)
    bench.evidence.record("approved", entry(plan))
    with pytest.raises(Waiting, match="approvals: 1 "):
        run(bench, plan)
    assert bench.cluster.writes == []


def test_an_approval_of_another_plan_does_not_count(bench: Bench, plan: str) -> None:
    approve(bench.evidence, BOB, plan)
    approve(bench.evidence, CAROL, plan)
    bench.cluster.run(SANDBOX, "svc", D2)
    other = make_plan(bench.promoter, ["svc"], {}, ALICE, ASKS)[0].sha256
    assert other != plan
    with pytest.raises(Waiting, match="approvals: 0 "):
        run(bench, other)


def test_an_approval_is_used_up_by_the_promotion_it_was_for(bench: Bench, plan: str) -> None:
    for voice in (BOB, CAROL):
        approve(bench.evidence, voice, plan)
    run(bench, plan)
    roll_back(bench.promoter, "svc", "it is slow", remove=True)
    with pytest.raises(Waiting, match="approvals: 0 "):
        run(bench, plan)


def test_with_a_quorum_who_asks_has_to_be_proven(bench: Bench, plan: str) -> None:
    with pytest.raises(Refused, match="needs approval by 2 other people, so who asks has to be proven"):
        bench.promoter.request("svc", None, "root")


def test_with_a_quorum_nothing_is_sealed_for_who_is_not_proven(bench: Bench, plan: str) -> None:
    with pytest.raises(Refused, match=r"the login root proves nothing: .*playbooks/plan\.yml"):
        make_plan(bench.promoter, ["svc"], {}, Requester("root"))
    assert bench.events()[-1] == "refused"


@pytest.mark.parametrize("sign", [None, person("mallory").sign])
def test_nobody_asks_in_anothers_name_and_then_approves(bench: Bench, plan: str, sign: Any) -> None:
    # Mallory asks as carol, so that mallory's own approval would be another's.
    forged = make_plan(bench.promoter, ["svc"], {}, Requester("carol", "e-carol"), sign)[0]
    approve(bench.evidence, person("mallory"), forged.sha256)
    approve(bench.evidence, BOB, forged.sha256)
    with pytest.raises(Denied, match=r"gate approvals denies: carol has not signed that they ask for the plan"):
        run(bench, forged.sha256)
    assert bench.cluster.writes == []


def test_who_asked_can_still_sign_what_was_sealed_past_the_module(bench: Bench, plan: str) -> None:
    carol = Requester("carol", "e-carol")
    assert make_plan(bench.promoter, ["svc"], {}, carol)[1]
    sealed, changed = make_plan(bench.promoter, ["svc"], {}, carol, CAROL.sign)
    assert changed
    assert not make_plan(bench.promoter, ["svc"], {}, carol, CAROL.sign)[1]
    for voice in (BOB, person("dave")):
        approve(bench.evidence, voice, sealed.sha256)
    assert run(bench, sealed.sha256).outcome == "compliant"


def test_what_was_signed_cannot_be_said_again(bench: Bench, plan: str) -> None:
    approve(bench.evidence, BOB, plan)
    said = approve(bench.evidence, CAROL, plan).entry
    withdraw(bench.evidence, CAROL, plan, "I read the wrong notes")
    assert said is not None
    bench.evidence.record("approved", {key: value for key, value in said.data.items() if key != "event"})
    with pytest.raises(Waiting, match="approvals: 1 "):
        run(bench, plan)
    # Nor does it keep carol from approving after all.
    assert approve(bench.evidence, CAROL, plan).changed
    veto(bench.evidence, BOB, D1, "it loses orders")
    lifted = lift(bench.evidence, CAROL, D1, "it was the database").entry
    veto(bench.evidence, BOB, D1, "it was not")
    assert lifted is not None
    bench.evidence.record("veto_lifted", {key: value for key, value in lifted.data.items() if key != "event"})
    with pytest.raises(Denied, match="vetoed by bob: it was not"):
        run(bench, plan)


@pytest.mark.parametrize("event", ["approved", "approval_withdrawn"])
def test_what_is_written_past_the_module_takes_no_approval_away(bench: Bench, plan: str, event: str) -> None:
    approve(bench.evidence, BOB, plan)
    approve(bench.evidence, CAROL, plan)
    bench.evidence.record(event, {"plan": plan, "reason": "x", "by": BOB.identity.as_dict()})
    assert run(bench, plan).outcome == "compliant"


def test_a_person_with_two_entities_counts_once(bench: Bench, plan: str) -> None:
    approve(bench.evidence, BOB, plan)
    approve(bench.evidence, person("Bob", "e-bobs-robot"), plan)
    with pytest.raises(Waiting, match="approvals: 1 "):
        run(bench, plan)


def test_what_waits_says_what_to_run_with_the_whole_hash(bench: Bench, plan: str) -> None:
    stop(bench.evidence, BOB, "svc", "orders are lost")
    with pytest.raises(Waiting) as caught:
        run(bench, plan)
    said = str(caught.value)
    assert f"someone other than alice runs ansible-playbook playbooks/approve.yml -e plan={plan};" in said
    assert f"two people each run ansible-playbook playbooks/approve.yml -e plan={plan} -e override=true" in said
    assert said.endswith(f"ansible-playbook playbooks/promote.yml -e plan={plan} goes on.")


def test_a_briefing_counts_who_counts_and_says_what_comes_next(bench: Bench, plan: str) -> None:
    promote = f"ansible-playbook playbooks/promote.yml -e plan={plan}"

    def told() -> dict[str, Any]:
        return briefing(load_plan(bench.evidence, plan), Standing.of(bench.evidence.entries()))

    assert told() == {
        "requested_by": "alice",
        "approved_by": [],
        "missing_approvals": 2,
        "next": "2 more people, other than alice, to approve it with ansible-playbook playbooks/approve.yml "
        f"-e plan={plan}; after that, {promote}",
    }
    approve(bench.evidence, BOB, plan)
    assert (told()["approved_by"], told()["missing_approvals"]) == (["bob"], 1)
    approve(bench.evidence, CAROL, plan)
    assert told()["next"] == f"approved by bob, carol; promote it with {promote}"


def test_what_was_deployed_last_stands_for_its_service(bench: Bench) -> None:
    for service, digest in (("svc", D1), ("svc", D2), ("other", D3)):
        bench.evidence.record("deployed", {"service": service, "digest": digest}, type="validation")
    assert last_deployed(bench.evidence, "svc") == D2
    with pytest.raises(Refused, match="has no deployment of 'x' to the sandbox; name the digest"):
        last_deployed(bench.evidence, "x")
    assert is_known(bench.evidence, D3)
    unknown = f"sha256:{'9' * 64}"
    veto(bench.evidence, BOB, unknown, "a typing error")
    assert not is_known(bench.evidence, unknown)


def test_a_set_that_waits_for_people_says_so_with_the_whole_hash(bench: Bench, plan: str) -> None:
    bench.add("other", D2, [])
    both = make_plan(bench.promoter, ["svc", "other"], {}, ALICE, ASKS)[0]
    for name in both.services:
        bench.promoter.request(name, None, ALICE, both.sha256)
    approve(bench.evidence, BOB, both.sha256)
    settled = settle(bench.promoter, both.sha256)
    waits = f"requested; approvals: 1 of the plan {both.sha256[:12]} by others than alice (required: 2)"
    assert [settled.outcomes[name]["reason"] for name in both.services] == [waits, waits]
    assert f"0 of 2 services of the plan {both.sha256[:12]} are compliant: other is not ({waits})" in settled.sentence()
    assert f"runs ansible-playbook playbooks/approve.yml -e plan={both.sha256};" in settled.sentence()


def test_a_vetoed_digest_is_not_promoted_until_the_veto_is_lifted(bench: Bench) -> None:
    assert veto(bench.evidence, BOB, D1, "it loses orders").changed
    assert not veto(bench.evidence, CAROL, D1, "me, too").changed
    with pytest.raises(Denied, match=r"gate veto denies: .* was vetoed by bob: it loses orders \(required: no veto\)"):
        bench.play()
    assert bench.cluster.writes == []
    with pytest.raises(Refused, match="with a Vault identity; undo it with one"):
        lift(bench.evidence, Voice(Identity("root")), D1, "looks fine")
    lift(bench.evidence, CAROL, D1, "it was the database")
    assert bench.play().outcome == "compliant"


UNSIGNED = {"name": "bob", "entity": "e-bob", "method": "userpass"}
LOGIN = {"name": "root", "entity": "", "method": "login"}


@pytest.mark.parametrize("by", [LOGIN, UNSIGNED])
def test_a_veto_or_stop_of_a_person_is_not_undone_by_an_entry_written_past_the_module(
    bench: Bench, by: dict[str, str]
) -> None:
    veto(bench.evidence, BOB, D1, "it loses orders")
    stop(bench.evidence, BOB, "svc", "orders are lost")
    # Not even by another veto first, which would be easier to undo.
    bench.evidence.record("vetoed", {"digest": D1, "reason": "x", "by": LOGIN})
    bench.evidence.record("stopped", {"service": "svc", "reason": "x", "by": LOGIN})
    bench.evidence.record("veto_lifted", {"digest": D1, "reason": "fine", "by": by})
    bench.evidence.record("resumed", {"service": "svc", "reason": "fine", "by": by})
    with pytest.raises(Denied, match=r"vetoed by bob: it loses orders.*the line is stopped by bob"):
        bench.play()
    assert bench.cluster.writes == []


@pytest.mark.parametrize(
    "event", ["approved", "approval_withdrawn", "overridden", "vetoed", "veto_lifted", "stopped", "resumed"]
)
@pytest.mark.parametrize("data", [{}, {"by": "bob"}, {"plan": 1, "digest": [], "service": {}, "by": LOGIN}])
def test_an_entry_that_lacks_what_it_has_to_say_says_nothing(bench: Bench, event: str, data: dict[str, Any]) -> None:
    bench.evidence.record(event, data)
    assert bench.play().outcome == "compliant"


@pytest.mark.parametrize("event", ["requested", "completed", "started", "rolled_back", "refused", "revoked"])
def test_an_entry_of_no_promotion_promotes_nothing(bench: Bench, event: str) -> None:
    bench.evidence.record(event, {})
    bench.evidence.record(event, {"service": "svc"})
    bench.evidence.record(event, {"service": 3, "digest": 4, "promotion_id": {}, "plan": [], "gate": []})
    assert bench.play().outcome == "compliant"


def test_nothing_is_rolled_back_to_a_vetoed_digest(bench: Bench) -> None:
    bench.promoted(D1, D2, D3)
    veto(bench.evidence, BOB, D2, "it loses orders")
    with pytest.raises(Refused, match="was vetoed by bob"):
        roll_back(bench.promoter, "svc", "slow", D2)
    assert roll_back(bench.promoter, "svc", "slow").digest == D1
    assert bench.compliant_digest() == D1


@pytest.mark.parametrize("service", [None, "svc"])
def test_a_stopped_line_stops_promotions_but_not_rollbacks(bench: Bench, service: str | None) -> None:
    bench.promoted(D1, D2)
    stop(bench.evidence, Voice(Identity("root")), service, "orders are lost")
    bench.cluster.run(SANDBOX, "svc", D3)
    with pytest.raises(Waiting, match=r"gate freeze cannot tell: the line is stopped by root: orders are lost; 0 of 2"):
        bench.play()
    assert bench.compliant_digest() == D2
    assert roll_back(bench.promoter, "svc", "slow").digest == D1
    resume(bench.evidence, BOB, service, "found it")
    assert bench.play().outcome == "compliant"


def test_the_line_of_another_service_does_not_matter(bench: Bench) -> None:
    stop(bench.evidence, BOB, "other", "broken")
    assert bench.play().outcome == "compliant"


def test_an_override_needs_a_reason_and_a_second_person(bench: Bench) -> None:
    stop(bench.evidence, BOB, None, "orders are lost")
    plan = make_plan(bench.promoter, ["svc"], {}, ALICE, ASKS)[0].sha256
    with pytest.raises(Refused, match="overridden with a reason"):
        override(bench.evidence, CAROL, plan, " ")
    override(bench.evidence, CAROL, plan, "this is the repair")
    assert not override(bench.evidence, CAROL, plan, "this is the repair").changed
    with pytest.raises(Waiting, match="1 of 2 people override it"):
        run(bench, plan)
    override(bench.evidence, person("alice"), plan, "this is the repair")
    assert run(bench, plan).outcome == "compliant"
    started = next(data for data in bench.entries() if data["event"] == "started")
    assert {item["by"]["name"] for item in started["overrides"]} == {"alice", "carol"}


def test_an_override_is_of_the_stop_that_was_there_and_can_be_withdrawn(bench: Bench) -> None:
    plan = make_plan(bench.promoter, ["svc"], {}, ALICE, ASKS)[0].sha256
    stop(bench.evidence, BOB, None, "orders are lost")
    for voice in (CAROL, person("alice")):
        override(bench.evidence, voice, plan, "this is the repair")
    resume(bench.evidence, BOB, None, "found it")
    stop(bench.evidence, BOB, "svc", "lost again")
    with pytest.raises(Waiting, match="lost again; 0 of 2 people override it"):
        run(bench, plan)
    for voice in (CAROL, person("alice")):
        assert override(bench.evidence, voice, plan, "this is the repair of both").changed
    assert withdraw_override(bench.evidence, CAROL, plan, "it is not").changed
    assert not withdraw_override(bench.evidence, CAROL, plan, "it is not").changed
    with pytest.raises(Waiting, match="1 of 2 people override it"):
        run(bench, plan)
    override(bench.evidence, BOB, plan, "I stopped it, and this may go")
    assert run(bench, plan).outcome == "compliant"


@pytest.mark.parametrize("voice", [person("alice"), person("alice", "e-x"), person("alices-robot", "e-alice")])
def test_who_asks_does_not_clear_their_own_way(bench: Bench, voice: Voice) -> None:
    plan = make_plan(bench.promoter, ["svc"], {}, ALICE, ASKS)[0].sha256
    veto(bench.evidence, BOB, D1, "it loses orders")
    stop(bench.evidence, BOB, "svc", "orders are lost")
    assert lift(bench.evidence, voice, D1, "looks fine").changed
    assert resume(bench.evidence, voice, "svc", "looks fine").changed
    assert not resume(bench.evidence, voice, "svc", "looks fine").changed
    with pytest.raises(Denied, match=r"vetoed by bob: it loses orders.*the line is stopped by bob: orders are lost"):
        run(bench, plan)
    assert bench.cluster.writes == []
    assert lift(bench.evidence, CAROL, D1, "it was the database").changed
    assert resume(bench.evidence, CAROL, "svc", "it was the database").changed
    assert run(bench, plan).outcome == "compliant"


def test_what_one_said_oneself_one_takes_back_oneself(bench: Bench) -> None:
    plan = make_plan(bench.promoter, ["svc"], {}, ALICE, ASKS)[0].sha256
    veto(bench.evidence, person("alice"), D1, "it loses orders")
    lift(bench.evidence, person("alice"), D1, "it was the database")
    assert run(bench, plan).outcome == "compliant"


@pytest.mark.parametrize("say", [veto, lift, stop, resume, override, withdraw, withdraw_override])
def test_nothing_of_that_kind_without_a_reason(bench: Bench, say: Callable[..., Any]) -> None:
    plan = make_plan(bench.promoter, ["svc"], {}, ALICE, ASKS)[0].sha256
    subject: str | None = {veto: D1, lift: D1, stop: None, resume: None}.get(say, plan)
    with pytest.raises(Refused, match="reason"):
        say(bench.evidence, BOB, subject, "  ")
    assert "vetoed" not in bench.events()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


CHRISTMAS = {"name": "x", "timezone": "Europe/Berlin", "from": "2026-12-20T00:00", "until": "2027-01-05T00:00"}
WEEKEND = {"name": "w", "timezone": "Europe/Berlin", "days": ["fri"], "from": "16:00", "until": "08:00"}


@pytest.mark.parametrize(
    ("window", "now", "until"),
    [
        (CHRISTMAS, "2026-12-19T22:59:59+00:00", None),
        (CHRISTMAS, "2026-12-19T23:00:00+00:00", "2027-01-05T00:00:00+01:00"),
        (CHRISTMAS, "2027-01-04T23:00:00+00:00", None),
        # The same wall clock in summer and in winter is another hour of UTC.
        (WEEKEND, "2026-07-03T13:59:00+00:00", None),
        (WEEKEND, "2026-07-03T14:00:00+00:00", "2026-07-04T08:00:00+02:00"),
        (WEEKEND, "2026-11-27T14:30:00+00:00", None),
        (WEEKEND, "2026-11-27T15:00:00+00:00", "2026-11-28T08:00:00+01:00"),
        (WEEKEND, "2026-11-28T06:59:00+00:00", "2026-11-28T08:00:00+01:00"),
        (WEEKEND, "2026-11-28T07:00:00+00:00", None),
    ],
)
def test_a_window_is_on_the_clock_of_its_zone(window: dict[str, Any], now: str, until: str | None) -> None:
    found = frozen_until([window], "svc", at(now))
    assert (found and found[1].isoformat()) == until
    assert frozen_until([{**window, "services": ["other"]}], "svc", at(now)) is None


def test_a_freeze_window_makes_it_wait_and_says_until_when(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    window = {
        "name": "audit",
        "timezone": "UTC",
        "from": (now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M"),
        "until": (now + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M"),
    }
    bench.policy = Policy(freezes=(window,))
    with pytest.raises(Waiting, match=f"the freeze 'audit' lasts until {window['until']}"):
        bench.play()
    assert bench.cluster.writes == []
