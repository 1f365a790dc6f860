# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed plans: the same wish is the same hash, and what has changed since is refused with what differs."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.engine import Waiting
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.gates import GATES
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import (
    REQUIRED_GATES,
    SANDBOX,
    Refused,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.plan import Requester, load_plan
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.policy import Policy, read_policy
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.sealing import make_plan

from .conftest import D1, D2, Bench


def sealed(bench: Bench, *names: str, **options: Any) -> str:
    plan = make_plan(bench.promoter, names or ("svc",), options.get("digests", {}), Requester("tester"))[0]
    return plan.sha256


def test_the_same_wish_has_the_same_hash_and_the_hash_is_that_of_the_object(bench: Bench) -> None:
    first = sealed(bench)
    assert sealed(bench) == first
    content = bench.evidence.ledger.objects.read(first)
    assert hashlib.sha256(content).hexdigest() == first
    assert load_plan(bench.evidence, first).item("svc")["digest"] == D1


def test_every_entry_of_a_promotion_names_the_plan(bench: Bench) -> None:
    plan = sealed(bench)
    bench.play()
    assert {data["plan"] for data in bench.entries()} == {plan}
    requested = bench.entries()[0]
    assert requested["sealed_plan"]["sha256"] == plan


def test_a_plan_of_one_gets_no_entry_a_set_gets_one_and_only_one(bench: Bench) -> None:
    sealed(bench)
    assert bench.events() == []
    bench.add("other", D2, [])
    for again in range(2):
        assert len(sealed(bench, "other", "svc")) == 64, again
    assert bench.events() == ["planned"]
    assert bench.entries()[0]["services"] == {"other": D2, "svc": D1}


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ("image", f"svc: sandbox is {D2[:19]}… (sealed: {D1[:19]}…)"),
        ("threshold", "svc: thresholds: max_medium is 7 (sealed: 0)"),
        ("dependency", "svc: dependencies is ['x'] (sealed: [])"),
        ("policy", "policy: max_age is 60.0 (sealed: 3600)"),
        ("source", "svc: source_sha256 is "),
    ],
)
def test_what_has_changed_since_is_refused_with_what_differs(bench: Bench, change: str, differs: str) -> None:
    plan = sealed(bench)
    description = bench.root / "services/svc/service.yml"
    if change == "image":
        bench.cluster.run(SANDBOX, "svc", D2)
    elif change == "threshold":
        description.write_text(description.read_text().replace("gates: {}", "gates: {sast: {max_medium: 7}}"))
    elif change == "dependency":
        description.write_text(description.read_text() + "dependencies: [x]\n")
    elif change == "source":
        (bench.root / "services/svc/src/more.py").write_text("x = 1\n")
    else:
        bench.policy = Policy(max_age=60.0)
    with pytest.raises(Refused, match=re.escape(differs)) as caught:
        bench.promoter.request("svc", None, "tester", plan)
    assert any(differs in item for item in caught.value.facts["differs"])
    assert bench.events() == ["refused"]


def test_the_membership_is_fixed(bench: Bench) -> None:
    plan = sealed(bench)
    bench.add("other", D2, [])
    with pytest.raises(Refused, match=r"other is not in the plan .*, which is sealed for svc"):
        bench.promoter.request("other", None, "tester", plan)


def test_what_is_not_a_plan_is_refused(bench: Bench) -> None:
    other = bench.evidence.store(b"{}", "application/json")["sha256"]
    for hash_, match in (("0" * 64, "no sealed plan"), (other, "is not a plan"), ("x", "no sealed plan")):
        with pytest.raises(Refused, match=match):
            bench.promoter.request("svc", None, "tester", hash_)


def test_check_mode_seals_nothing(bench: Bench) -> None:
    promoter = bench.promoter.__class__(**{**bench.promoter.__dict__, "dry_run": True})
    plan = make_plan(promoter, ["svc"], {}, Requester("tester"))[0]
    with pytest.raises(Refused, match="no sealed plan"):
        load_plan(bench.evidence, plan.sha256)


def test_the_default_policy_is_sprint_1_and_the_started_entry_says_that_nobody_had_to_approve(bench: Bench) -> None:
    assert read_policy(None, tuple(GATES)) == Policy()
    assert Policy().gates == REQUIRED_GATES
    bench.play()
    started = next(data for data in bench.entries() if data["event"] == "started")
    assert started["approvals"] == {"quorum": 0, "given": []}


def test_a_verdict_of_another_policy_or_a_stale_one_is_no_verdict(bench: Bench) -> None:
    bench.promoter.request("svc", None, "tester")
    bench.promoter.evaluate("svc", bench.scanners, REQUIRED_GATES)
    bench.policy = Policy(version="stricter")
    with pytest.raises(
        GoldenGooseError, match=r"gate sast denies: its verdict is of the policy sprint1@\w+ \(required"
    ):
        bench.promoter.promote("svc")
    assert bench.cluster.writes == []


def test_a_stale_verdict_is_no_verdict(bench: Bench) -> None:
    bench.policy = Policy(max_age=-1.0)
    with pytest.raises(GoldenGooseError, match="gate sast denies: its verdict is stale since 20"):
        bench.play()
    assert bench.cluster.writes == []


def test_the_five_gates_are_required_whatever_the_policy_says() -> None:
    policy = read_policy({"gates": ["veto"]}, tuple(GATES))
    assert set(policy.gates) == {*REQUIRED_GATES, "veto"}
    assert policy.gates[-1] == "chain"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"quorums": 1}, "policy.quorums is not a known key"),
        ({"order": "random"}, "policy.order is 'random'; expected one of linear, dependency"),
        ({"on_failure": "pray"}, "policy.on_failure is 'pray'"),
        ({"gates": ["luck"]}, "policy.gates names 'luck', which is not a gate"),
        ({"quorum": "many"}, "policy.quorum is 'many'"),
        ({"own_gates": [{"name": "sast", "command": ["x"]}]}, "a gate called 'sast'"),
        ({"own_gates": [{"name": "mine", "command": "x"}]}, "the command of mine is 'x'"),
        ({"own_gates": [{"name": "mine"}]}, "mine has none; expected one of command, rego, tasks"),
        ({"own_gates": [{"name": "mine", "command": ["x"], "rego": "/x"}]}, "mine has command and rego; expected one"),
        ({"own_gates": [{"name": "mine", "rego": "x.rego"}]}, "expected the absolute path of a file"),
        ({"own_gates": [{"name": "mine", "tasks": "/no/such.yml"}]}, "the file /no/such.yml of mine cannot be read"),
        ({"freezes": [{"name": "w", "timezone": "Mars/Base", "from": "x", "until": "y"}]}, "freeze window 'w'"),
    ],
)
def test_a_policy_that_cannot_be_understood_is_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GoldenGooseError, match=re.escape(sentence)):
        read_policy(given, tuple(GATES))


def test_waiting_keeps_the_promotion_open_and_is_recorded(bench: Bench) -> None:
    bench.add("base", D2, [])
    bench.policy = Policy(order="dependency")
    bench.add("top", D1, ["base"])
    plan = sealed(bench, "base", "top")
    bench.promoter.request("top", None, "tester", plan)
    bench.promoter.evaluate("top", bench.scanners, REQUIRED_GATES)
    with pytest.raises(Waiting, match="base, which comes before top, is not compliant"):
        bench.promoter.promote("top")
    assert bench.entries()[-1]["event"] == "refused"
    assert bench.entries()[-1]["final"] is False
    assert bench.cluster.writes == []


@pytest.mark.parametrize("inventory", ["sandbox", "existing"])
def test_the_inventories_say_what_sprint_1_says(inventory: str) -> None:
    file = Path(__file__).resolve().parents[3] / "inventories" / inventory / "group_vars/all/promotion.yml"
    policy = yaml.safe_load(file.read_text())["golden_goose_promotion_policy"]
    assert read_policy(policy, tuple(GATES)) == Policy()
