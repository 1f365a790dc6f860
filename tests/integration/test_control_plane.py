# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane as the role kubernetes lays it out: its certificates and command lines, without a node.

etcd, kube-apiserver and kube-controller-manager run under a supervisord of the test, on free ports of loopback.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import (
    ClusterError,
    ClusterUnavailable,
    KubernetesCluster,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster_ready import read_account
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons import engine
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons.model import (
    Daemon,
    daemons_from,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons.supervisor import Supervisor
from ansible_collections.golden_goose.compliance.plugins.module_utils.pki import service as pki_service
from ansible_collections.golden_goose.compliance.plugins.module_utils.pki.kubeconfig import kubeconfig
from ansible_collections.golden_goose.compliance.plugins.modules import daemon as daemon_module
from ansible_collections.golden_goose.compliance.plugins.modules import pki as pki_module

from .programs import REPOSITORY, free_port, kubernetes

ROLE = REPOSITORY / "roles/kubernetes"
PARTS = ("etcd", "kube-apiserver", "kube-controller-manager")


def role_variables(folder: Path) -> dict[str, Any]:
    """Return defaults and variables of the role, for an instance below ``folder``."""
    loader = DataLoader()
    found: dict[str, Any] = {}
    for part in ("defaults", "vars"):
        found |= loader.load_from_file(str(ROLE / part / "main.yml"), trusted_as_template=True)
    return found | {
        "kubernetes_instance": f"test{os.getpid()}",
        "kubernetes_node_address": "127.0.0.1",
        "kubernetes_api_port": free_port(),
        "kubernetes_etcd_port": free_port(),
        "kubernetes_etcd_peer_port": free_port(),
        "kubernetes_config_dir": str(folder / "etc"),
        "kubernetes_program_dir": str(folder / "opt"),
        "kubernetes_state_dir": str(folder / "lib"),
        "kubernetes_log_dir": str(folder / "log"),
        "binary_paths": {"kubernetes": str(kubernetes())},
    }


def validated(arguments: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return what a module with these arguments takes ``given`` for."""
    result = ArgumentSpecValidator(arguments).validate(given)
    assert not result.error_messages, result.error_messages
    found: dict[str, Any] = result.validated_parameters
    return found


@dataclass
class ControlPlane:
    """What runs, and how to speak with it."""

    folder: Path
    server: str
    etcd: str
    daemons: list[Daemon]
    manager: Supervisor

    def user(self, certificate: str) -> KubernetesCluster:
        """Return the API server as the user of one of the role's certificates sees it."""
        path = self.folder / f"{certificate}.kubeconfig"
        pki = self.folder / "etc/pki"
        files = [(pki / name).read_bytes() for name in ("ca.crt", f"{certificate}.crt", f"{certificate}.key")]
        path.write_bytes(kubeconfig(self.server, *files, certificate))
        return KubernetesCluster(path)

    @property
    def admin(self) -> KubernetesCluster:
        return KubernetesCluster(self.folder / "etc/admin.kubeconfig")

    def pid(self, name: str) -> int | None:
        return next(self.manager.pid(daemon) for daemon in self.daemons if daemon.name == name)

    def ask(self, url: str, authority: str, certificate: str | None = None, **headers: str) -> int:
        """Return the status of a GET, with none of the library kubernetes."""
        pki = self.folder / "etc/pki"
        context = ssl.create_default_context(cafile=pki / f"{authority}.crt")
        if certificate:
            context.load_cert_chain(pki / f"{certificate}.crt", pki / f"{certificate}.key")
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(urllib.request.Request(url, headers=headers), timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


def apply_any(cluster: KubernetesCluster, path: str, item: dict[str, Any]) -> None:
    query = {"fieldManager": "test", "force": "true"}
    answer = cluster.request("PATCH", path, item, query, "application/apply-patch+yaml")
    assert answer.status in (200, 201), answer.body


def lay_out(folder: Path) -> tuple[dict[str, Any], list[Daemon]]:
    """Do what the role's tasks do before they start anything."""
    variables = role_variables(folder)
    templar = Templar(DataLoader(), variables)

    def rendered(name: str) -> Any:
        return templar.template(variables[name])

    for name in ("opt/bin", "lib/etcd", "log/audit", "etc"):
        (folder / name).mkdir(parents=True)
    (folder / "lib/etcd").chmod(0o700)
    for name in PARTS:
        (folder / "opt/bin" / name).symlink_to(kubernetes())
    audit = ROLE / "templates/audit-policy.yaml.j2"
    (folder / "etc/audit-policy.yaml").write_text(audit.read_text())
    given = {
        "directory": rendered("_kubernetes_pki"),
        "authorities": rendered("_kubernetes_authorities"),
        "certificates": rendered("_kubernetes_certificates"),
        "key_pairs": ["service-account"],
        "kubeconfigs": rendered("_kubernetes_kubeconfigs"),
    }
    wanted = validated(pki_module.ARGUMENTS, given)
    pki_service.ensure(Path(wanted.pop("directory")), **wanted, check=False)
    services = [service for service in rendered("_kubernetes_daemons") if service["name"] in PARTS]
    # The role leaves it at its usual port, which an instance on this machine may have.
    services[-1]["command"].append(f"--secure-port={free_port()}")
    found = validated(daemon_module.ARGUMENTS, {"services": services, "instance": variables["kubernetes_instance"]})
    return variables, daemons_from(found["instance"], found["services"])


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    # The path of supervisord's socket has at most 107 characters, and those of pytest are long.
    with tempfile.TemporaryDirectory(prefix="gg-") as name:
        folder = Path(name)
        variables, daemons = lay_out(folder)
        program = Path(sys.executable).with_name("supervisord")
        instance = variables["kubernetes_instance"]
        manager = Supervisor(instance, folder / "etc/supervisor", folder / "log", folder / "run", program)
        server = f"https://127.0.0.1:{variables['kubernetes_api_port']}"
        etcd = f"https://127.0.0.1:{variables['kubernetes_etcd_port']}"
        plane = ControlPlane(folder, server, etcd, daemons, manager)
        try:
            engine.apply(manager, daemons, check=False)
            template = jinja2.Template((ROLE / "templates/namespaces.yaml.j2").read_text())
            for item in filter(None, yaml.safe_load_all(template.render(variables))):
                apply_any(plane.admin, f"/api/v1/namespaces/{item['metadata']['name']}", item)
            yield plane
        finally:
            engine.remove(manager, daemons, check=False)


def test_a_second_run_changes_nothing(plane: ControlPlane) -> None:
    states = [item["state"] for item in engine.apply(plane.manager, plane.daemons, check=False)["services"]]
    assert states == ["unchanged"] * len(PARTS)


@pytest.mark.parametrize(
    ("certificate", "user", "group"),
    [
        ("admin", "golden-goose:admin", "system:masters"),
        ("controller-manager", "system:kube-controller-manager", "system:authenticated"),
        ("scheduler", "system:kube-scheduler", "system:authenticated"),
        ("kube-proxy", "system:kube-proxy", "system:authenticated"),
        ("kubelet", "system:node:sandbox", "system:nodes"),
        ("readiness", "golden-goose:readiness", "system:monitoring"),
    ],
)
def test_certificates_name_the_users_that_kubernetes_knows(
    plane: ControlPlane, certificate: str, user: str, group: str
) -> None:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = plane.user(certificate).request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    info = json.loads(answer.body)["status"]["userInfo"]
    assert info["username"] == user and group in info["groups"]
    assert ("system:masters" in info["groups"]) is (certificate == "admin")


@pytest.mark.parametrize("path", ["/api/v1/nodes", "/readyz", "/version", "/metrics"])
def test_nobody_is_served_without_credentials(plane: ControlPlane, path: str) -> None:
    assert plane.ask(f"{plane.server}{path}", "ca") == 401
    assert plane.ask(f"{plane.server}{path}", "ca", Authorization="Bearer unknown") == 401


@pytest.mark.parametrize("certificate", ["etcd-health", "front-proxy-client"])
def test_certificates_of_the_other_authorities_are_none_for_the_api(plane: ControlPlane, certificate: str) -> None:
    assert plane.ask(f"{plane.server}/api/v1/nodes", "ca", certificate) == 401


def test_nobody_reaches_etcd_without_a_certificate_of_its_authority(plane: ControlPlane) -> None:
    assert plane.ask(f"{plane.etcd}/health", "etcd-ca", "etcd-health") == 200
    for certificate in (None, "admin", "apiserver"):
        with pytest.raises((urllib.error.URLError, OSError)):
            plane.ask(f"{plane.etcd}/health", "etcd-ca", certificate)


def test_servers_present_certificates_of_their_own_authority(plane: ControlPlane) -> None:
    for url, authority in ((f"{plane.server}/readyz", "etcd-ca"), (f"{plane.etcd}/health", "ca")):
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            plane.ask(url, authority)


@pytest.mark.parametrize(
    ("certificate", "path", "status"),
    [
        ("readiness", "/readyz", 200),
        ("readiness", "/api/v1/namespaces", 403),
        ("kubelet", "/api/v1/nodes/sandbox", 404),
        ("kubelet", "/api/v1/nodes/other", 403),
        ("kubelet", "/api/v1/secrets", 403),
        ("kubelet", "/api/v1/namespaces/golden-goose/secrets/prometheus", 403),
        ("kube-proxy", "/api/v1/services", 200),
        ("kube-proxy", "/api/v1/secrets", 403),
        ("apiserver-kubelet-client", "/api/v1/nodes", 403),
    ],
)
def test_what_each_may_read(plane: ControlPlane, certificate: str, path: str, status: int) -> None:
    assert plane.ask(f"{plane.server}{path}", "ca", certificate) == status


def pod(namespace: str, **security: Any) -> dict[str, Any]:
    container = {"name": "x", "image": "local.test/x", "securityContext": security}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x", "namespace": namespace},
        "spec": {"containers": [container], "automountServiceAccountToken": False},
    }


@pytest.mark.parametrize("namespace", ["sandbox", "compliant"])
def test_services_run_restricted(plane: ControlPlane, namespace: str) -> None:
    path, query = f"/api/v1/namespaces/{namespace}/pods", {"dryRun": "All"}
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    deadline = time.monotonic() + 20
    while plane.admin.request("GET", account).status != 200:
        assert time.monotonic() < deadline, "the controller manager has not made the default account"
        time.sleep(0.1)
    restricted: dict[str, Any] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert plane.admin.request("POST", path, pod(namespace, **restricted), query).status == 201
    refused = plane.admin.request("POST", path, pod(namespace, **restricted | {"runAsNonRoot": False}), query)
    assert refused.status == 403 and b"violates PodSecurity" in refused.body
    # 422: the API server allows privileged pods nowhere.
    assert plane.admin.request("POST", path, pod(namespace, privileged=True), query).status == 422


def test_changes_are_those_that_apply_makes(plane: ControlPlane) -> None:
    def config(name: str, value: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": "compliant", "labels": {"app": "x"}}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": value}}

    cluster, both = plane.admin, [config("a", "1"), config("b", "1")]
    named = ["ConfigMap a in compliant", "ConfigMap b in compliant"]
    assert cluster.changes(both) == named
    assert not any(map(cluster.exists, both))
    cluster.apply(both)
    assert cluster.changes(both) == [] and all(map(cluster.exists, both))
    assert cluster.changes([config("a", "1"), config("b", "2")]) == named[1:]
    labelled = config("a", "1")
    labelled["metadata"]["labels"] = {"app": "y"}
    assert cluster.changes([labelled]) == named[:1]
    cluster.delete(both)
    assert cluster.changes(both) == named


def test_only_kinds_that_the_promoter_may_write_are_taken(plane: ControlPlane) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "namespace": "compliant"}}
    with pytest.raises(ClusterError, match=r"Secret \(v1\) is not among what the promoter may write"):
        plane.admin.apply([secret])


def test_the_account_of_the_monitoring_reads_figures_and_nothing_else(plane: ControlPlane) -> None:
    """Its objects are the role's; the controller manager issues the token, as a running cluster does."""
    plurals = {"ServiceAccount": "serviceaccounts", "Secret": "secrets", "ClusterRoleBinding": "clusterrolebindings"}
    for item in yaml.safe_load_all((ROLE / "templates/prometheus.yaml.j2").read_text()):
        version, metadata = item["apiVersion"], item["metadata"]
        prefix = f"/api/{version}" if version == "v1" else f"/apis/{version}"
        scope = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
        apply_any(plane.admin, f"{prefix}{scope}/{plurals[item['kind']]}/{metadata['name']}", item)
    account = read_account(plane.admin, "golden-goose", "prometheus", 20)
    assert account.authority.encode() == (plane.folder / "etc/pki/ca.crt").read_bytes()
    bearer = {"Authorization": f"Bearer {account.token}"}
    assert plane.ask(f"{plane.server}/metrics", "ca", **bearer) == 200
    for path in ("/api/v1/nodes", "/api/v1/secrets", "/api/v1/namespaces/golden-goose/secrets/prometheus"):
        assert plane.ask(f"{plane.server}{path}", "ca", **bearer) == 403


def test_it_answers_again_after_all_of_it_was_killed(plane: ControlPlane) -> None:
    killed = {name: plane.pid(name) for name in PARTS}
    for pid in killed.values():
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    started = time.monotonic()
    # Nothing but supervisord starts them again.
    while not answers(plane.admin) or any(plane.pid(name) in (None, killed[name]) for name in PARTS):
        assert time.monotonic() - started < 30
        time.sleep(0.2)
    test_a_second_run_changes_nothing(plane)


def answers(cluster: KubernetesCluster) -> bool:
    try:
        return cluster.request("GET", "/readyz").status == 200
    except ClusterUnavailable:
        return False
