# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Several services as one plan: who may go now, and taking all back when one fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .model import short
from .order import DEPENDENCY
from .plan import Plan
from .state import Promotion, ServiceState


def latest(plan: Plan, state: ServiceState | None) -> Promotion | None:
    """Return the newest promotion of the service that was made under ``plan``."""
    for promotion in reversed(list(state.promotions.values()) if state else []):
        if promotion.plan == plan.sha256:
            return promotion
    return None


def is_done(plan: Plan, name: str, states: Mapping[str, ServiceState]) -> bool:
    """Return whether the sealed digest of ``name`` is the compliant one."""
    state = states.get(name)
    return bool(state and state.compliant and state.compliant.digest == plan.item(name)["digest"])


def held_back(plan: Plan, name: str, states: Mapping[str, ServiceState]) -> str | None:
    """Return why ``name`` must not be rolled out now, or None.

    A wave begins when all before it is compliant. With ``continue`` only what the service depends on counts; with
    ``all_or_nothing`` a refusal of any member, in whichever wave, holds all others back.
    """
    mode = plan.policy["on_failure"]
    for other in _before(plan, name, mode):
        if other in plan.content["services"]:
            if not is_done(plan, other, states):
                return f"{other}, which comes before {name}, is not compliant ({standing(plan, other, states)})"
        elif not (states.get(other) and states[other].compliant):
            return f"{other}, which {name} depends on, is not compliant and not in the plan"
    if mode == "all_or_nothing":
        for other in plan.services:
            promotion = latest(plan, states.get(other))
            if promotion and promotion.phase in ("refused", "failed", "failing"):
                return f"{other} of the same plan is not promoted ({standing(plan, other, states)})"
            if promotion and promotion.phase == "requested" and (gates := _denying(promotion)):
                return f"{other} of the same plan is denied by {', '.join(gates)}"
    return None


def standing(plan: Plan, name: str, states: Mapping[str, ServiceState]) -> str:
    """Return in words where a member of the plan stands."""
    promotion = latest(plan, states.get(name))
    if is_done(plan, name, states):
        return f"{short(plan.item(name)['digest'])} is compliant"
    if promotion is None:
        return "it was not requested"
    ended = promotion.refused or promotion.failed or promotion.rolled_back
    # That the cluster has still to be put back says nothing more of why.
    phase = "failed" if promotion.phase == "failing" else promotion.phase
    return f"{phase}: {ended.data['reason']}" if ended else phase


def to_take_back(plan: Plan, states: Mapping[str, ServiceState]) -> list[Promotion]:
    """Return what ``all_or_nothing`` has to undo because not all members are compliant: the last wave first."""
    if plan.policy["on_failure"] != "all_or_nothing" or all(is_done(plan, name, states) for name in plan.services):
        return []
    found = []
    for name in reversed(plan.services):
        state = states.get(name)
        promotion = latest(plan, state)
        if promotion is None or state is None:
            continue
        if promotion.phase in ("started", "failing") or (is_done(plan, name, states) and state.compliant is promotion):
            found.append(promotion)
    return found


def unsettled(plan: Plan, states: Mapping[str, ServiceState]) -> str | None:
    """Return which member has failed while others are still to be taken back for it: that run never ended."""
    if len(plan.services) == 1 or not to_take_back(plan, states):
        return None
    for name in plan.services:
        promotion = latest(plan, states.get(name))
        if promotion and promotion.phase in ("refused", "failed", "failing"):
            return name
    return None


def _denying(promotion: Promotion) -> list[str]:
    return [gate for gate, entry in promotion.verdicts.items() if entry.data["verdict"] == "deny"]


def _before(plan: Plan, name: str, mode: Any) -> list[str]:
    """Return the services that have to be compliant before ``name`` is rolled out."""
    item = plan.item(name)
    dependencies = list(item["dependencies"]) if plan.policy["order"] == DEPENDENCY else []
    if mode == "continue":
        return dependencies
    earlier = []
    for wave in plan.waves:
        if name in wave:
            break
        earlier += wave
    return [*earlier, *(other for other in dependencies if other not in earlier)]
