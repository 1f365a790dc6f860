# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Putting the cluster back: after a rollout that failed, and when someone asks for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .evidence import Evidence
from .model import COMPLIANT
from .ports import Cluster
from .state import Promotion, ServiceState

Manifests = list[dict[str, Any]]


def manifests_of(evidence: Evidence, promotion: Promotion) -> Manifests:
    """Return the objects that ``promotion`` rolled out, from the ledger: the source may have moved on."""
    objects: Manifests = json.loads(evidence.load(promotion.started_data()["manifests"]))
    return objects


def leftovers(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> Manifests:
    """Return the objects of ``old`` that ``new`` does not have, by kind and name."""
    kept = {_identity(item) for item in new}
    return [item for item in old if _identity(item) not in kept]


def images_of(objects: Any) -> set[str]:
    """Return the images that the containers of ``objects`` run, of whatever kind and however deep."""
    if isinstance(objects, dict):
        own = {objects["image"]} if isinstance(objects.get("image"), str) else set()
        return own.union(*map(images_of, objects.values()))
    return set().union(*map(images_of, objects)) if isinstance(objects, list) else set()


def restore(evidence: Evidence, cluster: Cluster, undone: Promotion, target: Promotion | None, timeout: float) -> None:
    """Make ``compliant`` show ``target`` instead of ``undone``, or nothing when ``target`` is None.

    :param timeout: seconds that the rollout may take.
    :raises ClusterError: it could not be done; doing it again is safe.
    """
    current = manifests_of(evidence, undone)
    if target is None:
        cluster.delete(current)
        cluster.dismiss(images_of(current))
        return
    wanted = manifests_of(evidence, target)
    cluster.admit(images_of(wanted))
    cluster.apply(wanted)
    cluster.wait_rollout(COMPLIANT, undone.service, target.digest, timeout)
    cluster.delete(leftovers(current, wanted))
    cluster.dismiss(images_of(current) - images_of(wanted))


def undo(
    evidence: Evidence, cluster: Cluster, state: ServiceState, promotion: Promotion, reason: str, timeout: float
) -> Promotion | None:
    """End a started promotion that will not be completed; return what is compliant again.

    Two entries: ``failed`` before the cluster is put back, so that a crash in between still knows what to
    do, and ``rolled_back`` after it.

    :raises ClusterError: the cluster could not be put back; the promotion stays open as ``failing``.
    """
    target = state.compliant
    if promotion.failed is None:
        promotion.failed = evidence.record(
            "failed",
            {
                **promotion.named(),
                "reason": reason,
                "rollback_to": target.digest if target else None,
            },
            step_of=promotion.id,
        )
    restore(evidence, cluster, promotion, target, timeout)
    promotion.rolled_back = record_rollback(
        evidence, promotion, target, promotion.failed.data["reason"], automatic=True
    )
    return target


def record_rollback(
    evidence: Evidence, undone: Promotion, target: Promotion | None, reason: str, *, automatic: bool
) -> Any:
    """Write the ``rolled_back`` entry of ``undone``; ``digest`` is what is compliant now, or null."""
    return evidence.record(
        "rolled_back",
        {
            **undone.named(),
            "digest": target.digest if target else None,
            "from_digest": undone.digest,
            "reason": reason,
            "automatic": automatic,
        },
        step_of=undone.id,
    )


def _identity(item: dict[str, Any]) -> tuple[str, str, str]:
    return str(item["apiVersion"]), str(item["kind"]), str(item["metadata"]["name"])
