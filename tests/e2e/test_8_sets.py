# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several services as one plan, in waves; and a cluster that itself refuses what was not promoted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .instance import Instance, edit

POLICY = {"version": "sets", "order": "dependency", "on_failure": "all_or_nothing"}
FIRST, SECOND, THIRD, BESIDE = "service-a", "service-b", "service-c", "service-d"


@pytest.fixture(scope="module")
def members(promoted: Instance) -> list[str]:
    """service-b and service-d depend on service-a, service-c on service-b; all in a version that is new."""
    for name in (FIRST, SECOND, THIRD, BESIDE):
        folder = promoted.copy_service(name)
        if name == BESIDE:
            edit(folder / "service.yml", "dependencies: []", f"dependencies: [{FIRST}]")
        edit(folder / "service.yml", 'version: "1.0.0"', 'version: "1.4.0"')
        promoted.play("deploy", service=name)
    return [THIRD, BESIDE, SECOND, FIRST]


@pytest.fixture(scope="module")
def policy(promoted: Instance) -> dict[str, Any]:
    """The policy of the sets, with a gate that is a file with tasks."""
    said = {"verdict": "allow", "reason": "ticket 7 is closed", "digest": "{{ golden_goose_promotion.digest }}"}
    both = "{{ golden_goose_verdicts | default({}) | combine({golden_goose_gate.name: golden_goose_said}) }}"
    task = {"name": "Say what the tickets say", "vars": {"golden_goose_said": said}}
    file = promoted.folder / "tickets.yml"
    file.write_text(json.dumps([{**task, "ansible.builtin.set_fact": {"golden_goose_verdicts": both}}]))
    return {**POLICY, "own_gates": [{"name": "tickets", "tasks": str(file), "timeout": 60}]}


def test_a_set_goes_in_waves_and_every_entry_names_the_plan(
    promoted: Instance, members: list[str], policy: dict[str, Any]
) -> None:
    with promoted.appended() as added:
        done = promoted.play("promote", services=members, golden_goose_promotion_policy=policy)
    outcomes = done.record.artifacts["golden_goose_promotions"]
    assert {name: outcomes[name]["outcome"] for name in members} == dict.fromkeys(members, "compliant")
    plans = {entry["data"]["plan"] for entry in added if entry["data"].get("service") in members}
    assert len(plans) == 1
    assert [entry["data"]["plan"] for entry in added if entry["data"]["event"] == "planned"] == [*plans]
    completed = [entry["data"]["service"] for entry in added if entry["data"]["event"] == "completed"]
    assert completed[0] == FIRST
    assert completed.index(SECOND) < completed.index(THIRD)
    assert sorted(completed) == sorted(members)
    tickets = [entry["data"] for entry in added if entry["data"]["event"] == "tickets"]
    assert {data["service"]: (data["verdict"], data["reason"]) for data in tickets} == dict.fromkeys(
        members, ("allow", "ticket 7 is closed")
    )
    for name in members:
        assert promoted.ask("compliant", name, "/version")["name"] == name
    assert added[-1]["data"]["event"] == "backup"
    assert (promoted.backup / "entries.jsonl").read_bytes() == (promoted.ledger / "entries.jsonl").read_bytes()
    with promoted.appended() as again:
        promoted.play("promote", services=members, golden_goose_promotion_policy=policy)
    assert again == []


def test_when_one_fails_all_are_taken_back(promoted: Instance, members: list[str], policy: dict[str, Any]) -> None:
    before = {name: promoted.images("compliant", name) for name in members}
    for name in members:
        edit(promoted.services / name / "service.yml", 'version: "1.4.0"', 'version: "1.5.0"')
    # It works in the sandbox, so that every gate lets it pass.
    edit(
        promoted.services / THIRD / "src/converter/__main__.py",
        "    try:\n        settings = load",
        '    if os.environ.get("STAGE") == "compliant":\n        return 3\n    try:\n        settings = load',
    )
    for name in members:
        promoted.play("deploy", service=name)
    with promoted.appended() as added:
        message = promoted.refused("promote", services=members, golden_goose_promotion_policy=policy)
    assert "0 of 4 services of the plan" in message
    assert f"{THIRD} is not (failed: {THIRD} in compliant " in message
    assert "taken back: " in message
    back = [entry["data"]["service"] for entry in added if entry["data"]["event"] == "rolled_back"]
    assert sorted(back) == sorted(members)
    assert back[-1] == FIRST
    assert {name: promoted.images("compliant", name) for name in members} == before


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("golden-goose.local/service-a@sha256:" + "7" * 64, "was not promoted"),
        ("golden-goose.local/service-a:1.0.0", "is not pinned by digest"),
    ],
)
def test_the_administrator_cannot_run_anything_else_in_compliant(promoted: Instance, image: str, said: str) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "service", "image": image}]}}}}
    with promoted.compliant_untouched(), pytest.raises(AssertionError, match=said):
        promoted.kubectl("patch", "deployment", "service-a", "-n", "compliant", "-p", json.dumps(patch))
    with pytest.raises(AssertionError, match=said):
        promoted.kubectl("create", "deployment", "strange", "-n", "compliant", f"--image={image}")


def test_a_pod_of_what_was_promoted_is_made_again(promoted: Instance) -> None:
    selector = ("-n", "compliant", "-l", "app.kubernetes.io/name=service-a")
    promoted.kubectl("delete", "pods", *selector, "--grace-period=1")
    promoted.kubectl("rollout", "status", "deployment/service-a", "-n", "compliant", "--timeout=60s")
    assert promoted.ask("compliant", "service-a", "/healthz") == {"status": "ok"}


def test_a_stopped_line_holds_and_says_who_stopped_it(promoted: Instance) -> None:
    edit(promoted.copy_service("service-a") / "service.yml", 'version: "1.0.0"', 'version: "1.2.0"')
    promoted.play("deploy", service="service-a")
    freeze = {"name": "audit", "timezone": "UTC", "from": "2020-01-01T00:00", "until": "2999-01-01T00:00"}
    policy = {"version": "frozen", "freezes": [freeze]}
    with promoted.compliant_untouched(), promoted.appended() as added:
        message = promoted.refused("promote", service="service-a", golden_goose_promotion_policy=policy)
    assert "gate freeze cannot tell: the freeze 'audit' lasts until 2999-01-01" in message
    assert added[-1]["data"]["final"] is False
