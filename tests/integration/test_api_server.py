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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible_collections.golden_goose.compliance.plugins.module_utils import admission
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


def pod(name: str, image: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "compliant"},
        "spec": {"containers": [{"name": "c", "image": image}], **spec},
    }


def other(digit: str) -> str:
    return f"golden-goose.local/service-a@sha256:{digit * 64}"


PODS = "/api/v1/namespaces/compliant/pods"
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": other("7")}]}}
SELECTOR = {"matchLabels": {"a": "b"}}
JOB = {"template": {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}}


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (pod("x", other("7")), "was not promoted"),
        (pod("x", "golden-goose.local/service-a:1.0.0"), "is not pinned by digest"),
        (pod("x", "golden-goose.local/other@" + DIGEST), "was not promoted"),
        (pod("x", IMAGE, initContainers=[{"name": "i", "image": other("7")}]), "was not promoted"),
        (pod("x", IMAGE, initContainers=[{"name": "i", "image": "busybox"}]), "is not pinned by digest"),
    ],
)
def test_even_the_administrator_cannot_run_what_was_not_promoted(api: Api, case: dict[str, Any], said: str) -> None:
    api.promoter.admit({IMAGE})
    answer = api.admin.request("POST", PODS, case)
    assert answer.status in (403, 422), answer.body
    assert said in answer.body.decode()


@pytest.mark.parametrize(
    ("path", "kind", "spec"),
    [
        ("apps/v1", "Deployment", {"selector": SELECTOR, "template": TEMPLATE}),
        ("apps/v1", "ReplicaSet", {"selector": SELECTOR, "template": TEMPLATE}),
        ("apps/v1", "DaemonSet", {"selector": SELECTOR, "template": TEMPLATE}),
        ("apps/v1", "StatefulSet", {"selector": SELECTOR, "template": TEMPLATE, "serviceName": "x"}),
        ("batch/v1", "Job", JOB),
        ("batch/v1", "CronJob", {"schedule": "* * * * *", "jobTemplate": {"spec": JOB}}),
    ],
)
def test_nor_anything_that_makes_such_pods(api: Api, path: str, kind: str, spec: dict[str, Any]) -> None:
    api.promoter.admit({IMAGE})
    item = {"apiVersion": path, "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    answer = api.admin.request("POST", f"/apis/{path}/namespaces/compliant/{kind.lower()}s", item)
    assert answer.status in (403, 422)
    assert "was not promoted" in answer.body.decode()
    assert api.admin.request("POST", f"/apis/{path}/namespaces/sandbox/{kind.lower()}s", item).status == 201


def test_what_was_promoted_runs_and_takes_no_strange_container_later(api: Api) -> None:
    api.promoter.admit({IMAGE})
    assert api.admin.request("POST", PODS, pod("good", IMAGE)).status == 201
    body = {"spec": {"ephemeralContainers": [{"name": "debug", "image": other("7")}]}}
    merge = "application/strategic-merge-patch+json"
    answer = api.admin.request("PATCH", f"{PODS}/good/ephemeralcontainers", body, content_type=merge)
    assert "was not promoted" in answer.body.decode()
    labels = {"metadata": {"labels": {"x": "y"}}}
    # Off the list it may still be labelled and ended, but not started again.
    api.promoter.dismiss({IMAGE})
    eventually(lambda: api.admin.request("POST", PODS, pod("again", IMAGE)).status in (403, 422))
    assert api.admin.request("PATCH", f"{PODS}/good", labels, content_type=merge).status == 200
    assert api.admin.request("DELETE", f"{PODS}/good", {"gracePeriodSeconds": 0}).status == 200


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_list_has_one_writer(api: Api) -> None:
    api.promoter.admit({IMAGE})
    patch = {"data": {"x": other("7")}}
    merge = "application/merge-patch+json"
    for method, path, body in (
        ("PATCH", admission.PATH, patch),
        ("PUT", admission.PATH, admission.document([other("7")])),
    ):
        answer = api.admin.request(method, path, body, content_type=merge if method == "PATCH" else "application/json")
        assert "Only the promoter writes the list" in answer.body.decode()
    assert api.admin.request("DELETE", admission.PATH).status == 200
    again = api.admin.request("POST", admission.COLLECTION, admission.document([other("7")]))
    assert "Only the promoter writes the list" in again.body.decode()
    eventually(lambda: "no params found" in api.admin.request("POST", PODS, pod("x", IMAGE)).body.decode())


def test_without_the_list_nothing_is_admitted_but_the_promoter_makes_it_anew(
    api: Api, manifests: list[dict[str, Any]]
) -> None:
    api.promoter.dismiss({IMAGE})
    api.promoter.admit({IMAGE})
    api.promoter.apply(manifests)
    listed = json.loads(api.promoter.request("GET", admission.PATH).body)["data"]
    assert listed == {admission.key_of(IMAGE): IMAGE}


def test_images_that_the_role_allows_beside_may_run_in_whatever_form(api: Api) -> None:
    (policy,) = [
        i
        for i in policy_objects(promotion_policy_extra_images=["mesh/proxy:1"])
        if i["metadata"]["name"] == "golden-goose-promoted" and i["kind"] == "ValidatingAdmissionPolicy"
    ]
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/golden-goose-promoted"
    query = {"fieldManager": "test", "force": "true"}
    assert api.admin.request("PATCH", path, policy, query, "application/apply-patch+yaml").status == 200
    api.promoter.admit({IMAGE})
    with_sidecar = pod("sidecar", IMAGE, initContainers=[{"name": "proxy", "image": "mesh/proxy:1"}])
    eventually(lambda: api.admin.request("POST", PODS, with_sidecar).status == 201)
    strange = pod("strange", IMAGE, initContainers=[{"name": "proxy", "image": "mesh/proxy:2"}])
    assert api.admin.request("POST", PODS, strange).status in (403, 422)


READ = "/api/v1/namespaces/compliant/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/{}/deployments"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/compliant/leases/x"
CASES: list[tuple[str, str, set[str]]] = [
    ("GET", "/api/v1/namespaces/sandbox/pods", set(PEOPLE)),
    ("GET", READ, set(PEOPLE)),
    ("GET", "/api/v1/namespaces/compliant/secrets", set()),
    ("POST", "/api/v1/namespaces/compliant/pods/x/exec", set()),
    ("POST", "/api/v1/namespaces/compliant/pods", set()),
    ("POST", DEPLOYMENTS.format("sandbox"), {"requester"}),
    ("POST", DEPLOYMENTS.format("compliant"), set()),
    ("DELETE", DEPLOYMENTS.format("compliant") + "/x", set()),
    ("PATCH", DEPLOYMENTS.format("compliant") + "/x/scale", {"operator"}),
    ("DELETE", f"{READ}/x", {"operator"}),
    ("DELETE", LEASES, {"operator"}),
    ("POST", admission.COLLECTION, set()),
    ("PATCH", admission.PATH, set()),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/compliant/rolebindings", set()),
    ("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/golden-goose-promoted", set()),
    ("GET", "/api/v1/namespaces/compliant/services/service-a:http/proxy/healthz", {"approver"}),
]


@pytest.mark.parametrize(("method", "path", "allowed"), CASES)
def test_what_people_may_and_may_not_do(api: Api, method: str, path: str, allowed: set[str]) -> None:
    merge = "application/merge-patch+json" if method == "PATCH" else "application/json"
    body = None if method in ("GET", "DELETE") else {}
    may = set()
    for who in PEOPLE:
        cluster = KubernetesCluster(kubeconfig(api.folder, who, api.port, f"{who}-token"))
        if cluster.request(method, path, body, content_type=merge).status != 403:
            may.add(who)
    assert may == allowed


def test_traffic_is_denied_unless_a_policy_allows_it(api: Api) -> None:
    for stage in ("sandbox", "compliant"):
        path = f"/apis/networking.k8s.io/v1/namespaces/{stage}/networkpolicies/default-deny"
        spec = json.loads(api.admin.request("GET", path).body)["spec"]
        assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_at_last_a_server_that_was_killed_is_unavailable(api: Api) -> None:
    api.server.kill()
    api.server.wait()
    with pytest.raises(ClusterUnavailable, match="does not answer"):
        api.promoter.deployment("compliant", "service-a")
    began = time.monotonic()
    with pytest.raises(ClusterUnavailable):
        api.promoter.wait_rollout("compliant", "service-a", DIGEST, 2)
    assert time.monotonic() - began < 10
