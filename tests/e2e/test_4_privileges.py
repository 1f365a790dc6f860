# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nobody can do past the promotion: the administrator, the promoter with its own credentials, and people.

tests/integration has every verb and path; this is the cluster that the playbooks built.
"""

from __future__ import annotations

import json

import hvac
import pytest

from .instance import Instance

OTHER = "golden-goose.local/service-a@sha256:" + "7" * 64
TAGGED = "golden-goose.local/service-a:1.0.0"
POD = ("-n", "compliant", "-l", "app.kubernetes.io/name=service-a", "-o", "jsonpath={.items[0].metadata.name}")


@pytest.mark.parametrize(("image", "said"), [(OTHER, "was not promoted"), (TAGGED, "is not pinned by digest")])
def test_no_kind_of_container_gets_by_with_an_image_that_was_not_promoted(
    promoted: Instance, image: str, said: str
) -> None:
    template = {"spec": {"template": {"spec": {"initContainers": [{"name": "first", "image": image}]}}}}
    with promoted.compliant_untouched():
        with pytest.raises(AssertionError, match=said):
            promoted.kubectl("patch", "deployment", "service-a", "-n", "compliant", "-p", json.dumps(template))
        pod = promoted.kubectl("get", "pods", *POD)
        with pytest.raises(AssertionError, match=said):
            # An ephemeral container; with this profile it is nothing that the namespace forbids as such.
            promoted.kubectl(
                "debug", pod, "-n", "compliant", f"--image={image}", "--profile=restricted", "--attach=false"
            )
    spec = json.loads(promoted.kubectl("get", "pod", pod, "-n", "compliant", "-o", "json"))["spec"]
    assert "ephemeralContainers" not in spec


@pytest.mark.parametrize(
    "attempt",
    [
        ("create", "secret", "generic", "strange", "-n", "compliant", "--from-literal=a=b"),
        ("get", "secrets", "-n", "compliant"),
        ("get", "secret", "promoter", "-n", "golden-goose"),
        ("create", "configmap", "strange", "-n", "sandbox", "--from-literal=a=b"),
        ("create", "configmap", "strange", "-n", "kube-system", "--from-literal=a=b"),
        ("create", "deployment", "strange", "-n", "default", f"--image={OTHER}"),
        ("create", "namespace", "strange"),
        ("delete", "validatingadmissionpolicy", "golden-goose-promoted"),
        ("exec", "deployment/service-a", "-n", "compliant", "--", "/usr/bin/python3.11", "--version"),
    ],
)
def test_the_promoter_can_write_neither_secrets_nor_other_namespaces(
    promoted: Instance, attempt: tuple[str, ...]
) -> None:
    with pytest.raises(AssertionError, match="orbidden"):
        promoted.kubectl(*_as_promoter(promoted, *attempt))


def test_nor_can_it_run_what_was_not_put_on_the_list(promoted: Instance) -> None:
    template = {"spec": {"template": {"spec": {"containers": [{"name": "service", "image": OTHER}]}}}}
    patch = ("patch", "deployment", "service-a", "-n", "compliant", "-p", json.dumps(template))
    with promoted.compliant_untouched(), pytest.raises(AssertionError, match="was not promoted"):
        promoted.kubectl(*_as_promoter(promoted, *patch))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("write_data", "transit/keys/evidence/rotate"),
        ("write_data", "transit/keys/evidence/config"),
        ("write_data", "transit/keys/evidence/trim"),
        ("read", "transit/export/signing-key/evidence"),
        ("read", "transit/backup/evidence"),
        ("delete", "transit/keys/evidence"),
    ],
)
def test_nor_can_it_change_or_take_the_ledgers_key(promoted: Instance, method: str, path: str) -> None:
    approle = json.loads((promoted.config / "vault/promoter-approle.json").read_text())
    vault = hvac.Client(url=approle["address"])
    vault.auth.approle.login(role_id=approle["role_id"], secret_id=approle["secret_id"])
    try:
        with pytest.raises(hvac.exceptions.Forbidden):
            getattr(vault, method)(path)
    finally:
        vault.auth.token.revoke_self()


@pytest.mark.parametrize(
    ("role", "attempt"),
    [
        ("readers", ("delete", "pod", "--all", "-n", "compliant")),
        ("readers", ("get", "secrets", "-n", "compliant")),
        ("requesters", ("create", "deployment", "strange", "-n", "compliant", f"--image={OTHER}")),
        ("requesters", ("set", "image", "deployment/service-a", f"service={OTHER}", "-n", "compliant")),
        ("approvers", ("rollout", "restart", "deployment/service-a", "-n", "compliant")),
        ("approvers", ("create", "configmap", "golden-goose-promoted", "-n", "compliant")),
        ("operators", ("set", "image", "deployment/service-a", f"service={OTHER}", "-n", "compliant")),
        ("operators", ("exec", "deployment/service-a", "-n", "compliant", "--", "/usr/bin/python3.11")),
        ("operators", ("delete", "deployment", "service-a", "-n", "compliant")),
    ],
)
def test_what_the_roles_of_people_do_not_allow(promoted: Instance, role: str, attempt: tuple[str, ...]) -> None:
    with promoted.compliant_untouched(), pytest.raises(AssertionError, match=r"orbidden|denied"):
        promoted.kubectl("--as=somebody", f"--as-group=golden-goose:{role}", *attempt)


def _as_promoter(instance: Instance, *arguments: str) -> tuple[str, ...]:
    return "--kubeconfig", str(instance.config / "kubernetes/promoter.kubeconfig"), *arguments
