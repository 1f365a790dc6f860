# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The end of a set: what became of each member, and taking all back where the plan says all or none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .engine import Promoter
from .next_steps import what_next
from .plan import Plan, load_plan
from .restore import record_rollback, restore, undo
from .sets import is_done, latest, standing, to_take_back
from .standing import Standing, clears_the_way, findings
from .state import Promotion, fold, state_of


@dataclass(frozen=True)
class Settled:
    """``outcomes`` by service: {outcome, digest, hash_chain_id, reason}; ``missing`` are not compliant."""

    plan: Plan
    outcomes: dict[str, dict[str, Any]]
    missing: list[str]
    taken_back: list[str]
    next: str = ""

    def sentence(self) -> str:
        """Return what became of the set, in one sentence, and in another what people can do next."""
        count, total = len(self.plan.services) - len(self.missing), len(self.plan.services)
        said = f"{count} of {total} services of the plan {self.plan.sha256[:12]} are compliant"
        if not self.missing:
            return f"{said}."
        why = "; ".join(f"{name} is not ({self.outcomes[name]['reason']})" for name in self.missing)
        back = f"; taken back: {', '.join(self.taken_back)}" if self.taken_back else ""
        return f"{said}: {why}{back}.{self.next}"


def settle(promoter: Promoter, sha256: str) -> Settled:
    """Close the set that was promoted under the sealed plan. Running it again changes nothing more.

    :raises Refused: there is no such plan, or another run is at one of its services.
    :raises ClusterError: something could not be taken back; running it again goes on.
    """
    promoter.evidence.require_sound()
    plan = load_plan(promoter.evidence, sha256)
    states = fold(promoter.evidence.entries())
    before = {name: standing(plan, name, states) for name in plan.services}
    failed = next((name for name in plan.services if not is_done(plan, name, states)), "")
    undone = to_take_back(plan, states)
    for promotion in undone:
        if not promoter.dry_run:
            _take_back(promoter, plan, promotion, f"{failed} of the same plan is not compliant: {before[failed]}")
    states = fold(promoter.evidence.entries())
    missing = [name for name in plan.services if not is_done(plan, name, states)]
    people = Standing.of(promoter.evidence.entries(), clears=clears_the_way(plan))
    outcomes, held = {}, list[dict[str, Any]]()
    for name in plan.services:
        newest = latest(plan, states.get(name))
        done = name not in missing
        compliant = states[name].compliant if done else None
        completed = compliant.completed if compliant else None
        outcomes[name] = {
            "outcome": "compliant" if done else newest.phase if newest else "not_requested",
            "digest": plan.item(name)["digest"],
            "hash_chain_id": completed.hash if completed else None,
            "reason": standing(plan, name, states),
        }
        if newest and newest.phase == "requested":
            found = findings(people, plan, name, newest.digest, datetime.now(UTC))
            outcomes[name]["reason"] = "; ".join([newest.phase, *(str(one["reason"]) for one in found)])
            held += found
    for name in plan.services:
        promoter.runs.release(name)
    return Settled(plan, outcomes, missing, [promotion.service for promotion in undone], what_next(plan, held))


def _take_back(promoter: Promoter, plan: Plan, promotion: Promotion, reason: str) -> None:
    name, doing = promotion.service, f"taking back the plan {plan.sha256[:12]}"
    with promoter.guarded(name, doing) as facts, promoter.leased(name, doing):
        state = state_of(promoter.evidence.entries(), name)
        found = state.promotions[promotion.id]
        facts["promotion_id"] = found.id
        if found.phase in ("started", "failing"):
            undo(promoter.evidence, promoter.cluster, state, found, reason, promoter.rollout_timeout)
        elif state.compliant is found:
            vetoes = Standing.of(promoter.evidence.entries()).vetoes
            earlier = [former for former in state.history[:-1] if former.digest not in vetoes]
            target = earlier[-1] if earlier else None
            restore(promoter.evidence, promoter.cluster, found, target, promoter.rollout_timeout)
            record_rollback(promoter.evidence, found, target, reason, automatic=True)


def described(plan: Plan) -> dict[str, Any]:
    """Return a plan as modules return it: hash, order, waves and what is sealed of each service."""
    return {
        "plan": plan.sha256,
        "order": plan.services,
        "waves": plan.waves,
        "on_failure": plan.policy["on_failure"],
        "policy": plan.policy["id"],
        "quorum": plan.policy["quorum"],
        "gates": list(plan.policy["gates"]),
        "services": {name: dict(plan.item(name)) for name in plan.services},
    }


def compliant_digests(promoter: Promoter, plan: Plan) -> dict[str, str | None]:
    """Return the digests that are compliant now, by service of the plan."""
    states = fold(promoter.evidence.entries())
    found = {name: states[name].compliant if name in states else None for name in plan.services}
    return {name: promotion.digest if promotion else None for name, promotion in found.items()}
