# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Separated duties, with the playbooks that people run and their own logins at the instance's OpenBao.

Alice asks, bob and carol approve, mallory may do nothing. One new version of service-a is promoted twice: once with a
quorum of one, and after a rollback with a quorum of two, in spite of a freeze.
"""

from __future__ import annotations

import base64
import time
import uuid
from typing import Any

import hvac
import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .instance import Instance, edit
from .people import ADDRESS, People

SERVICE = "service-a"
ONE = {"version": "one-approver", "quorum": 1}
FREEZE = {"name": "audit", "timezone": "Europe/Berlin", "from": "2020-01-01T00:00", "until": "2999-01-01T00:00"}
TWO = {"version": "two-approvers", "quorum": 2, "freezes": [FREEZE]}


@pytest.fixture(scope="module")
def people(promoted: Instance) -> People:
    """alice may ask and approve, bob and carol may approve, mallory may do nothing; and a new version is in sandbox."""
    found = People(promoted)
    found.enrol("alice", "golden-goose-requester", "golden-goose-approver")
    found.enrol("bob", "golden-goose-approver")
    found.enrol("carol", "golden-goose-approver")
    found.enrol("mallory", "default")
    found.alias("alices-robot", "alice", "golden-goose-approver")
    # New in every run, also where the instance was kept (GOLDEN_GOOSE_E2E_KEEP).
    edit(promoted.copy_service(SERVICE) / "service.yml", 'version: "1.0.0"', f'version: "1.0.{int(time.time())}"')
    promoted.play("deploy", service=SERVICE)
    return found


@pytest.fixture(scope="module")
def before(promoted: Instance, people: People) -> str:
    """The digest that is compliant when these tests begin."""
    return _compliant(promoted)


@pytest.fixture(scope="module")
def digest(promoted: Instance, people: People) -> str:
    """The digest that sandbox runs and that is to be promoted."""
    found: str = promoted.entries("deployed")[-1]["data"]["digest"]
    return found


@pytest.fixture(scope="module")
def plan(people: People, before: str, digest: str) -> str:
    """The hash of the plan that alice has sealed, and one person has to approve."""
    assert before != digest
    return _sealed(people, ONE)


def test_nobody_has_to_approve_by_default_and_the_evidence_says_so(promoted: Instance) -> None:
    assert promoted.entries("started")[0]["data"]["approvals"] == {"quorum": 0, "given": []}
    assert promoted.entries("started")[0]["metadata"]["provisional"] is True


def test_a_quorum_is_not_met_by_who_only_has_a_login(promoted: Instance, people: People, before: str) -> None:
    with promoted.compliant_untouched(), promoted.appended() as added:
        message = promoted.refused("promote", service=SERVICE, golden_goose_promotion_policy=ONE)
    assert "service-a needs approval by 1 other person, so who asks has to be proven, too" in message
    assert "playbooks/plan.yml" in message
    assert [entry["data"]["event"] for entry in added] == ["refused"]


def test_check_mode_shows_the_plan_and_seals_nothing(promoted: Instance, people: People, digest: str) -> None:
    with promoted.appended() as added:
        shown = people.play("alice", "plan", service=SERVICE, golden_goose_promotion_policy=ONE, check=True)
    assert digest in shown.output
    assert "1 more person, other than alice, to approve it" in shown.output
    assert added == []


def test_who_asked_signs_the_plan(promoted: Instance, people: People, plan: str) -> None:
    sealed = promoted.entries("planned")[-1]
    assert sealed["data"]["plan"] == plan
    assert sealed["data"]["by"] == {"name": "alice", "entity": people.entity("alice")}
    assert _is_signed_with(people, sealed, f"requester-{people.entity('alice')}")


def test_it_waits_and_says_what_to_run(promoted: Instance, plan: str) -> None:
    message = _waits(promoted, plan, ONE)
    assert (
        f"gate approvals cannot tell: approvals: 0 of the plan {plan[:12]} by others than alice (required: 1)."
        in message
    )
    assert f"someone other than alice runs ansible-playbook playbooks/approve.yml -e plan={plan};" in message
    assert message.endswith(f"after that, ansible-playbook playbooks/promote.yml -e plan={plan} goes on.")


def test_who_asked_is_refused_through_every_way_in(promoted: Instance, people: People, plan: str) -> None:
    said = f"asked for the plan {plan[:12]} and cannot approve it; someone else has to."
    password = {"username": "alice", "password": people.passwords["alice"]}
    with promoted.appended() as added:
        assert people.refused("alice", "approve", plan=plan) == f"alice {said}"
        assert people.refused_with(password, "approve", plan=plan) == f"alice {said}"
        assert people.refused_with(people.ways["alices-robot"], "approve", plan=plan) == f"alices-robot {said}"
        env = {"VAULT_ADDR": ADDRESS, "VAULT_TOKEN": people.token("alice")}
        assert promoted.refused("approve", env=env, plan=plan) == f"alice {said}"
    assert [entry["data"]["event"] for entry in added] == ["refused"] * 4


def test_who_is_nobody_or_may_not_approve_is_refused(promoted: Instance, people: People, plan: str) -> None:
    assert "nothing says who you are" in promoted.refused("approve", env=people.nobody, plan=plan)
    assert "once Vault gives mallory the policy golden-goose-approver" in people.refused(
        "mallory", "approve", plan=plan
    )
    assert "Name the plan by its whole hash" in people.refused("bob", "approve", plan=plan[:12])


def test_what_is_withdrawn_forged_or_of_another_plan_does_not_count(
    promoted: Instance, people: People, plan: str
) -> None:
    people.play("bob", "approve", plan=plan, reason="the notes are fine")
    approved = promoted.entries("approved")[-1]
    assert _is_signed_with(people, approved, f"approver-{people.entity('bob')}")
    people.play("bob", "approve", plan=plan, withdraw=True, reason="the wrong notes")
    # What bob has signed before, again; carol's name without her signature; alice's own signature, past the module.
    data = {key: value for key, value in approved["data"].items() if key != "event"}
    people.append("approved", data)
    carol = {"name": "carol", "entity": people.entity("carol"), "method": "userpass"}
    people.append("approved", data | {"by": carol})
    identity = str(uuid.uuid4())
    own = _signed_by_alice(people, {"plan": plan, "reason": "", "ledger": data["ledger"]}, identity)
    people.append("approved", own, id=identity)
    other = _sealed(people, {"version": "another", "quorum": 1})
    people.play("carol", "approve", plan=other)
    assert "approvals: 0 of the plan" in _waits(promoted, plan, ONE)


def test_bob_approves_and_it_is_promoted(promoted: Instance, people: People, plan: str, digest: str) -> None:
    shown = people.play("bob", "approve", plan=plan, reason="now I read the right ones")
    assert f"approved by bob; promote it with ansible-playbook playbooks/promote.yml -e plan={plan}" in _joined(
        shown.output
    )
    with promoted.appended() as added:
        promoted.play("promote", plan=plan, golden_goose_promotion_policy=ONE)
    started = next(entry["data"] for entry in added if entry["data"]["event"] == "started")
    assert started["plan"] == plan
    assert started["approvals"]["quorum"] == 1
    [given] = started["approvals"]["given"]
    assert given["by"] == {"name": "bob", "entity": people.entity("bob"), "method": "token"}
    assert given["entry"] == promoted.entries("approved")[-1]["id"]
    assert _compliant(promoted) == digest


def test_nothing_is_rolled_back_to_what_was_vetoed_until_that_is_lifted(
    promoted: Instance, people: People, plan: str, before: str
) -> None:
    assert "needs an artifact and a reason" in people.refused("bob", "veto", digest=before)
    people.play("bob", "veto", digest=before, reason="it loses orders")
    with promoted.compliant_untouched():
        message = promoted.refused("rollback", service=SERVICE, reason="slow", digest=before)
    assert f"{before} was vetoed by bob (it loses orders)" in message
    people.play("carol", "veto", digest=before, lift=True, reason="it was the database")
    promoted.play("rollback", service=SERVICE, reason="slow", digest=before)
    assert _compliant(promoted) == before


@pytest.fixture(scope="module")
def second(people: People, promoted: Instance, before: str) -> str:
    """The hash of the plan that two people have to approve, in a freeze."""
    return _sealed(people, TWO)


def test_two_have_to_approve_and_two_to_override_the_freeze(promoted: Instance, people: People, second: str) -> None:
    people.play("bob", "approve", plan=second)
    people.play("bob", "approve", plan=second, override=True, reason="this is the repair")
    with promoted.appended() as again:
        people.play("bob", "approve", plan=second, override=True, reason="once more")
    assert again == []
    message = _waits(promoted, second, TWO)
    assert "the freeze 'audit' lasts until 2999-01-01T00:00:00+01:00; 1 of 2 people override it" in message
    assert "approvals: 1 of the plan" in message
    assert f"two people each run ansible-playbook playbooks/approve.yml -e plan={second} -e override=true" in message
    people.play("carol", "approve", plan=second)
    people.play("carol", "approve", plan=second, override=True, reason="this is the repair")


def test_a_stopped_line_holds_whatever_was_overridden_before(promoted: Instance, people: People, second: str) -> None:
    assert "There is no service 'service-z'" in people.refused("carol", "stop", service="service-z", reason="r")
    people.play("carol", "stop", service=SERVICE, reason="orders are lost")
    assert "the line is stopped by carol: orders are lost; 0 of 2 people override it" in _waits(promoted, second, TWO)
    # Who asked does not clear their own way.
    people.play("alice", "stop", service=SERVICE, resume=True, reason="looks fine")
    assert "the line is stopped by carol: orders are lost" in _waits(promoted, second, TWO)
    people.play("bob", "stop", service=SERVICE, resume=True, reason="it was the database")


def test_the_whole_line_can_be_stopped_by_a_mere_login(promoted: Instance, people: People, second: str) -> None:
    promoted.play("stop", env=people.nobody, reason="Vault is down, too")
    people.play("bob", "veto", service=SERVICE, reason="and it loses orders")
    with promoted.compliant_untouched():
        message = promoted.refused("promote", plan=second, golden_goose_promotion_policy=TWO)
    assert "gate veto denies: " in message
    assert "was vetoed by bob: and it loses orders (required: no veto)" in message
    assert "the line is stopped by root: Vault is down, too" in message
    promoted.play("stop", env=people.nobody, resume=True, reason="it is up again")
    people.play("carol", "veto", service=SERVICE, lift=True, reason="it was the database")


def test_with_all_of_that_it_is_promoted_and_the_evidence_names_everyone(
    promoted: Instance, people: People, second: str, digest: str
) -> None:
    with promoted.appended() as added:
        promoted.play("promote", plan=second, golden_goose_promotion_policy=TWO)
    started = next(entry["data"] for entry in added if entry["data"]["event"] == "started")
    assert started["approvals"]["quorum"] == 2
    assert sorted(one["by"]["name"] for one in started["approvals"]["given"]) == ["bob", "carol"]
    assert sorted(one["by"]["name"] for one in started["overrides"]) == ["bob", "carol"]
    assert _compliant(promoted) == digest


def test_who_has_left_says_nothing_any_more(promoted: Instance, people: People, second: str) -> None:
    people.leave("bob")
    assert "log in again" in people.refused("bob", "approve", plan=second)


def test_no_password_is_in_what_the_playbooks_print_or_record(promoted: Instance, people: People) -> None:
    recorded = (promoted.ledger / "entries.jsonl").read_text()
    kept = [file.read_text() for file in (promoted.folder / "runner/artifacts").rglob("stdout")]
    assert len(kept) >= 3
    for secret in (*people.passwords.values(), people.ways["alices-robot"]["secret_id"], people.token("carol")):
        assert secret not in recorded
        assert not any(secret in text for text in kept)
    promoted.play("verify")


def _sealed(people: People, policy: dict[str, Any]) -> str:
    done = people.play("alice", "plan", service=SERVICE, golden_goose_promotion_policy=policy)
    found: str = done.record.artifacts["golden_goose_plan"]
    return found


def _waits(instance: Instance, plan: str, policy: dict[str, Any]) -> str:
    """Run the promotion, which has to stay open and to leave the cluster alone; return its sentence."""
    with instance.compliant_untouched(), instance.appended() as added:
        message = instance.refused("promote", plan=plan, golden_goose_promotion_policy=policy)
    refusals = [entry["data"] for entry in added if entry["data"]["event"] == "refused"]
    assert [(one["final"], one["reason"]) for one in refusals] == [(False, message)]
    return message


def _signed_by_alice(people: People, data: dict[str, Any], identity: str) -> dict[str, Any]:
    """Return what alice could write by hand: her own signature, made with her own token, under another name."""
    vault, entity = hvac.Client(url=ADDRESS, token=people.token("alice")), people.entity("alice")
    said = data | {"by": {"name": "dave", "entity": entity, "method": "userpass"}}
    content = base64.b64encode(rfc8785.dumps(said | {"event": "approved", "id": identity})).decode()
    vault.secrets.transit.create_key(name=f"approver-{entity}", key_type="ed25519")
    signature = vault.secrets.transit.sign_data(name=f"approver-{entity}", hash_input=content)["data"]["signature"]
    return said | {"signed": {"signature": signature.rpartition(":")[2], "key": f"approver-{entity}", "key_version": 1}}


def _is_signed_with(people: People, entry: dict[str, Any], key: str) -> bool:
    """Check a signature as docs/promotion-flow.md says that a stranger can, with what Vault says of the key."""
    vault = hvac.Client(url=ADDRESS, token=people.root_token)
    signed = entry["data"]["signed"]
    said = {name: value for name, value in entry["data"].items() if name != "signed"} | {"id": entry["id"]}
    public = vault.secrets.transit.read_key(key)["data"]["keys"][str(signed["key_version"])]["public_key"]
    Ed25519PublicKey.from_public_bytes(base64.b64decode(public)).verify(
        base64.b64decode(signed["signature"]), rfc8785.dumps(said)
    )
    return bool(signed["key"] == key)


def _compliant(instance: Instance) -> str:
    image = instance.kubectl(
        "get", "deployment", SERVICE, "-n", "compliant", "-o", "jsonpath={.spec.template.spec.containers[0].image}"
    )
    return image.partition("@")[2]


def _joined(output: str) -> str:
    return " ".join(output.split())
