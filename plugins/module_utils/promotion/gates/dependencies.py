# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Gate dependencies: what the service depends on is compliant, or is promoted before it under the same plan."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ..model import COMPLIANT, Verdict, stamp
from ..order import DEPENDENCY
from ..standing import PEOPLE_SECONDS, Standing
from ..state import fold
from .context import GateContext


def dependencies(context: GateContext) -> Verdict:
    """Look every dependency up in the ledger and in the cluster.

    :raises ClusterError: the cluster cannot be looked at.
    """
    states = fold(context.evidence.entries())
    vetoes = Standing.of(context.evidence.entries()).vetoes
    observed: dict[str, object] = {}
    problems = []
    for name in context.service.dependencies:
        compliant = states[name].compliant if name in states else None
        view = context.cluster.deployment(COMPLIANT, name)
        observed[name] = compliant.digest if compliant else None
        if _in_same_plan(context, name):
            # The choke point lets nobody start before it is compliant.
            observed[name] = "earlier in the plan"
        elif compliant is None:
            problems.append(f"{name} is not compliant")
        elif compliant.revoked or compliant.digest in vetoes:
            problems.append(f"the compliant {name} was {'revoked' if compliant.revoked else 'vetoed'}")
        elif view is None or view.digest != compliant.digest or view.ready < 1:
            problems.append(f"{name} is not healthy in {COMPLIANT}")
    required = dict.fromkeys(context.service.dependencies, COMPLIANT)
    if problems:
        again = stamp(datetime.now(UTC) + timedelta(seconds=PEOPLE_SECONDS))
        reason = f"{'; '.join(problems)} (required: every dependency compliant)"
        return Verdict("dependencies", "defer", reason, observed, required, next_check=again)
    count = len(context.service.dependencies)
    return Verdict("dependencies", "allow", f"{count} dependencies, all compliant (required: all)", observed, required)


def _in_same_plan(context: GateContext, name: str) -> bool:
    plan = context.plan
    return plan is not None and plan.policy["order"] == DEPENDENCY and name in plan.content["services"]
