# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Put one image of a service into a namespace, and wait until it answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..cluster import KubernetesCluster
from ..errors import GoldenGooseError
from .model import Service
from .render import render_manifests


@dataclass(frozen=True)
class Target:
    """Where to: kubeconfig, stage, namespace (default: the stage) and seconds to wait for readiness."""

    kubeconfig: Path
    stage: str
    namespace: str | None = None
    timeout: float = 120.0

    @property
    def place(self) -> str:
        """Return the namespace."""
        return self.namespace or self.stage


def deploy(service: Service, digest: str, target: Target, check: bool) -> dict[str, Any]:
    """Make the cluster run ``digest`` and return what changed and what the service answers.

    :param check: ask the API server what would change, if it is there; change nothing.
    :return: changed, changes (words for each object), namespace, image; and, unless in check mode,
        deployment (uid, generation) and answered (path, status, version as the service gives it).
    :raises GoldenGooseError: the API server does not answer or refuses, or the service is not ready in
        time; the sentence says what was seen last.
    """
    objects = render_manifests(service, target.stage, digest, target.namespace)
    result: dict[str, Any] = {"namespace": target.place, "image": service.pinned_image(digest)}
    if check and not target.kubeconfig.is_file():
        names = [f"{item['kind']} {item['metadata']['name']} in {target.place}" for item in objects]
        return result | {"changed": True, "changes": names}
    cluster = KubernetesCluster(target.kubeconfig)
    changes = cluster.changes(objects)
    result |= {"changed": bool(changes), "changes": changes}
    if check:
        return result
    if changes:
        cluster.apply(objects)
    cluster.wait_rollout(target.place, service.name, digest, target.timeout)
    return result | {
        "deployment": _identity(cluster, service, target),
        "answered": _answered(cluster, service, target),
    }


def withdraw(service: Service, target: Target, check: bool) -> list[str]:
    """Remove the objects of ``service``; return which were there. Without a kubeconfig there are none.

    :raises GoldenGooseError: the API server does not answer or refuses.
    """
    if not target.kubeconfig.is_file():
        return []
    cluster = KubernetesCluster(target.kubeconfig)
    # Names are all that counts here, so any digest will do.
    objects = render_manifests(service, target.stage, f"sha256:{'0' * 64}", target.namespace)
    found = [item for item in objects if cluster.exists(item)]
    if not check:
        cluster.delete(found)
    return [f"{item['kind']} {item['metadata']['name']} in {target.place}" for item in found]


def _identity(cluster: KubernetesCluster, service: Service, target: Target) -> dict[str, Any]:
    path = f"/apis/apps/v1/namespaces/{target.place}/deployments/{service.name}"
    try:
        metadata = json.loads(cluster.request("GET", path).body)["metadata"]
        return {"uid": str(metadata["uid"]), "generation": int(metadata["generation"])}
    except (ValueError, KeyError) as error:
        raise GoldenGooseError(f"The API server shows no deployment {service.name} in {target.place}.") from error


def _answered(cluster: KubernetesCluster, service: Service, target: Target) -> dict[str, Any]:
    path = service.health.version
    answer = cluster.wait_answer(target.place, service.name, path, target.timeout)
    try:
        version = json.loads(answer.body)
    except ValueError:
        version = None
    return {"path": path, "status": answer.status, "version": version}
