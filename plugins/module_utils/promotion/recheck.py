# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Looking at what is compliant again: a gate that denies it now revokes it."""

from __future__ import annotations

from collections.abc import Sequence

from ..ledger import Entry
from .engine import Promoter
from .evaluate import evaluate
from .gates import Scanners
from .model import Refused, short
from .state import state_of

# What can come out otherwise later, although artifact and source are the same; the other gates of Sprint 1 look at the
# sandbox, which has moved on by then.
RECHECKED = ("sbom", "dependencies", "veto", "chain", "anchored")


def recheck(
    promoter: Promoter, name: str, scanners: Scanners, gates: Sequence[str] | None = None
) -> tuple[list[Entry], bool, str | None]:
    """Return the verdicts, whether anything was written, and why the compliant artifact is revoked, if it is.

    What runs is left alone: an outage is for people to decide. A revoked artifact is not ``unchanged`` when it is
    requested again, and what depends on it does not pass the gate dependencies.

    :param gates: by default those that the policy requires and that can be asked again, and the user's own.
    :raises Refused: nothing of the service is compliant, or another run is at it.
    """
    service = promoter.service(name)
    with promoter.guarded(name, f"re-check of {name}") as facts:
        promotion = state_of(promoter.evidence.entries(), name).compliant
        if promotion is None:
            raise Refused(f"Nothing of {name} is compliant, so there is nothing to check again.")
        facts["promotion_id"] = promotion.id
        if promoter.dry_run:
            return list(promotion.verdicts.values()), False, _why(promotion.revoked)
        # Tasks are run by a play; where none did, nothing is known, and that revokes nothing.
        own = {gate.name for gate in promoter.policy.own_gates if not gate.tasks or gate.name in scanners.said}
        asked = gates or [gate for gate in promoter.policy.gates if gate in RECHECKED or gate in own]
        entries = evaluate(
            promoter.evidence,
            promoter.cluster,
            scanners,
            service,
            promotion,
            asked,
            promoter.policy,
            again=True,
        )
        denied = [entry for entry in entries if entry.data["verdict"] == "deny"]
        if denied and promotion.revoked is None:
            reasons = "; ".join(f"gate {entry.data['gate']} denies: {entry.data['reason']}" for entry in denied)
            data = {
                **promotion.named(),
                "reason": f"{short(promotion.digest)} no longer passes: {reasons}",
                "verdicts": [{"gate": entry.data["gate"], "entry": entry.id, "hash": entry.hash} for entry in denied],
            }
            promotion.revoked = promoter.evidence.record("revoked", data, step_of=promotion.id)
        promoter.runs.release(name)
        return entries, True, _why(promotion.revoked)


def _why(revoked: Entry | None) -> str | None:
    return str(revoked.data["reason"]) if revoked else None
