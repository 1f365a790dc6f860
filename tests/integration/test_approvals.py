# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Approvals by people of a real OpenBao: each proves who they are and signs with a key that only they can use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.evidence import Evidence
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.identity import (
    logged_in,
    trusted_by,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import Refused
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.people import Voice, approve, withdraw
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.plan import (
    Plan,
    Requester,
    keep_plan,
    seal,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.policy import Policy
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.sealing import planned_data
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.standing import Standing
from ansible_collections.golden_goose.compliance.plugins.module_utils.vault import VaultDenied, VaultError
from ansible_collections.golden_goose.compliance.plugins.module_utils.vault_bootstrap import bootstrap

from .programs import REPOSITORY
from .test_vault import Server, new_server

METADATA = {"sprint": "1", "provisional": True}
PASSWORDS = {name: f"{name}-password" for name in ("alice", "bob", "rita", "mallory")}
POLICIES = {"rita": ["golden-goose-requester"], "mallory": []}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with people: alice, bob and the role robot may approve, rita may only ask, mallory may do nothing."""
    made = new_server(tmp_path_factory.mktemp("vault"))
    with made.run():
        bootstrap(made.wanted)
        root = made.root()
        root.sys.enable_auth_method("userpass")
        for name, password in PASSWORDS.items():
            policies = POLICIES.get(name, ["golden-goose-approver"])
            root.auth.userpass.create_or_update_user(name, password=password, policies=policies)
        role = {"token_policies": ["golden-goose-approver"], "token_ttl": "60s"}
        root.write_data("auth/approle/role/robot", data=role)
        yield made


def login(server: Server, name: str, **more: Any) -> dict[str, Any]:
    return {"address": server.address, "username": name, "password": PASSWORDS[name], **more}


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return Evidence(Ledger.create(tmp_path / "ledger", "test"), METADATA)


@pytest.fixture
def plan(evidence: Evidence) -> Plan:
    item = {"digest": f"sha256:{'1' * 64}", "dependencies": []}
    made = seal({"svc": item}, Policy(quorum=1), Requester("alice", "e-alice"))
    keep_plan(evidence, made)
    return made


def counted(server: Server, evidence: Evidence, plan: Plan) -> list[str]:
    """Return who has approved, as the choke point sees it."""
    standing = Standing.of(evidence.entries(), trusted_by(server.promoter, evidence.origin))
    return [entry.data["by"]["name"] for entry in standing.approvers(plan, "svc")]


def test_bobs_approval_is_signed_by_bob_and_counts(server: Server, evidence: Evidence, plan: Plan) -> None:
    with logged_in(login(server, "bob")) as bob:
        assert (bob.identity.name, bob.identity.method) == ("bob", "userpass")
        said = approve(evidence, Voice(bob.identity, bob.sign), plan.sha256)
    assert said.entry is not None
    assert said.entry.data["signed"]["key"] == f"approver-{bob.identity.entity}"
    assert counted(server, evidence, plan) == ["bob"]


def test_nobody_signs_for_another(server: Server, evidence: Evidence, plan: Plan) -> None:
    with logged_in(login(server, "bob")) as bob:
        bob.sign("approved", {}, "so that the key is there")
    token = hvac.Client(url=server.address).auth.userpass.login("alice", PASSWORDS["alice"])["auth"]["client_token"]
    alice = hvac.Client(url=server.address, token=token)
    key = f"approver-{bob.identity.entity}"
    for action in (
        lambda: alice.secrets.transit.sign_data(name=key, hash_input="eA=="),
        lambda: alice.secrets.transit.sign_data(name="evidence", hash_input="eA=="),
        lambda: alice.secrets.transit.create_key(name="approver-somebody", key_type="ed25519"),
    ):
        with pytest.raises(hvac.exceptions.Forbidden):
            action()
    # Nor can the promoter, though it checks what others sign.
    with server.promoter().session("a test") as promoter, pytest.raises(hvac.exceptions.Forbidden):
        promoter.secrets.transit.sign_data(name=key, hash_input="eA==")
    # An entry with bob's name and alice's signature is not bob's.
    with logged_in(login(server, "alice")) as person:
        data = {"plan": plan.sha256, "reason": "", "by": bob.identity.as_dict(), "ledger": evidence.origin}
        for changed in ({}, {"key": key}):
            identity = str(uuid.uuid4())
            signed = person.sign("approved", data, identity) | changed
            evidence.record("approved", data | {"signed": signed}, id=identity)
    assert counted(server, evidence, plan) == []


def test_who_asked_cannot_approve_under_another_name_for_the_same_key(
    server: Server, evidence: Evidence, plan: Plan
) -> None:
    with logged_in(login(server, "alice")) as alice:
        own = alice.identity.entity
        for entity in (f"x/../approver-{own}", own.upper(), f"{own}?", f"{own}#x", f"./{own}", f" {own}"):
            by = {"name": "bob", "entity": entity, "method": "userpass"}
            data = {"plan": plan.sha256, "reason": "", "by": by, "ledger": evidence.origin}
            identity = str(uuid.uuid4())
            signed = alice.sign("approved", data, identity) | {"key": f"approver-{entity}"}
            evidence.record("approved", data | {"signed": signed}, id=identity)
    assert counted(server, evidence, plan) == []


def test_what_cannot_be_a_signature_holds_nobody_up(server: Server, evidence: Evidence, plan: Plan) -> None:
    by = {"name": "eve", "entity": "0000-nobody", "method": "userpass"}
    key = "approver-0000-nobody"
    for signed in ({}, {"key": key}, {"key": key, "signature": "eA==", "key_version": 1}, "text"):
        evidence.record("approved", {"plan": plan.sha256, "reason": "", "by": by, "signed": signed})
        assert counted(server, evidence, plan) == []
    with logged_in(login(server, "bob")) as bob:
        approve(evidence, Voice(bob.identity, bob.sign), plan.sha256)
    assert counted(server, evidence, plan) == ["bob"]


def test_another_way_in_of_the_same_person_is_the_same_person(server: Server, evidence: Evidence) -> None:
    root = server.root()
    with logged_in(login(server, "alice")) as alice:
        entity = alice.identity.entity
    root.write_data("auth/approle/role/alices-robot", data={"token_policies": ["golden-goose-approver"]})
    role_id = root.auth.approle.read_role_id("alices-robot")["data"]["role_id"]
    secret_id = root.auth.approle.generate_secret_id("alices-robot")["data"]["secret_id"]
    accessor = root.sys.list_auth_methods()["data"]["approle/"]["accessor"]
    root.secrets.identity.create_or_update_entity_alias(name=role_id, canonical_id=entity, mount_accessor=accessor)
    item = {"digest": f"sha256:{'1' * 64}", "dependencies": []}
    plan = seal({"svc": item}, Policy(quorum=1), Requester("alice", entity))
    keep_plan(evidence, plan)
    with logged_in({"address": server.address, "role_id": role_id, "secret_id": secret_id}) as robot:
        assert robot.identity.name != "alice"
        with pytest.raises(Refused, match=r"asked for the plan .* and cannot approve it"):
            approve(evidence, Voice(robot.identity, robot.sign), plan.sha256)
        # Written past the module, with a signature that is good.
        data = {"plan": plan.sha256, "reason": "", "by": robot.identity.as_dict(), "ledger": evidence.origin}
        identity = str(uuid.uuid4())
        evidence.record("approved", data | {"signed": robot.sign("approved", data, identity)}, id=identity)
    assert counted(server, evidence, plan) == []


def test_an_approval_cannot_be_moved_to_another_plan(server: Server, evidence: Evidence, plan: Plan) -> None:
    other = seal({"svc": {"digest": f"sha256:{'2' * 64}", "dependencies": []}}, Policy(quorum=1), Requester("x"))
    keep_plan(evidence, other)
    with logged_in(login(server, "bob")) as bob:
        said = approve(evidence, Voice(bob.identity, bob.sign), other.sha256)
    assert said.entry is not None
    evidence.record("approved", {**said.entry.data, "plan": plan.sha256})
    assert counted(server, evidence, plan) == []
    assert counted(server, evidence, other) == ["bob"]


def test_an_approval_that_was_withdrawn_cannot_be_said_again_by_another(
    server: Server, evidence: Evidence, plan: Plan
) -> None:
    with logged_in(login(server, "bob")) as bob:
        voice = Voice(bob.identity, bob.sign)
        said = approve(evidence, voice, plan.sha256)
        withdraw(evidence, voice, plan.sha256, "I read the wrong notes")
    assert said.entry is not None
    evidence.record("approved", said.entry.data)
    assert counted(server, evidence, plan) == []


def test_what_someone_has_approved_ends_with_their_key(server: Server, evidence: Evidence, plan: Plan) -> None:
    with logged_in(login(server, "bob")) as bob:
        approve(evidence, Voice(bob.identity, bob.sign), plan.sha256)
    assert counted(server, evidence, plan) == ["bob"]
    transit, key = server.root().secrets.transit, f"approver-{bob.identity.entity}"
    transit.update_key_configuration(key, deletion_allowed=True)
    transit.delete_key(key)
    assert counted(server, evidence, plan) == []


def test_what_was_approved_in_another_ledger_of_the_same_vault_does_not_count(
    server: Server, evidence: Evidence, plan: Plan, tmp_path: Path
) -> None:
    other = Evidence(Ledger.create(tmp_path / "other", "staging"), METADATA)
    keep_plan(other, plan)
    with logged_in(login(server, "bob")) as bob:
        said = approve(other, Voice(bob.identity, bob.sign, bob.has_signed), plan.sha256).entry
        assert said is not None
        evidence.record("approved", said.data, id=said.id)
        assert (counted(server, evidence, plan), counted(server, other, plan)) == ([], ["bob"])
        # Nor does the copy keep bob from approving here.
        assert approve(evidence, Voice(bob.identity, bob.sign, bob.has_signed), plan.sha256).changed
    assert counted(server, evidence, plan) == ["bob"]


def test_who_may_only_ask_asks_and_does_not_approve(server: Server, evidence: Evidence, plan: Plan) -> None:
    with logged_in(login(server, "rita")) as rita:
        with pytest.raises(VaultDenied, match=r"counts once Vault gives rita the policy golden-goose-approver"):
            approve(evidence, Voice(rita.identity, rita.sign), plan.sha256)
        item = {"digest": f"sha256:{'3' * 64}", "dependencies": []}
        asked = seal({"svc": item}, Policy(quorum=1), Requester("rita", rita.identity.entity))
        keep_plan(evidence, asked)
        data = planned_data(asked) | {"ledger": evidence.origin}
        signed = rita.sign("planned", data, asked.entry_id)
    evidence.record("planned", data | {"signed": signed}, id=asked.entry_id)
    standing = Standing.of(evidence.entries(), trusted_by(server.promoter, evidence.origin))
    assert standing.is_proven(asked)
    # Mallory, who may do neither, asks in rita's name.
    other = seal({"svc": item}, Policy(quorum=2), Requester("rita", rita.identity.entity))
    evidence.record("planned", planned_data(other) | {"ledger": evidence.origin, "signed": signed}, id=other.entry_id)
    standing = Standing.of(evidence.entries(), trusted_by(server.promoter, evidence.origin))
    assert not standing.is_proven(other)


def test_who_may_not_approve_is_told_so(server: Server, evidence: Evidence, plan: Plan) -> None:
    with (
        pytest.raises(VaultDenied, match="refused"),
        logged_in(login(server, "mallory")) as mallory,
    ):
        approve(evidence, Voice(mallory.identity, mallory.sign), plan.sha256)
    assert counted(server, evidence, plan) == []


def test_the_ways_in(server: Server) -> None:
    root = server.root()
    role_id = root.auth.approle.read_role_id("robot")["data"]["role_id"]
    secret_id = root.auth.approle.generate_secret_id("robot")["data"]["secret_id"]
    with logged_in({"address": server.address, "role_id": role_id, "secret_id": secret_id}) as robot:
        assert robot.identity.entity
        assert robot.sign("approved", {}, "x")["key_version"] == 1
    token = hvac.Client(url=server.address).auth.userpass.login("bob", PASSWORDS["bob"])["auth"]["client_token"]
    with logged_in({"address": server.address, "token": token}) as bob:
        assert bob.identity.name == "bob"
    # A token that was given is the person's to end.
    assert hvac.Client(url=server.address, token=token).is_authenticated()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "Nothing says who you are"),
        ({"username": "bob"}, "Nothing says who you are"),
        ({"username": "bob", "password": "wrong"}, "does not accept these credentials"),
        ({"token": "s.unknown"}, "refused a login"),
    ],
)
def test_who_cannot_prove_it_is_refused(server: Server, given: dict[str, Any], said: str) -> None:
    with pytest.raises(VaultError, match=said), logged_in({"address": server.address, **given}):
        raise AssertionError("logged in")


def test_the_root_token_is_nobody(server: Server) -> None:
    with (
        pytest.raises(VaultError, match="belongs to nobody"),
        logged_in({"address": server.address, "token": server.root().token}),
    ):
        raise AssertionError("logged in")


def test_the_module_approves_and_withdraws(server: Server, evidence: Evidence, plan: Plan, tmp_path: Path) -> None:
    def run(**more: Any) -> dict[str, Any]:
        arguments = {
            "ledger": str(evidence.ledger.path),
            "metadata": METADATA,
            "plan": plan.sha256,
            "vault": login(server, "bob"),
            **more,
        }
        text = json.dumps(arguments)
        command = ["ansible", "localhost", "-i", "localhost,", "-c", "local", "-m"]
        command += ["golden_goose.compliance.promotion_approval", "-a", text]
        command += ["-e", f"ansible_python_interpreter={sys.executable}"]
        program = Path(sys.executable).parent / command[0]
        environment = {
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
        }
        environment |= {"HOME": str(tmp_path), "LANG": "C.UTF-8"}
        done = subprocess.run(
            [program, *command[1:]], env=environment, capture_output=True, text=True, cwd=REPOSITORY, check=False
        )
        assert PASSWORDS["bob"] not in done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout[done.stdout.index("=> {") + 3 :])
        return answer

    assert run()["changed"] is True
    assert counted(server, evidence, plan) == ["bob"]
    assert run()["changed"] is False
    assert "with a reason" in run(state="withdrawn")["msg"]
    assert run(state="withdrawn", reason="wrong notes")["changed"] is True
    assert counted(server, evidence, plan) == []
