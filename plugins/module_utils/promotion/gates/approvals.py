# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Gate approvals: as many people as the policy wants have approved the sealed plan, none of them who asked."""

from __future__ import annotations

from datetime import UTC, datetime

from ..model import Verdict
from ..standing import Standing, approvals_finding
from .context import GateContext, without_plan


def approvals(context: GateContext) -> Verdict:
    """Count the approvals of the plan; the choke point counts them once more."""
    if context.plan is None:
        return without_plan("approvals")
    standing = Standing.of(context.evidence.entries())
    finding = approvals_finding(standing, context.plan, context.service.name, datetime.now(UTC))
    if finding:
        return Verdict(**finding)
    approvers = standing.approvers(context.plan, context.service.name)
    by = sorted(str(entry.data["by"]["name"]) for entry in approvers)
    quorum = int(context.plan.policy["quorum"])
    reason = f"approved by {', '.join(by) or 'nobody'} (required: {quorum} people)"
    observed = {"approvals": len(by), "by": by, "entries": [entry.id for entry in approvers]}
    last = approvers[-1].id if approvers else None
    return Verdict("approvals", "allow", reason, observed, {"approvals": quorum}, evidence=last)
