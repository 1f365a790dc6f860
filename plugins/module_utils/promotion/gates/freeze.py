# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Gate freeze: the line is not stopped and no freeze window is open, or two people have overridden it."""

from __future__ import annotations

from datetime import UTC, datetime

from ..model import Verdict
from ..standing import Standing, clears_the_way, freeze_finding
from .context import GateContext, without_plan


def freeze(context: GateContext) -> Verdict:
    """Look at stops and windows; the choke point looks once more."""
    if context.plan is None:
        return without_plan("freeze")
    standing = Standing.of(context.evidence.entries(), clears=clears_the_way(context.plan))
    finding = freeze_finding(standing, context.plan, context.service.name, datetime.now(UTC))
    if finding:
        return Verdict(**finding)
    overriders = standing.overriders(context.plan, context.service.name)
    reason = "the line runs and no freeze is on (required: so)"
    if overriders:
        reason = (
            f"overridden by {', '.join(str(entry.data['by']['name']) for entry in overriders)} (required: 2 people)"
        )
    return Verdict("freeze", "allow", reason, {"overrides": [entry.id for entry in overriders]}, {"freeze": None})
