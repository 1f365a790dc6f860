# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster client and the promoter's role against a real API server (etcd and kube-apiserver, no node)."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import (
    ClusterDenied,
    ClusterError,
    ClusterUnavailable,
    KubernetesCluster,
    RolloutUnhealthy,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.services import load_service, render_manifests

from .programs import REPOSITORY, free_port, kubernetes, running

ADMIN_TOKEN = "admin-of-this-test"
DIGEST = f"sha256:{'1' * 64}"
ACCOUNT = {"promotion_policy_service_account": "promoter", "promotion_policy_namespace": "golden-goose"}


@dataclass
class Api:
    """One API server; ``admin`` may do everything, ``promoter`` what the role promotion_policy gives it."""

    folder: Path
    port: int
    server: subprocess.Popen[bytes]
    admin: KubernetesCluster
    promoter: KubernetesCluster


def kubeconfig(folder: Path, name: str, port: int, token: str) -> Path:
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(folder / "pki/apiserver.crt")}
    path = folder / f"{name}.kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": name, "user": {"token": token}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": name}}],
                "current-context": "x",
            }
        )
    )
    return path


def commands(folder: Path, etcd_port: int, peer_port: int, port: int) -> tuple[list[str], list[str]]:
    """Return the command lines of etcd and kube-apiserver; both are one program that goes by its name."""
    for name in ("etcd", "kube-apiserver"):
        (folder / name).symlink_to(kubernetes())
    subprocess.run(["openssl", "genrsa", "-out", str(folder / "sa.key"), "2048"], check=True, capture_output=True)
    (folder / "tokens.csv").write_text(f'{ADMIN_TOKEN},admin,1,"system:masters"\n')
    client, peer = f"http://127.0.0.1:{etcd_port}", f"http://127.0.0.1:{peer_port}"
    etcd = [
        str(folder / "etcd"),
        f"--data-dir={folder / 'data'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]
    apiserver = [
        str(folder / "kube-apiserver"),
        f"--etcd-servers={client}",
        f"--cert-dir={folder / 'pki'}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--service-cluster-ip-range=10.97.0.0/24",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://test",
        f"--service-account-signing-key-file={folder / 'sa.key'}",
        f"--service-account-key-file={folder / 'sa.key'}",
    ]
    return etcd, apiserver


def wait_ready(port: int, folder: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError):
            context = ssl.create_default_context(cafile=folder / "pki/apiserver.crt")
            opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
            )
            request = urllib.request.Request(
                f"https://127.0.0.1:{port}/readyz", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}
            )
            if opener.open(request, timeout=2).status == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"kube-apiserver did not become ready:\n{(folder / 'apiserver.log').read_text()[-4000:]}")


def create(cluster: KubernetesCluster, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = cluster.request("POST", path, body)
    assert answer.status in (200, 201), answer.body
    document: dict[str, Any] = json.loads(answer.body)
    return document


def install_policy(admin: KubernetesCluster) -> str:
    """Create what the role promotion_policy creates, with its own template; return a token of the promoter."""
    for name in ("sandbox", "compliant", "golden-goose"):
        create(admin, "/api/v1/namespaces", {"metadata": {"name": name}})
    template = REPOSITORY / "roles/promotion_policy/templates/promoter.yaml.j2"
    plurals = {"ServiceAccount": "serviceaccounts", "Secret": "secrets", "Role": "roles", "RoleBinding": "rolebindings"}
    for item in yaml.safe_load_all(jinja2.Template(template.read_text()).render(ACCOUNT)):
        version = item["apiVersion"]
        prefix = "/api" if version == "v1" else "/apis"
        create(admin, f"{prefix}/{version}/namespaces/{item['metadata']['namespace']}/{plurals[item['kind']]}", item)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    account = "/api/v1/namespaces/golden-goose/serviceaccounts/promoter/token"
    return str(create(admin, account, asked)["status"]["token"])


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("api")
    etcd_port, peer_port, port = free_port(), free_port(), free_port()
    etcd, apiserver = commands(folder, etcd_port, peer_port, port)
    with ExitStack() as stack:
        stack.enter_context(running(etcd, folder / "etcd.log", f"http://127.0.0.1:{etcd_port}/health"))
        log = stack.enter_context((folder / "apiserver.log").open("ab"))
        server = subprocess.Popen(apiserver, stdout=log, stderr=log, env={"PATH": os.defpath})
        try:
            wait_ready(port, folder, server)
            admin = KubernetesCluster(kubeconfig(folder, "admin", port, ADMIN_TOKEN))
            token = install_policy(admin)
            yield Api(folder, port, server, admin, KubernetesCluster(kubeconfig(folder, "promoter", port, token)))
        finally:
            server.kill()
            server.wait()


@pytest.fixture(scope="module")
def manifests() -> list[dict[str, Any]]:
    return render_manifests(load_service(REPOSITORY / "services/service-a"), "compliant", DIGEST)


def in_namespace(objects: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    return [{**item, "metadata": {**item["metadata"], "namespace": namespace}} for item in objects]


def test_the_promoter_may_do_all_that_a_promotion_of_service_a_does(api: Api, manifests: list[dict[str, Any]]) -> None:
    api.promoter.apply(manifests, dry_run=True)
    assert api.promoter.deployment("compliant", "service-a") is None
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
