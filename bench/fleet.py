# Copyright: Contributors to Golden Goose
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many small services in the sandbox, with the verdicts of their gates: what a promotion of a set is measured on.

They are copies of one service. Each has its own name, image, build, deployment and verdicts; static analysis and tests
are run for the first one, and what they say of it is written down for the others, whose sources are the same but for
the name. All of it is made in this process, by what the modules call, for a play each would take an hour.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

from ansible_collections.golden_goose.compliance.plugins.module_utils.images.base import Mirrors
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.build import build_image, service_request
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.containerd import Containerd, ensure_loaded
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion import evaluate as evaluation
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.arguments import (
    GATE_OPTIONS,
    promoter,
    requester_of,
    scanners_of,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.course import request_members
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.gates import Gate, GateContext
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import Verdict
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.sealing import make_plan
from ansible_collections.golden_goose.compliance.plugins.module_utils.services.deploy import Target, deploy
from ansible_collections.golden_goose.compliance.plugins.module_utils.services.model import find_service

from tests.e2e.instance import CACHE, Instance, edit

WIDTH = 10
ROLLOUT_SECONDS = 900
_MIRRORS = Mirrors("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")
# Building and starting are bound by the processors; one more than these two waits for a pod meanwhile.
_AT_ONCE = 3
_SYSTEM_PODS = 10


def member(number: int) -> str:
    """Return the name of a member of the set."""
    return f"tiny-{number:03d}"


def room(instance: Instance) -> int:
    """Return how many services the node can run beside the pods of the system; a pod of each at a time."""
    nodes = json.loads(instance.kubectl("get", "nodes", "-o", "json"))["items"]
    return sum(int(node["status"]["allocatable"]["pods"]) - _SYSTEM_PODS for node in nodes)


def deploy_all(instance: Instance, count: int) -> list[str]:
    """Build ``count`` services, in waves of ``WIDTH``, deploy them to the sandbox, and return their names."""
    # Another version than the last time: what is compliant already is not promoted again.
    names, version = [member(number) for number in range(count)], f"{int(time.time())}.0.0"
    for number, name in enumerate(names):
        folder = instance.copy_service(name)
        if number >= WIDTH:
            edit(folder / "service.yml", "dependencies: []", f"dependencies: [{member(number - WIDTH)}]")
        edit(folder / "service.yml", 'version: "1.0.0"', f'version: "{version}"')
        template = folder / "deploy/deployment.yaml.j2"
        edit(template, "cpu: 20m, memory: 48Mi", "cpu: 5m, memory: 24Mi")
        # A hundred that start at once on two cores take longer than one may.
        edit(template, "progressDeadlineSeconds: 120", f"progressDeadlineSeconds: {ROLLOUT_SECONDS}")
    evidence = promoter(_options(instance, {}), dry_run=False).evidence
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for entries in pool.map(lambda name: _deploy(instance, name), names):
            for event, data in entries:
                evidence.record(event, data, type="validation")
    return names


def collect(instance: Instance, names: Sequence[str], policy: dict[str, Any]) -> None:
    """Seal the plan for ``names``, request each, and have its gates give their verdicts."""
    options = _options(instance, policy)
    engine, scanners = promoter(options, dry_run=False), scanners_of(options)
    plan, _new = make_plan(engine, names, {}, requester_of(options))
    request_members(engine, plan)
    gates = {name: _Once(gate) if name in ("sast", "coverage") else gate for name, gate in evaluation.GATES.items()}
    with mock.patch.object(evaluation, "GATES", gates):
        for name in plan.services:
            entries, _written = engine.evaluate(name, scanners, engine.policy.gates)
            denied = [entry.data["reason"] for entry in entries if entry.data["verdict"] != "allow"]
            assert not denied, f"{name} cannot be promoted: {denied}"
            engine.runs.release(name)


class _Once:
    """A gate that is asked about the first service, and says the same of the others."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.said: Verdict | None = None

    def __call__(self, context: GateContext) -> Verdict:
        if self.said is None:
            self.said = self.gate(context)
        return self.said


def _deploy(instance: Instance, name: str) -> list[tuple[str, dict[str, Any]]]:
    """Do what the role ``service`` does, and return what it records: events with their data."""
    service = find_service(instance.services, name)
    built, _changed = build_image(service_request(service), CACHE, _MIRRORS)
    containerd = Containerd(instance.root / "run/golden-goose/containerd/containerd.sock", "k8s.io", "ctr")
    archive = Path(built.archive)
    ensure_loaded(containerd, built.image, archive, None, built.digest, False)
    archive.unlink()
    deploy(service, built.digest, Target(instance.config / "kubernetes/admin.kubeconfig", "sandbox", None, 180), False)
    named = {"service": name, "digest": built.digest}
    base = built.as_dict()["base"]
    return [
        ("build", {**named, "source_sha256": built.source_sha256, "base_sha256": base["sha256"] if base else "none"}),
        ("deployed", {**named, "stage": "sandbox"}),
    ]


def _options(instance: Instance, policy: dict[str, Any]) -> dict[str, Any]:
    """Return the options that ``promote.yml`` gives its modules."""
    gates = {name: option.get("default") for name, option in GATE_OPTIONS.items()}
    return {
        **gates,
        "ledger": str(instance.ledger),
        "metadata": instance.entries()[0]["metadata"],
        "services_dir": str(instance.services),
        "kubeconfig": str(instance.config / "kubernetes/promoter.kubeconfig"),
        "run_dir": str(instance.root / "run/golden-goose/promotion"),
        "backup": str(instance.backup),
        "policy": policy or None,
        "semgrep_rules": str(instance.config / "promotion/semgrep"),
    }
