# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster, a signer and a service for the engine's tests; the ledger is a real one in a folder."""

from __future__ import annotations

import copy
import hashlib
import os
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import (
    ClusterError,
    ClusterUnavailable,
    RolloutUnhealthy,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion import evaluate as evaluation
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.course import (
    request_members,
    run_course,
    settle_and_keep,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.engine import Promoter
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.evidence import Evidence
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.gates import GateContext, Scanners
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.identity import Sign, key_of, statement
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import (
    COMPLIANT,
    REQUIRED_GATES,
    SANDBOX,
    Verdict,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.plan import Requester
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.policy import Policy
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.ports import Answer, DeploymentView
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.runs import Runs
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.sealing import make_plan

# It compares whole states; without this a difference would not be shown.
pytest.register_assert_rewrite("tests.unit.promotion.kills")

METADATA = {"sprint": "1", "provisional": True, "mesh_enforcement": "pending"}
D1, D2, D3 = (f"sha256:{digit * 64}" for digit in "123")


class Killed(BaseException):
    """The process is gone: nothing catches it, nothing is cleaned up by intent."""


class FakeCluster:
    """Objects by (namespace, kind, name); ``broken`` digests never become healthy; ``down`` answers nothing."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.broken: set[str] = set()
        self.down = False
        self.writes: list[str] = []
        self.admitted: set[str] = set()

    def run(self, namespace: str, name: str, digest: str) -> None:
        self.objects[namespace, "Deployment", name] = deployment(name, f"registry.local/{name}@{digest}")

    def digest(self, namespace: str, name: str = "svc") -> str | None:
        view = self.deployment(namespace, name)
        return view.digest if view else None

    def _answer(self) -> None:
        if self.down:
            raise ClusterUnavailable("The API server at https://test does not answer.")

    def deployment(self, namespace: str, name: str) -> DeploymentView | None:
        self._answer()
        item = self.objects.get((namespace, "Deployment", name))
        if item is None:
            return None
        image = item["spec"]["template"]["spec"]["containers"][0]["image"]
        ready = 0 if image.partition("@")[2] in self.broken else 1
        return DeploymentView(image, desired=1, ready=ready, updated=1, total=1, settled=True)

    def apply(self, objects: list[dict[str, Any]], dry_run: bool = False) -> None:
        self._answer()
        for item in objects:
            if not dry_run:
                self._admits(item)
                metadata = item["metadata"]
                self.objects[metadata["namespace"], item["kind"], metadata["name"]] = copy.deepcopy(item)
                self.writes.append(f"apply {item['kind']} {metadata['name']}")

    def _admits(self, item: dict[str, Any]) -> None:
        """Do what the admission policy does in a real cluster."""
        if item["kind"] == "Deployment" and item["metadata"]["namespace"] == COMPLIANT:
            image = item["spec"]["template"]["spec"]["containers"][0]["image"]
            if image not in self.admitted:
                raise ClusterError(f"The API server refuses {image}: it was not promoted.")

    def admit(self, images: set[str]) -> None:
        self._answer()
        if not images <= self.admitted:
            self.admitted |= images
            self.writes.append(f"admit {len(images)}")

    def dismiss(self, images: set[str]) -> None:
        self._answer()
        running = {
            item["spec"]["template"]["spec"]["containers"][0]["image"]
            for key, item in self.objects.items()
            if key[:2] == (COMPLIANT, "Deployment")
        }
        assert not running & images, "something still runs it"
        self.admitted -= images
        if images:
            self.writes.append(f"dismiss {len(images)}")

    def delete(self, objects: list[dict[str, Any]]) -> None:
        self._answer()
        for item in objects:
            metadata = item["metadata"]
            self.objects.pop((metadata["namespace"], item["kind"], metadata["name"]), None)
            self.writes.append(f"delete {item['kind']} {metadata['name']}")

    def wait_rollout(self, namespace: str, name: str, digest: str, timeout: float) -> DeploymentView:
        view = self.deployment(namespace, name)
        if view is None or view.digest != digest or not view.healthy:
            raise RolloutUnhealthy(f"{name} in {namespace} did not become healthy; last seen: 0 of 1 pods ready.")
        return view

    def get(self, namespace: str, service: str, path: str) -> Answer:
        self._answer()
        view = self.deployment(namespace, service)
        ready = view is not None and view.ready > 0
        return Answer(200, b'{"version": "1.0.0"}') if ready else Answer(503, b"no endpoints")

    def wait_answer(self, namespace: str, service: str, path: str, timeout: float) -> Answer:
        answer = self.get(namespace, service, path)
        if answer.status != 200:
            raise RolloutUnhealthy(f"{service} in {namespace} does not answer {path}.")
        return answer


@dataclass(frozen=True)
class FakeSignature:
    signature: str = "c2lnbmVk"
    key: str = "evidence"
    key_version: int = 1
    public_key: str = "cHVibGlj"


@dataclass
class FakeSigner:
    signed: list[bytes] = field(default_factory=list)
    failure: Exception | None = None

    def verify(self, data: bytes, signature: Any) -> bool:
        return bool(signature.signature == f"by-{signature.key}-{hashlib.sha256(data).hexdigest()}")

    def sign(self, data: bytes) -> FakeSignature:
        if self.failure:
            raise self.failure
        self.signed.append(data)
        return FakeSignature()


def signing(entity: str) -> Sign:
    """Return how a person signs so that ``FakeSigner`` finds it to be good."""

    def sign(event: str, data: Mapping[str, Any], id: str) -> dict[str, Any]:
        key, said = key_of(event, entity), statement(event, data, id)
        return {"signature": f"by-{key}-{hashlib.sha256(said).hexdigest()}", "key": key, "key_version": 1}

    return sign


def deployment(name: str, image: str) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": SANDBOX},
        "spec": {"template": {"spec": {"containers": [{"name": "service", "image": image}]}}},
    }


def write_service(folder: Path, name: str = "svc", gates: str = "{}") -> Path:
    for part in ("src", "tests", "deploy", "image"):
        (folder / part).mkdir(parents=True)
        (folder / part / ".keep").touch()
    (folder / "service.yml").write_text(f"name: {name}\nimage: golden-goose.local/{name}\nport: 8080\ngates: {gates}\n")
    (folder / "deploy" / "deployment.yaml.j2").write_text(
        textwrap.dedent("""\
            apiVersion: apps/v1
            kind: Deployment
            metadata: {name: "{{ service.name }}"}
            spec:
              replicas: {{ replicas }}
              template: {spec: {containers: [{name: service, image: "{{ image }}"}]}}
            """)
    )
    return folder


@dataclass
class Bench:
    """One ledger, one cluster, one service ``svc`` and the engine over them."""

    root: Path
    cluster: FakeCluster = field(default_factory=FakeCluster)
    signer: FakeSigner = field(default_factory=FakeSigner)
    policy: Policy = field(default_factory=Policy)
    runs: Runs = field(init=False)
    evidence: Evidence = field(init=False)

    def __post_init__(self) -> None:
        write_service(self.root / "services" / "svc")
        self.runs = Runs(self.root / "run")
        self.evidence = Evidence(Ledger.create(self.root / "ledger", "test"), METADATA, self.root / "backup")

    @property
    def promoter(self) -> Promoter:
        services = self.root / "services"
        return Promoter(self.evidence, self.cluster, self.runs, services, lambda: self.signer, policy=self.policy)

    @property
    def scanners(self) -> Scanners:
        return Scanners(self.root / "rules")

    def play(self, digest: str | None = None) -> Any:
        """Do what playbooks/promote.yml does."""
        return run_course(self.promoter, "svc", Requester("tester"), self.scanners, digest).outcome

    def add(self, name: str, digest: str, dependencies: list[str]) -> None:
        """Add a service that sandbox runs."""
        folder = write_service(self.root / "services" / name, name)
        with (folder / "service.yml").open("a") as file:
            file.write(f"dependencies: {dependencies}\n")
        self.cluster.run(SANDBOX, name, digest)

    def play_set(self, names: list[str]) -> Any:
        """Do what playbooks/promote.yml does with several services; return how the set was settled."""
        plan = make_plan(self.promoter, names, {}, Requester("tester"))[0]
        members = request_members(self.promoter, plan)
        ready = [name for name, came in members.items() if came["outcome"] == "requested"]
        for name in [name for name in ready if members[name]["missing"]]:
            try:
                self.promoter.evaluate(name, self.scanners, self.policy.gates)
            except GoldenGooseError:
                ready.remove(name)
        for name in ready:
            with suppress(GoldenGooseError):
                # The evidence of a set is kept at its end.
                replace(self.promoter, keep=None).promote(name)
        return settle_and_keep(self.promoter, plan.sha256)

    def promoted(self, *digests: str) -> None:
        """Bring each of the digests to compliant, one after the other."""
        for digest in digests:
            self.cluster.run(SANDBOX, "svc", digest)
            assert self.play().outcome == "compliant"

    def entries(self) -> list[dict[str, Any]]:
        return [entry.data for entry in self.evidence.entries()]

    def events(self) -> list[str]:
        return [data["event"] for data in self.entries()]

    def compliant_digest(self) -> str | None:
        return self.cluster.digest(COMPLIANT)


def fake_gate(name: str, verdicts: dict[str, str]) -> Callable[[GateContext], Verdict]:
    """Return a gate that says what ``verdicts`` holds for it, or for it and the service as ``name:service``."""

    def decide(context: GateContext) -> Verdict:
        said = verdicts.get(f"{name}:{context.service.name}", verdicts[name])
        return Verdict(name, said, f"{name} saw 1 (required: 0)", {"n": 1}, {"n": 0})

    return decide


@pytest.fixture
def gate_verdicts(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Gates that say what this dictionary holds; all allow to begin with."""
    verdicts = dict.fromkeys(REQUIRED_GATES, "allow")

    fakes = {name: fake_gate(name, verdicts) for name in REQUIRED_GATES}
    monkeypatch.setattr(evaluation, "GATES", {name: fakes.get(name, gate) for name, gate in evaluation.GATES.items()})
    return verdicts


@pytest.fixture
def bench(tmp_path: Path, gate_verdicts: dict[str, str]) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.cluster.run(SANDBOX, "svc", D1)
    yield made


@pytest.fixture(autouse=True)
def _no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without fsync(2): here processes are killed, and what they wrote to a file is there all the same."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
