# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Sealed plans: what is to be promoted, how, and under which policy, fixed before it starts.

A plan is an object of the ledger, {format, policy, requested_by, services, waves} in RFC 8785 form; its
SHA-256 is what is approved and what every entry of its promotions names. It holds no time, so that the same
wish is the same plan.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import GoldenGooseError
from ..ledger import canonical
from ..services.model import Service
from ..services.source import source_digest
from .evidence import Evidence
from .model import Refused, short
from .order import waves
from .policy import Policy

FORMAT = "golden-goose-plan/1"
MEDIA_TYPE = "application/vnd.golden-goose.plan+json"
_NAMESPACE = uuid.UUID("5b0e8c8e-6a1c-5a5c-9d0b-2f6f0a4b7c11")


@dataclass(frozen=True)
class Requester:
    """Who asks: a login name, and the entity in Vault where the name was proven there (else empty)."""

    name: str
    entity: str = ""


@dataclass(frozen=True)
class Plan:
    """A plan; ``content`` is what its hash is over."""

    content: Mapping[str, Any]

    @property
    def bytes(self) -> bytes:
        """The RFC 8785 form of the content."""
        return canonical.encode(dict(self.content))

    @property
    def sha256(self) -> str:
        """The hash that approvals and entries name."""
        return hashlib.sha256(self.bytes).hexdigest()

    @property
    def entry_id(self) -> str:
        """The id of the entry ``planned``, the same for the same plan."""
        return str(uuid.uuid5(_NAMESPACE, self.sha256))

    @property
    def waves(self) -> list[list[str]]:
        """The services in the order in which they are promoted."""
        return [list(wave) for wave in self.content["waves"]]

    @property
    def services(self) -> list[str]:
        """The members, in order."""
        return [name for wave in self.waves for name in wave]

    @property
    def policy(self) -> Mapping[str, Any]:
        """The policy as it was sealed, with its ``id``."""
        policy: Mapping[str, Any] = self.content["policy"]
        return policy

    @property
    def requester(self) -> Requester:
        """Who asked for the plan."""
        return Requester(**self.content["requested_by"])

    def item(self, name: str) -> Mapping[str, Any]:
        """Return what is sealed of one service.

        :raises Refused: the service is not a member; the membership of a plan never changes.
        """
        if name not in self.content["services"]:
            members = ", ".join(self.services)
            raise Refused(f"{name} is not in the plan {self.sha256[:12]}, which is sealed for {members}; seal another.")
        item: Mapping[str, Any] = self.content["services"][name]
        return item


def describe(service: Service, digest: str, sandbox: str | None) -> dict[str, Any]:
    """Return what a plan says of one service: what would make another promotion of it, if it were other.

    :param sandbox: the digest that sandbox runs, None where it runs nothing that is pinned.
    """
    return {
        "digest": digest,
        "sandbox": sandbox,
        "image": service.pinned_image(digest),
        "source_sha256": source_digest(service),
        "dependencies": sorted(service.dependencies),
        "thresholds": asdict(service.gates),
    }


def seal(
    items: Mapping[str, Mapping[str, Any]], policy: Policy, requester: Requester, known: Iterable[str] = ()
) -> Plan:
    """Return the plan for ``items``, each as ``describe`` returns it; nothing is written.

    :param known: names of services outside of the plan that its members may depend on.
    :raises Refused: no service is named, a dependency is not known, or there is a circle.
    """
    if not items:
        raise Refused("A plan needs at least one service.")
    ordered = waves({name: item["dependencies"] for name, item in items.items()}, policy.order, known)
    return Plan(
        {
            "format": FORMAT,
            "policy": policy.as_dict() | {"id": policy.id},
            "requested_by": asdict(requester),
            "services": {name: dict(item) for name, item in items.items()},
            "waves": ordered,
        }
    )


def load_plan(evidence: Evidence, sha256: str) -> Plan:
    """Return the sealed plan with this hash from the ledger's objects.

    :raises Refused: there is none, or it is not a plan.
    """
    try:
        content = json.loads(evidence.ledger.objects.read(sha256))
    except (GoldenGooseError, ValueError) as error:
        raise Refused(f"There is no sealed plan {sha256} in the ledger; seal one with promotion_plan.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise Refused(f"The object {sha256} of the ledger is not a plan; give the hash that promotion_plan returned.")
    return Plan(content)


def keep_plan(evidence: Evidence, plan: Plan) -> None:
    """Make the plan durable. The same plan again changes nothing."""
    evidence.store(plan.bytes, MEDIA_TYPE)


def differences(sealed: Mapping[str, Any], present: Mapping[str, Any], name: str) -> list[str]:
    """Return what of a service is not as it was sealed, each as a clause that names both values."""
    found = []
    for key in sorted({*sealed, *present}):
        old, new = sealed.get(key), present.get(key)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{name}: {key}")
        else:
            found.append(f"{name}: {key} is {_shown(new)} (sealed: {_shown(old)})")
    return found


def policy_differences(plan: Plan, policy: Policy) -> list[str]:
    """Return what of the policy is not as it was sealed."""
    return differences(plan.policy, policy.as_dict() | {"id": policy.id}, "policy")


def _shown(value: Any) -> str:
    return short(value) if isinstance(value, str) and value.startswith("sha256:") else str(value)
