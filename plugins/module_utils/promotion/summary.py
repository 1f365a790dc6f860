# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The state of promotions as plain values, for people and playbooks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..ledger import Entry
from .state import Promotion, ServiceState, fold


def summaries(entries: Iterable[Entry], service: str | None = None) -> dict[str, dict[str, Any]]:
    """Return where each service stands, or only ``service`` (an empty result when it was never requested)."""
    states = fold(entries)
    wanted = states if service is None else {name: states[name] for name in states if name == service}
    return {name: _service(state) for name, state in wanted.items()}


def _service(state: ServiceState) -> dict[str, Any]:
    compliant = state.compliant
    return {
        "compliant": compliant.digest if compliant else None,
        "hash_chain_id": compliant.completed.hash if compliant and compliant.completed else None,
        "history": [promotion.digest for promotion in state.history],
        "revoked": compliant.revoked.data["reason"] if compliant and compliant.revoked else None,
        "open": state.open.id if state.open else None,
        "promotions": [_promotion(promotion) for promotion in state.promotions.values()],
    }


def _promotion(promotion: Promotion) -> dict[str, Any]:
    return {
        "id": promotion.id,
        "digest": promotion.digest,
        "phase": promotion.phase,
        "plan": promotion.plan,
        "requested_at": promotion.requested.timestamp,
        "requested_by": promotion.requested.data.get("requested_by"),
        "verdicts": {gate: entry.data["verdict"] for gate, entry in promotion.verdicts.items()},
    }
