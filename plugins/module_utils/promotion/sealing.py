# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""From a wish to a sealed plan, and from a sealed plan to what is promoted now."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..services.model import Service, find_service, known_services
from .identity import Sign
from .model import SANDBOX, Refused
from .plan import Plan, Requester, describe, differences, keep_plan, load_plan, policy_differences, seal
from .standing import Standing

if TYPE_CHECKING:
    from .engine import Promoter

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def make_plan(
    promoter: Promoter,
    names: Sequence[str],
    digests: Mapping[str, str],
    requester: Requester,
    sign: Sign | None = None,
) -> tuple[Plan, bool]:
    """Seal a plan for ``names`` and return it, and whether an entry was written for it.

    The plan of one service that nobody has to approve gets no entry of its own: its request is one. Where people have
    to approve, who asks signs the entry, or anyone could ask in another's name and then approve.

    :param digests: artifacts by service, where it is not what sandbox runs.
    :param sign: how the requester signs; needed where people have to approve.
    :raises Refused: nothing is deployed in sandbox, a dependency is unknown, there is a circle, or nobody proved to be
        who asks though people have to approve.
    :raises GoldenGooseError: a service is unknown or malformed, or the cluster does not answer.
    """
    evidence = promoter.evidence
    evidence.require_sound()
    items = {}
    for name in dict.fromkeys(names):
        with evidence.refusing(name):
            service = find_service(promoter.services_dir, name)
            items[name] = present(promoter, service, digests.get(name))
    with evidence.refusing(", ".join(items)):
        plan = seal(items, promoter.policy, requester, known_services(promoter.services_dir))
        _require_proven(plan)
    known = evidence.ledger.find(plan.entry_id) is not None
    # An entry that someone wrote past this module does not keep the requester from signing another.
    new = not (Standing.of(evidence.entries()).is_proven(plan) if promoter.policy.quorum else known)
    if promoter.dry_run:
        return plan, _announced(promoter, plan) and new
    keep_plan(evidence, plan)
    if not _announced(promoter, plan):
        return plan, False
    if new:
        identity, data = str(uuid.uuid4()) if known else plan.entry_id, planned_data(plan)
        data["ledger"] = evidence.origin
        if promoter.policy.quorum and sign:
            data["signed"] = sign("planned", data, identity)
        evidence.record("planned", data, id=identity)
    return plan, new


def planned_data(plan: Plan) -> dict[str, Any]:
    """Return the data of the entry ``planned``; the plan itself is the object that it refers to."""
    return {
        "plan": plan.sha256,
        "services": {name: plan.item(name)["digest"] for name in plan.services},
        "order": plan.policy["order"],
        "on_failure": plan.policy["on_failure"],
        "policy": plan.policy["id"],
        "quorum": plan.policy["quorum"],
        "requested_by": plan.requester.name,
        "by": asdict(plan.requester),
        "sealed_plan": reference(plan),
    }


def reference(plan: Plan) -> dict[str, Any]:
    """Return how an entry refers to the plan among the ledger's objects."""
    return {"sha256": plan.sha256, "size": len(plan.bytes), "media_type": "application/vnd.golden-goose.plan+json"}


def plan_of_request(
    promoter: Promoter, service: Service, digest: str | None, requester: Requester, sealed: str | Plan | None
) -> Plan:
    """Return the plan that a request is made under: the sealed one, or one for this service alone.

    :param sealed: a sealed plan, or its hash. It is refused when anything has changed since.
    :raises Refused: what differs, by name, with both values; or nobody proved to be who asked though
        people have to approve.
    """
    name = service.name
    if sealed is None:
        plan = seal(
            {name: present(promoter, service, digest)},
            promoter.policy,
            requester,
            known_services(promoter.services_dir),
        )
    else:
        plan = sealed if isinstance(sealed, Plan) else load_plan(promoter.evidence, sealed)
        item = plan.item(name)
        changed = policy_differences(plan, promoter.policy)
        changed += differences(item, present(promoter, service, digest or str(item["digest"])), name)
        if changed:
            raise Refused(
                f"{name} is not promoted under the plan {plan.sha256[:12]}, because it has changed since: "
                f"{'; '.join(changed)}; seal a new plan.",
                differs=changed,
            )
    _require_proven(plan)
    return plan


def present(promoter: Promoter, service: Service, digest: str | None) -> dict[str, Any]:
    """Return what a plan would say of ``service`` now."""
    view = promoter.cluster.deployment(SANDBOX, service.name)
    if digest is not None:
        return describe(service, checked_digest(digest), view.digest if view else None)
    if view is None or view.digest is None:
        runs = "is not deployed" if view is None else f"runs {view.image}, which is not pinned by digest,"
        raise Refused(f"{service.name} {runs} in {SANDBOX}; deploy it with playbooks/deploy.yml first.")
    return describe(service, view.digest, view.digest)


def checked_digest(digest: str) -> str:
    """Return ``digest`` when it is one.

    :raises Refused: it is not ``sha256:`` and 64 hexadecimal digits.
    """
    if not _DIGEST.fullmatch(digest):
        raise Refused(f"'{digest}' is not the digest of an image; give sha256:<64 hexadecimal digits>.")
    return digest


def _require_proven(plan: Plan) -> None:
    quorum, names = plan.policy["quorum"], ", ".join(plan.services)
    people = "person" if quorum == 1 else "people"
    if quorum and not plan.requester.entity:
        raise Refused(
            f"{names} needs approval by {quorum} other {people}, so who asks has to be proven, too, and the login "
            f"{plan.requester.name} proves nothing: log in to Vault, seal the plan with playbooks/plan.yml, and pass "
            "its hash on with -e plan=<hash>."
        )


def _announced(promoter: Promoter, plan: Plan) -> bool:
    return len(plan.services) > 1 or promoter.policy.quorum > 0
