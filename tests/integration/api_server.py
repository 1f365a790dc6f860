# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real API server (etcd and kube-apiserver, no node) with the objects of the role promotion_policy."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import KubernetesCluster

from .programs import REPOSITORY, free_port, kubernetes, running

ADMIN_TOKEN = "admin-of-this-test"
DIGEST = f"sha256:{'1' * 64}"
IMAGE = f"golden-goose.local/service-a@{DIGEST}"
PEOPLE = ("reader", "requester", "approver", "operator")


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
    people = "".join(f'{who}-token,{who},{who},"golden-goose:{who}s"\n' for who in PEOPLE)
    (folder / "tokens.csv").write_text(f'{ADMIN_TOKEN},admin,1,"system:masters"\n{people}')
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


def policy_objects(**more: Any) -> list[dict[str, Any]]:
    """Return what the role promotion_policy applies, with its defaults."""
    role = REPOSITORY / "roles/promotion_policy"
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text())
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(role / "templates"), trim_blocks=True)
    environment.filters["to_json"] = json.dumps
    text = environment.get_template("objects.yaml.j2").render(defaults | more)
    return [item for item in yaml.safe_load_all(text) if item]


def install_policy(admin: KubernetesCluster) -> str:
    """Create what the role promotion_policy creates, with its own templates; return a token of the promoter."""
    for name in ("sandbox", "compliant", "golden-goose"):
        create(admin, "/api/v1/namespaces", {"metadata": {"name": name}})
        # There is no controller manager here, which would make it.
        create(admin, f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})
    for item in policy_objects():
        version, metadata = item["apiVersion"], item["metadata"]
        prefix = "/api" if version == "v1" else "/apis"
        scope = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
        plural = item["kind"].lower().removesuffix("y") + ("ies" if item["kind"].endswith("y") else "s")
        create(admin, f"{prefix}/{version}{scope}/{plural}", item)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    account = "/api/v1/namespaces/golden-goose/serviceaccounts/promoter/token"
    return str(create(admin, account, asked)["status"]["token"])


@contextmanager
def api_server(folder: Path) -> Iterator[Api]:
    """Run etcd and kube-apiserver in ``folder`` for the duration of the block."""
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
            eventually(lambda: refuses(admin))
            yield Api(folder, port, server, admin, KubernetesCluster(kubeconfig(folder, "promoter", port, token)))
        finally:
            server.kill()
            server.wait()


def refuses(admin: KubernetesCluster) -> bool:
    """Return whether the policy is in force: that takes the API server a moment."""
    pod = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "c", "image": "strange"}]}}
    return admin.request("POST", "/api/v1/namespaces/compliant/pods", pod, {"dryRun": "All"}).status in (403, 422)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until what the API server has in its caches is what was written."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
