# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests: pinned, hardened, and only what the templates may say."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.services import find_service, render_manifests

DIGEST = "sha256:" + "a" * 64


def _by_kind(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["kind"]: item for item in objects}


def test_objects_come_in_the_order_in_which_to_apply_them(services_dir: Path) -> None:
    objects = render_manifests(find_service(services_dir, "service-a"), "sandbox", DIGEST)
    assert [item["kind"] for item in objects] == ["ServiceAccount", "NetworkPolicy", "Service", "Deployment"]


def test_every_object_carries_stage_digest_and_what_the_caller_adds(services_dir: Path) -> None:
    service = find_service(services_dir, "service-a")
    extra = {"golden-goose.local/promotion-id": "1234"}
    for item in render_manifests(service, "compliant", DIGEST, namespace="elsewhere", annotations=extra):
        metadata = item["metadata"]
        assert (metadata["name"], metadata["namespace"]) == ("service-a", "elsewhere")
        assert metadata["labels"]["golden-goose.local/stage"] == "compliant"
        assert metadata["labels"]["app.kubernetes.io/name"] == "service-a"
        assert metadata["annotations"] == {"golden-goose.local/digest": DIGEST, **extra}


def test_a_promotion_id_does_not_restart_pods(services_dir: Path) -> None:
    service = find_service(services_dir, "service-a")
    rendered = [
        _by_kind(render_manifests(service, "compliant", DIGEST, annotations={"golden-goose.local/promotion-id": n}))
        for n in ("1", "2")
    ]
    assert rendered[0]["Deployment"]["spec"] == rendered[1]["Deployment"]["spec"]


def test_the_pod_meets_the_restricted_standard(services_dir: Path) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and what we ask beyond it."""
    objects = _by_kind(render_manifests(find_service(services_dir, "service-a"), "sandbox", DIGEST))
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        assert container["image"] == f"golden-goose.local/service-a@{DIGEST}"
        assert container["imagePullPolicy"] == "Never"
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert set(container["resources"]) == {"requests", "limits"}
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)
    assert objects["Service"]["spec"]["ports"][0]["name"] == "http"


def test_a_copy_with_another_name_is_another_service(services_dir: Path, change: Callable[[str, Any], Path]) -> None:
    change("name", "service-b")
    change("image", "golden-goose.local/service-b")
    shutil.move(services_dir / "service-a", services_dir / "service-b")
    objects = render_manifests(find_service(services_dir, "service-b"), "sandbox", DIGEST)
    assert "service-a" not in yaml.safe_dump_all(objects)
    held = [path for path in (services_dir / "service-b").rglob("*") if path.is_file()]
    assert held
    assert [path for path in held if "service-a" in path.read_text()] == []


@pytest.mark.parametrize("digest", ["", "latest", "sha256:abc", "a" * 64, DIGEST + "0", DIGEST.upper()])
def test_only_a_digest_is_a_digest(services_dir: Path, digest: str) -> None:
    with pytest.raises(GoldenGooseError, match="is not an image digest; expected sha256:"):
        render_manifests(find_service(services_dir, "service-a"), "sandbox", digest)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"{{ image }}"', "docker.io/evil", "container 'service' uses the image 'docker.io/evil'; expected the pinned"),
        ('"{{ image }}"', '"{{ service.image }}"', "expected the pinned one"),
        ("{{ replicas }}", "{{ replica }}", "cannot be rendered: 'replica' is undefined"),
        ("{{ replicas }}", "{% if %}", "cannot be rendered"),
        ("{{ replicas }}", "{{ ''.__class__.__mro__ }}", "cannot be rendered: access to attribute '__class__'"),
        ("kind: Deployment", "kind: [", "does not render to YAML"),
        ("kind: Deployment", "", "must render to objects with apiVersion, kind and metadata.name"),
        ('metadata:\n  name: "{{ service.name }}"\nspec', "metadata: x\nspec", "must render to objects"),
    ],
)
def test_a_bad_template_is_named(services_dir: Path, old: str, new: str, said: str) -> None:
    template = services_dir / "service-a" / "deploy" / "deployment.yaml.j2"
    text = template.read_text()
    assert old in text
    template.write_text(text.replace(old, new))
    with pytest.raises(GoldenGooseError) as error:
        render_manifests(find_service(services_dir, "service-a"), "sandbox", DIGEST)
    assert said in str(error.value)
    assert str(template) in str(error.value)


def test_an_init_container_must_be_pinned_too(services_dir: Path) -> None:
    template = services_dir / "service-a" / "deploy" / "deployment.yaml.j2"
    text = template.read_text()
    template.write_text(
        text.replace("      containers:", "      initContainers: [{name: i, image: x}]\n      containers:")
    )
    with pytest.raises(GoldenGooseError, match="container 'i' uses the image 'x'"):
        render_manifests(find_service(services_dir, "service-a"), "sandbox", DIGEST)


def test_no_templates_is_an_error(services_dir: Path) -> None:
    for path in (services_dir / "service-a" / "deploy").iterdir():
        path.unlink()
    with pytest.raises(GoldenGooseError, match="holds no manifest template"):
        render_manifests(find_service(services_dir, "service-a"), "sandbox", DIGEST)
