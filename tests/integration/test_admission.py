# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster refuses by itself what was not promoted, and what people may not do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils import admission
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import KubernetesCluster

from .api_server import DIGEST, IMAGE, PEOPLE, Api, eventually, kubeconfig, policy_objects


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
