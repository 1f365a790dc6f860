# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster client and the promoter's role against a real API server (etcd and kube-apiserver, no node)."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import (
    ClusterDenied,
    ClusterError,
    ClusterUnavailable,
    KubernetesCluster,
    RolloutUnhealthy,
)

from .api_server import ADMIN_TOKEN, DIGEST, IMAGE, Api, kubeconfig


def in_namespace(objects: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    return [{**item, "metadata": {**item["metadata"], "namespace": namespace}} for item in objects]


def test_the_promoter_may_do_all_that_a_promotion_of_service_a_does(api: Api, manifests: list[dict[str, Any]]) -> None:
    api.promoter.admit(set())
    api.promoter.apply(manifests, dry_run=True)
    assert api.promoter.deployment("compliant", "service-a") is None
    api.promoter.admit({IMAGE})
    api.promoter.apply(manifests)
    api.promoter.apply(manifests)
    view = api.promoter.deployment("compliant", "service-a")
    assert view is not None
    assert (view.digest, view.desired, view.ready, view.healthy) == (DIGEST, 1, 0, False)
    with pytest.raises(RolloutUnhealthy, match=r"did not become healthy within 1 s; last seen: 0 pods \(wanted: 1\)"):
        api.promoter.wait_rollout("compliant", "service-a", DIGEST, 1)
    with pytest.raises(RolloutUnhealthy, match="does not answer /healthz with 200 within 1 s"):
        api.promoter.wait_answer("compliant", "service-a", "/healthz", 1)
    assert api.promoter.deployment("sandbox", "service-a") is None


def test_applying_takes_back_what_others_changed(api: Api, manifests: list[dict[str, Any]]) -> None:
    api.promoter.apply(manifests)
    path = "/apis/apps/v1/namespaces/compliant/deployments/service-a"
    patch = {"spec": {"replicas": 5}}
    assert api.admin.request("PATCH", path, patch, content_type="application/merge-patch+json").status == 200
    api.promoter.apply(manifests)
    view = api.promoter.deployment("compliant", "service-a")
    assert view is not None and view.desired == 1


@pytest.mark.parametrize("namespace", ["sandbox", "golden-goose", "default"])
def test_the_promoter_writes_to_compliant_only(api: Api, manifests: list[dict[str, Any]], namespace: str) -> None:
    for item in in_namespace(manifests, namespace):
        with pytest.raises(ClusterDenied, match=f"does not allow .*promoter.kubeconfig to apply {item['kind']}"):
            api.promoter.apply([item])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/namespaces/compliant/secrets"),
        ("GET", "/api/v1/namespaces/golden-goose/secrets/promoter"),
        ("GET", "/api/v1/namespaces/golden-goose/pods"),
        ("GET", "/api/v1/namespaces/kube-system/configmaps"),
        ("GET", "/api/v1/nodes"),
        ("POST", "/api/v1/namespaces/compliant/pods"),
        ("POST", "/api/v1/namespaces/compliant/secrets"),
        ("POST", "/api/v1/namespaces/compliant/pods/x/exec"),
        ("POST", "/api/v1/namespaces/compliant/serviceaccounts/default/token"),
        ("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/compliant/roles"),
        ("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/compliant/rolebindings"),
        ("POST", "/apis/batch/v1/namespaces/compliant/jobs"),
        ("DELETE", "/apis/apps/v1/namespaces/sandbox/deployments/service-a"),
        ("GET", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"),
        ("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/golden-goose-promoted"),
        ("PATCH", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/golden-goose-promoted"),
        ("DELETE", "/api/v1/namespaces/compliant"),
        ("POST", "/api/v1/namespaces/compliant/services/service-a:http/proxy/admin"),
    ],
)
def test_what_the_promoter_cannot_do(api: Api, method: str, path: str) -> None:
    body = {"kind": "x", "apiVersion": "v1", "metadata": {"name": "x"}} if method == "POST" else None
    assert api.promoter.request(method, path, body).status == 403


def test_a_manifest_that_is_wrong_is_refused_by_the_dry_run(api: Api, manifests: list[dict[str, Any]]) -> None:
    wrong = json.loads(json.dumps(manifests[-1]))
    wrong["metadata"]["name"] = "wrong"
    wrong["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] = 99999
    with pytest.raises(ClusterError, match=r"refuses to apply Deployment wrong in compliant: .*containerPort"):
        api.promoter.apply([wrong], dry_run=True)
    assert api.promoter.deployment("compliant", "wrong") is None


def test_what_was_applied_can_be_removed_again(api: Api, manifests: list[dict[str, Any]]) -> None:
    service = [item for item in manifests if item["kind"] != "Deployment"]
    api.promoter.apply(service)
    api.promoter.delete(service)
    api.promoter.delete(service)
    assert not any(api.admin.exists(item) for item in service)


def test_a_token_that_is_not_known_is_said(api: Api) -> None:
    stranger = KubernetesCluster(kubeconfig(api.folder, "stranger", api.port, "unknown"))
    with pytest.raises(ClusterDenied, match=r"does not accept the credentials in .*stranger.kubeconfig"):
        stranger.deployment("compliant", "service-a")


def test_another_authority_is_said(api: Api, tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other", "-days", "1"),
            *("-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "pki/apiserver.crt")),
        ],
        check=True,
        capture_output=True,
    )
    cluster = KubernetesCluster(kubeconfig(tmp_path, "admin", api.port, ADMIN_TOKEN))
    with pytest.raises(ClusterUnavailable, match=r"presents a certificate that .*admin.kubeconfig does not trust"):
        cluster.deployment("compliant", "service-a")


def test_at_last_a_server_that_was_killed_is_unavailable(api: Api) -> None:
    api.server.kill()
    api.server.wait()
    with pytest.raises(ClusterUnavailable, match="does not answer"):
        api.promoter.deployment("compliant", "service-a")
    began = time.monotonic()
    with pytest.raises(ClusterUnavailable):
        api.promoter.wait_rollout("compliant", "service-a", DIGEST, 2)
    assert time.monotonic() - began < 10
