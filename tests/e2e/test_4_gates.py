# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each gate denies on a real cluster. All are evaluated even after one denies, so a few runs of one service show it.

test_4_refusals.py has what lies before the gates, and what is wrong in the sandbox.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import hvac
import pytest
import yaml
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger, attributes
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.evidence import Evidence
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.identity import Identity
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.people import Voice, veto

from . import prometheus
from .instance import Instance, edit
from .test_4_refusals import denials

SERVICE, OTHER = "service-g", "service-h"
ZONE = ZoneInfo("Pacific/Auckland")
SHELL = "\n\ndef listing(name: str) -> None:\n    subprocess.run(f'ls {name}', shell=True, check=False)\n"
UNCOVERED = "\n\ndef never_called(value: str) -> str:\n" + "    value = value.strip()\n" * 60 + "    return value\n"

# What the gates of our own are: programs, a policy in Rego, and tasks.
REFUSES = """#!{python}
import json, sys
asked = json.load(open(sys.argv[1]))
said = {{"verdict": "deny", "reason": "ticket 7 of " + asked["service"] + " is open (required: closed)"}}
print(json.dumps(said | {{"observed": {{"ticket": 7}}, "required": {{"open": 0}}}}))
"""
WAITS = """#!{python}
import json
print(json.dumps({{"verdict": "defer", "reason": "the review is at noon (required: a review)",
                   "observed": {{"reviews": 0}}, "required": {{"reviews": 1}}, "next_check": "2999-01-01T12:00:00Z"}}))
"""
HANGS = "#!{python}\nimport time\nprint('asking the tracker', flush=True)\ntime.sleep(60)\n"
ALLOWS = '#!{python}\nprint(\'{{"verdict": "allow", "reason": "so it is"}}\')\n'
REGO = """package golden_goose.gate
default verdict := "deny"
verdict := "allow" if input.service != "%s"
reason := sprintf("%%v is not on the list (required: on it)", [input.service])
observed := {"service": input.service}
required := {"listed": true}
"""
TASKS = """
- name: Say what the change board says
  ansible.builtin.set_fact:
    golden_goose_verdicts: "{{ golden_goose_verdicts | default({}) | combine({golden_goose_gate.name: said}) }}"
  vars:
    said:
      verdict: %s
      reason: "the board met on Monday (required: its yes)"
      observed: {board: %s}
      required: {board: true}
      digest: "{{ golden_goose_promotion.digest }}"
"""


@dataclass(frozen=True)
class Refusal:
    """What a run said, and the entries that it left."""

    message: str
    entries: list[dict[str, Any]]

    @property
    def data(self) -> dict[str, Any]:
        """The data of the refusal; one before it closes a promotion that an earlier run has left open."""
        data: dict[str, Any] = self.entries[-1]["data"]
        assert (data["event"], data["reason"]) == ("refused", self.message)
        return data

    def check(self, gate: str, says: str, sentence: str, observed: dict[str, Any], required: dict[str, Any]) -> None:
        """Require of one gate the sentence, and the same values in its verdict and in the refusal."""
        assert re.search(rf"gate {gate} {says}: {sentence}(; gate |\.( Next: |$))", self.message), self.message
        (item,) = [item for item in self.data["denied"] if item["gate"] == gate]
        assert re.fullmatch(sentence, item["reason"])
        assert observed.items() <= item["observed"].items()
        assert required.items() <= item["required"].items()
        verdict = denials(self.entries).get(gate)
        # A verdict that is only too old is an allow as such.
        if verdict is not None:
            assert (verdict["observed"], verdict["required"]) == (item["observed"], item["required"])


class Gates:
    """The files of gates of our own, and how a policy names them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def command(self, name: str, script: str, **limits: float) -> dict[str, Any]:
        file = self.folder / f"{name}.py"
        file.write_text(script.format(python=sys.executable))
        file.chmod(0o755)
        return {"name": name, "command": [str(file)], **limits}

    def file(self, name: str, kind: str, text: str) -> dict[str, Any]:
        file = self.folder / f"{name}.{kind}"
        file.write_text(text)
        return {"name": name, kind: str(file)}

    def records(self, package: str) -> str:
        """Return the path of OSV records: one, that concerns all versions of a Debian package."""
        affected = {
            "package": {"ecosystem": "Debian:12", "name": package},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
        }
        file = self.folder / "osv.json"
        file.write_text(json.dumps([{"id": "GG-2026-1", "affected": [affected]}]))
        return str(file)


@pytest.fixture(scope="module")
def gates(promoted: Instance) -> Iterator[Gates]:
    made = Gates(promoted.folder / "gates")
    yield made
    shutil.rmtree(made.folder)


@pytest.fixture(scope="module")
def service(promoted: Instance) -> Iterator[Path]:
    """A service in the sandbox that wants a second there, and Prometheus to know service-a as compliant."""
    folder = promoted.copy_service(SERVICE)
    # Never the version of a run before: its build would be in a checkpoint already.
    edit(folder / "service.yml", 'version: "1.0.0"', f'version: "1.0.{int(time.time())}"')
    _health(folder, {"min_ready": 1}, {"min_ready": 1, "soak_seconds": 1, "query": "service_a_compliance_state"})
    promoted.play("deploy", service=SERVICE)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def alice(promoted: Instance) -> Iterator[dict[str, str]]:
    """How someone logs in who can prove to Vault who she is."""
    token = json.loads((promoted.config / "vault/root.json").read_text())["root_token"]
    login = {"address": "http://127.0.0.1:8200", "username": "alice", "password": "of-these-tests"}
    root = hvac.Client(url=login["address"], token=token)
    root.sys.enable_auth_method("userpass", path="people-of-gates")
    try:
        root.auth.userpass.create_or_update_user(
            login["username"], login["password"], ["golden-goose-requester"], mount_point="people-of-gates"
        )
        yield login | {"mount": "people-of-gates"}
    finally:
        root.sys.disable_auth_method("people-of-gates")


@pytest.fixture(scope="module")
def wrong(promoted: Instance, gates: Gates, service: Path) -> Refusal:
    """One run of a service with which everything is wrong."""
    own = [
        gates.command("refuses", REFUSES),
        gates.command("hangs", HANGS, timeout=1),
        gates.command("aged", ALLOWS, max_age=0.001),
        gates.file("listed", "rego", REGO % SERVICE),
        gates.file("board", "tasks", TASKS % ("deny", "false")),
    ]
    promoted.copy_service(OTHER)
    built = shutil.copytree(service, promoted.folder / "built")
    # Both see that the source is another than the image was built from.
    module = service / "src/converter/units.py"
    edit(module, "import annotations\n", "import annotations\n\nimport subprocess\n")
    module.write_text(module.read_text() + SHELL + UNCOVERED)
    _health(service, {"soak_seconds": 1}, {"soak_seconds": 86400})
    edit(service / "service.yml", "dependencies: []", f"dependencies: [{OTHER}]")
    try:
        with _without_object(promoted):
            return _refused(
                promoted,
                {"version": "wrong", "gates": ["sbom", "dependencies"], "own_gates": own},
                golden_goose_vulnerabilities=gates.records("dpkg"),
            )
    finally:
        shutil.rmtree(promoted.services / OTHER)
        shutil.rmtree(service)
        built.rename(service)


SHA = "[0-9a-f]{12}"
WRONG: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "provenance": (
        "denies",
        rf"it was built from source {SHA}, but the source is {SHA} now "
        r"\(required: the same; run playbooks/deploy\.yml\)",
        {},
        {},
    ),
    "sast": (
        "denies",
        r"2 high \(required: at most 0\) and 0 medium \(required: at most 0\) findings in \d+ files: "
        r"B602 src/converter/units\.py:\d+, shell-command src/converter/units\.py:\d+",
        {"high": 2, "medium": 0},
        {"max_high": 0, "max_medium": 0},
    ),
    "coverage": (
        "denies",
        r"the tests cover [\d.]+ % of the lines \(required: at least 90 %\)",
        {"failed": 0},
        {"min_percent": 90, "max_failed": 0},
    ),
    "sbom": (
        "denies",
        r"1 known vulnerabilities: GG-2026-1 dpkg \S+ \(required: at most 0\)",
        {"vulnerabilities": 1},
        {"max_vulnerabilities": 0},
    ),
    "health": (
        "cannot tell",
        r"it is in sandbox since \S+Z \(required: 86400 s, which it is at \S+Z\)",
        {"ready": 1, "status": 200},
        {"soak_seconds": 86400},
    ),
    "dependencies": (
        "cannot tell",
        rf"{OTHER} is not compliant \(required: every dependency compliant\)",
        {OTHER: None},
        {OTHER: "compliant"},
    ),
    "refuses": ("denies", rf"ticket 7 of {SERVICE} is open \(required: closed\)", {"ticket": 7}, {"open": 0}),
    "hangs": (
        "denies",
        r"hangs\.py did not end within 1 s; last seen: asking the tracker \(required: a verdict\)",
        {},
        {"verdict": "allow"},
    ),
    "aged": ("denies", r"its verdict is stale since \S+Z \(required: one that still counts\)", {}, {}),
    "listed": (
        "denies",
        rf"{SERVICE} is not on the list \(required: on it\)",
        {"service": SERVICE},
        {"listed": True},
    ),
    "board": (
        "denies",
        r"the board met on Monday \(required: its yes\)",
        {"board": False},
        {"board": True},
    ),
    "chain": (
        "denies",
        r"the ledger is incomplete \(required: intact\): The evidence is incomplete\. Entry \d+: its object \S+ "
        r"cannot be read: No such file or directory",
        {"state": "incomplete"},
        {"state": "intact"},
    ),
}


@pytest.mark.parametrize("gate", WRONG)
def test_one_run_says_of_every_gate_what_is_wrong(wrong: Refusal, gate: str) -> None:
    wrong.check(gate, *WRONG[gate])


def test_nothing_else_was_found_and_nothing_was_started(wrong: Refusal) -> None:
    assert [item["gate"] for item in wrong.data["denied"]] == [*WRONG]
    assert wrong.data["final"] is True
    assert "started" not in [entry["data"]["event"] for entry in wrong.entries]
    for entry in wrong.entries:
        if "gate" in entry["data"]:
            assert entry["data"]["digest"] == wrong.data["digest"]
            assert entry["data"]["policy"].startswith("wrong@")


def test_what_can_only_wait_keeps_the_promotion_open_and_says_until_when(
    promoted: Instance, gates: Gates, service: Path, wrong: Refusal, alice: dict[str, str]
) -> None:
    now = datetime.now(ZONE)
    window = {
        "name": "audit",
        "timezone": str(ZONE),
        "from": f"{now - timedelta(hours=1):%Y-%m-%dT%H:%M}",
        "until": f"{now + timedelta(days=1):%Y-%m-%dT%H:%M}",
        "services": [SERVICE],
    }
    policy = {
        "version": "waits",
        "gates": ["freeze", "approvals", "anchored"],
        "quorum": 1,
        "freezes": [window],
        "own_gates": [gates.command("review", WAITS)],
    }
    said = _refused(promoted, policy, golden_goose_prometheus_address=prometheus.ADDRESS, golden_goose_requester=alice)
    until = (now + timedelta(days=1)).replace(second=0, microsecond=0)
    said.check(
        "freeze",
        "cannot tell",
        rf"the freeze 'audit' lasts until {re.escape(until.isoformat())}; 0 of 2 people override it "
        r"\(required: no freeze\)",
        {"freeze": "audit", "overrides": []},
        {"freeze": None},
    )
    said.check(
        "approvals",
        "cannot tell",
        rf"approvals: 0 of the plan {SHA} by others than alice \(required: 1\)",
        {"approvals": 0, "by": []},
        {"approvals": 1, "not_by": "alice"},
    )
    said.check(
        "anchored",
        "cannot tell",
        r"entry \d+, its build, is in no checkpoint yet \(required: one; run playbooks/deploy\.yml\)",
        {"size": None},
        {"checkpoint": "signed, covering the build"},
    )
    said.check("review", "cannot tell", r"the review is at noon \(required: a review\)", {"reviews": 0}, {"reviews": 1})
    denied = {item["gate"]: item for item in said.data["denied"]}
    assert set(denied) == {"freeze", "approvals", "anchored", "review"}
    assert said.data["final"] is False
    assert datetime.fromisoformat(denied["freeze"]["next_check"]) == until
    assert denied["review"]["next_check"] == "2999-01-01T12:00:00.000Z"
    assert all(item["next_check"] > _last(promoted)["timestamp"] for item in denied.values())


def test_with_all_gates_satisfied_it_becomes_compliant(
    promoted: Instance, gates: Gates, service: Path, wrong: Refusal
) -> None:
    own = [
        gates.command("refuses", ALLOWS),
        gates.file("listed", "rego", REGO % OTHER),
        gates.file("board", "tasks", TASKS % ("allow", "true")),
    ]
    policy = {"version": "right", "gates": ["sbom", "dependencies", "veto", "anchored"], "own_gates": own}
    # With this policy it signs a checkpoint, as the gate anchored has asked for; the image is there.
    promoted.play("deploy", service=SERVICE, golden_goose_promotion_policy=policy)
    with promoted.appended() as added:
        done = promoted.play(
            "promote",
            service=SERVICE,
            golden_goose_promotion_policy=policy,
            golden_goose_prometheus_address=prometheus.ADDRESS,
            golden_goose_vulnerabilities=gates.records("another"),
        )
    assert done.record.artifacts["golden_goose_promotions"][SERVICE]["outcome"] == "compliant"
    verdicts = {entry["data"]["gate"]: entry["data"] for entry in added if "gate" in entry["data"]}
    assert {data["verdict"] for data in verdicts.values()} == {"allow"}
    assert {*policy["gates"], "refuses", "listed", "board"} < set(verdicts)
    assert verdicts["sbom"]["observed"]["vulnerabilities"] == 0
    assert verdicts["health"]["observed"]["samples"] == ["1.0"]
    assert "the query gives 1" in verdicts["health"]["reason"]
    started = next(entry["data"] for entry in added if entry["data"]["event"] == "started")
    assert set(verdicts) == {item["gate"] for item in started["verdicts"]}


def test_what_no_longer_passes_is_revoked_and_seen_by_prometheus(
    promoted: Instance, gates: Gates, service: Path
) -> None:
    digest = _compliant(promoted)
    prometheus.wait_for(f'golden_goose_digest_revoked{{service="{SERVICE}"}} == 0')
    promoted.play("recheck", service=SERVICE)
    _health(service, {"query": "service_a_compliance_state"}, {"query": "no_such_series"})
    with promoted.compliant_untouched(), promoted.appended() as added:
        message = promoted.refused(
            "recheck",
            service=SERVICE,
            gates=["sbom", "health"],
            golden_goose_prometheus_address=prometheus.ADDRESS,
            golden_goose_vulnerabilities=gates.records("dpkg"),
        )
    says = (
        rf"{digest[:19]}… no longer passes: gate sbom denies: 1 known vulnerabilities: GG-2026-1 dpkg \S+ "
        r"\(required: at most 0\); gate health denies: the query gives no sample "
        r"\(required: at least one sample, none of them 0\)"
    )
    assert re.fullmatch(rf"{SERVICE} is revoked: {says}\.", message), message
    assert denials(added)["sbom"]["attempt"] == denials(added)["health"]["attempt"] == 2
    (revoked,) = [entry["data"] for entry in added if entry["data"]["event"] == "revoked"]
    assert re.fullmatch(says, revoked["reason"])
    assert [item["gate"] for item in revoked["verdicts"]] == ["sbom", "health"]


def test_what_is_revoked_does_not_pass_as_compliant_already(promoted: Instance, service: Path) -> None:
    digest = _compliant(promoted)
    _veto(promoted, digest)
    query = f'golden_goose_digest_revoked{{service="{SERVICE}"}} - 1'
    prometheus.wait_for(f"{query} == 0")
    _health(service, {"query": "no_such_series"}, {"query": query})
    policy = {"version": "revoked", "gates": ["veto"]}
    said = _refused(promoted, policy, golden_goose_prometheus_address=prometheus.ADDRESS)
    said.check(
        "veto",
        "denies",
        rf"{digest[:19]}… was vetoed by bob: it loses orders \(required: no veto\)",
        {},
        {"veto": None},
    )
    said.check(
        "health",
        "denies",
        r"the query gives 0 \(required: at least one sample, none of them 0\)",
        {"samples": ["0.0"]},
        {"query": query},
    )
    prometheus.wait_for("service_g_compliance_state == 0")


def test_a_ledger_that_is_behind_its_backup_promotes_nothing(promoted: Instance) -> None:
    """The chain of what is left still verifies, and no checkpoint is there to tell; the second place can."""
    size = len((promoted.backup / "entries.jsonl").read_bytes().splitlines())
    with _cut_to(promoted, size - 1), promoted.compliant_untouched():
        message = promoted.refused("promote", service=SERVICE)
    assert f"the last of the {size} entries in its backup {promoted.backup} is not in it" in message
    assert "(gate chain: observed broken, required intact)" in message


def _refused(instance: Instance, policy: dict[str, Any], **more: Any) -> Refusal:
    with instance.compliant_untouched(), instance.appended() as added:
        message = instance.refused("promote", service=SERVICE, golden_goose_promotion_policy=policy, **more)
    return Refusal(message, added)


def _compliant(instance: Instance) -> str:
    digests = [e["data"]["digest"] for e in instance.entries("completed") if e["data"]["service"] == SERVICE]
    return str(digests[-1])


def _last(instance: Instance) -> dict[str, Any]:
    return instance.entries()[-1]


def _health(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Change some of the thresholds of the gate health in service.yml."""
    file = folder / "service.yml"
    content = yaml.safe_load(file.read_text())
    health = content["gates"]["health"]
    assert old.items() <= health.items()
    content["gates"]["health"] = health | new
    file.write_text(yaml.safe_dump(content))


def _veto(instance: Instance, digest: str) -> None:
    evidence = Evidence(Ledger.open(instance.ledger), _last(instance)["metadata"])
    veto(evidence, Voice(Identity("bob")), digest, "it loses orders")


@contextmanager
def _without_object(instance: Instance) -> Iterator[None]:
    """Have a report of service-a missing for the duration of the block."""
    sha256 = instance.entries("sast")[0]["data"]["object"]["sha256"]
    file = instance.ledger / "objects/sha256" / sha256[:2] / sha256
    aside = file.rename(instance.folder / "aside")
    try:
        yield
    finally:
        aside.rename(file)


@contextmanager
def _cut_to(instance: Instance, size: int) -> Iterator[None]:
    """Have a ledger of only ``size`` entries, and without a checkpoint, for the duration of the block."""
    aside = instance.ledger.with_name("ledger.aside")
    instance.ledger.rename(aside)
    try:
        shutil.copytree(aside, instance.ledger, ignore=shutil.ignore_patterns("checkpoint*", "tile"))
        lines = (aside / "entries.jsonl").read_bytes().splitlines(keepends=True)
        (instance.ledger / "entries.jsonl").write_bytes(b"".join(lines[:size]))
        yield
    finally:
        with attributes.unprotected(instance.ledger):
            shutil.rmtree(instance.ledger)
        aside.rename(instance.ledger)
