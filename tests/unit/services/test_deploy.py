# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploying against an API server that is a dictionary. A real one is in tests/e2e."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import KubernetesCluster
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.ports import Answer
from ansible_collections.golden_goose.compliance.plugins.module_utils.services import Service, find_service
from ansible_collections.golden_goose.compliance.plugins.module_utils.services.deploy import Target, deploy, withdraw

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
ALL = [f"{kind} service-a in sandbox" for kind in ("ServiceAccount", "NetworkPolicy", "Service", "Deployment")]


class ApiServer:
    """Keeps what is applied, with the fields that an API server adds; pods are ready at once unless told not."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.writes: list[str] = []
        self.ready = True

    def __call__(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        if "/proxy/" in path:
            return Answer(200, b'{"name": "service-a", "version": "1.0.0"}')
        if path.endswith("/pods"):
            return _answer(200, {"items": []})
        if method == "PATCH":
            return self._apply(path, dict(body or {}), (query or {}).get("dryRun") == "All")
        if method == "DELETE":
            self.writes.append(f"DELETE {path}")
            return _answer(200 if self.objects.pop(path, None) else 404, {})
        found = self.objects.get(path)
        return _answer(200, found) if found else _answer(404, {})

    def _apply(self, path: str, body: dict[str, Any], dry_run: bool) -> Answer:
        document = copy.deepcopy(body)
        before = self.objects.get(path, {"metadata": {"generation": 0}})
        changed = before.get("spec") != document.get("spec")
        generation = before["metadata"]["generation"] + int(changed)
        document["metadata"] |= {"uid": f"uid of {path}", "generation": generation, "managedFields": [len(self.writes)]}
        if document["kind"] == "Deployment":
            ready = int(self.ready)
            document["status"] = {"observedGeneration": generation, "replicas": 1, "updatedReplicas": 1}
            document["status"]["readyReplicas"] = ready
        if not dry_run:
            self.writes.append(f"PATCH {path}")
            self.objects[path] = document
        return _answer(200, document)


def _answer(status: int, document: dict[str, Any]) -> Answer:
    return Answer(status, json.dumps(document).encode())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> ApiServer:
    server = ApiServer()
    monkeypatch.setattr(KubernetesCluster, "request", lambda self, *arguments, **named: server(*arguments, **named))
    return server


@pytest.fixture
def service(services_dir: Path) -> Service:
    return find_service(services_dir, "service-a")


@pytest.fixture
def target(tmp_path: Path) -> Target:
    (tmp_path / "kubeconfig").write_text("")
    return Target(tmp_path / "kubeconfig", "sandbox", timeout=1)


def test_the_first_run_applies_all_and_the_second_nothing(server: ApiServer, service: Service, target: Target) -> None:
    first = deploy(service, DIGEST, target, check=False)
    assert (first["changed"], first["changes"], len(server.writes)) == (True, ALL, 4)
    assert first["image"] == f"golden-goose.local/service-a@{DIGEST}"
    assert first["answered"] == {
        "path": "/version",
        "status": 200,
        "version": {"name": "service-a", "version": "1.0.0"},
    }
    second = deploy(service, DIGEST, target, check=False)
    assert (second["changed"], second["changes"], len(server.writes)) == (False, [], 4)
    assert second["deployment"] == first["deployment"]


def test_another_digest_is_another_rollout(server: ApiServer, service: Service, target: Target) -> None:
    first = deploy(service, DIGEST, target, check=False)
    second = deploy(service, OTHER, target, check=False)
    assert "Deployment service-a in sandbox" in second["changes"]
    assert second["deployment"]["generation"] == first["deployment"]["generation"] + 1


def test_what_somebody_else_changed_is_put_right(server: ApiServer, service: Service, target: Target) -> None:
    deploy(service, DIGEST, target, check=False)
    path = "/apis/apps/v1/namespaces/sandbox/deployments/service-a"
    server.objects[path]["spec"]["replicas"] = 7
    assert deploy(service, DIGEST, target, check=False)["changes"] == ["Deployment service-a in sandbox"]
    assert server.objects[path]["spec"]["replicas"] == 1


def test_check_mode_foretells_and_writes_nothing(server: ApiServer, service: Service, target: Target) -> None:
    assert deploy(service, DIGEST, target, check=True) == {
        "namespace": "sandbox",
        "image": f"golden-goose.local/service-a@{DIGEST}",
        "changed": True,
        "changes": ALL,
    }
    assert server.writes == []
    deploy(service, DIGEST, target, check=False)
    assert deploy(service, DIGEST, target, check=True)["changed"] is False


def test_check_mode_without_a_cluster_foretells_everything(service: Service, tmp_path: Path) -> None:
    nowhere = Target(tmp_path / "none", "sandbox")
    assert deploy(service, DIGEST, nowhere, check=True)["changes"] == ALL
    with pytest.raises(GoldenGooseError, match=r"There is no kubeconfig at .*; run playbooks/sandbox.yml"):
        deploy(service, DIGEST, nowhere, check=False)


def test_a_service_that_does_not_become_ready_says_what_was_seen(
    server: ApiServer, service: Service, target: Target
) -> None:
    server.ready = False
    with pytest.raises(GoldenGooseError, match=r"within 1 s; last seen: .*, 0 ready"):
        deploy(service, DIGEST, target, check=False)


def test_withdrawing_removes_what_is_there_once(server: ApiServer, service: Service, target: Target) -> None:
    deploy(service, DIGEST, target, check=False)
    assert withdraw(service, target, check=True) == ALL
    assert len(server.objects) == 4
    assert withdraw(service, target, check=False) == ALL
    assert server.objects == {}
    assert withdraw(service, target, check=False) == []
