# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Gate health: the sandbox deployment runs the digest, is ready, and says so itself."""

from __future__ import annotations

from typing import Any

from ..model import SANDBOX, Verdict, short
from .context import GateContext


def health(context: GateContext) -> Verdict:
    """Look at the deployment and ask the service's readiness path through the API server.

    :raises ClusterError: the API server does not answer or refuses.
    """
    service = context.service
    least, path = service.gates.min_ready, service.health.ready
    required: dict[str, Any] = {"min_ready": least, "digest": context.digest, "path": path, "status": 200}
    view = context.cluster.deployment(SANDBOX, service.name)
    if view is None:
        reason = f"{service.name} is not deployed in {SANDBOX} (required: at least {least} ready pods)"
        return Verdict("health", "deny", reason, {"ready": 0, "digest": None}, required)
    answer = context.cluster.get(SANDBOX, service.name, path)
    observed = {"ready": view.ready, "digest": view.digest, "path": path, "status": answer.status}
    problems = []
    if view.ready < least:
        problems.append(f"{view.ready} pods are ready in {SANDBOX} (required: at least {least})")
    if view.digest != context.digest:
        problems.append(f"{SANDBOX} runs {short(view.digest)} (required: {short(context.digest)})")
    if not view.settled or view.updated < view.desired:
        problems.append(f"{view.updated} of {view.desired} pods are of the newest revision (required: all)")
    if answer.status != 200:
        problems.append(f"{path} answers {answer.status} in {SANDBOX} (required: 200)")
    reason = "; ".join(problems) or (
        f"{view.ready} pods ready in {SANDBOX} (required: at least {least}), {path} answers 200"
    )
    return Verdict("health", "deny" if problems else "allow", reason, observed, required)
