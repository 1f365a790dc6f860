# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Gate health: the sandbox deployment runs the digest, is ready, and says so itself."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ...errors import GoldenGooseError
from ...ledger import Entry
from ..model import SANDBOX, Verdict, short, stamp
from .context import GateContext
from .promql import PrometheusUnavailable, samples


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
    if problems:
        return Verdict("health", "deny", "; ".join(problems), observed, required)
    reason = f"{view.ready} pods ready in {SANDBOX} (required: at least {least}), {path} answers 200"
    found = Verdict("health", "allow", reason, observed, required)
    return _queried(context, _soaked(context, found))


def _soaked(context: GateContext, found: Verdict) -> Verdict:
    """Have the artifact wait until it has been in sandbox for long enough, as the ledger tells."""
    least = context.service.gates.soak_seconds
    if not least:
        return found
    since = _deployed(context)
    age = (datetime.now(UTC) - datetime.fromisoformat(since.timestamp)).total_seconds() if since else None
    required = found.required | {"soak_seconds": least}
    if since is None or age is None:
        reason = f"the ledger does not say since when it is in {SANDBOX} (required: {least} s)"
        return replace(found, verdict="deny", reason=reason, required=required)
    again = datetime.fromisoformat(since.timestamp) + timedelta(seconds=least)
    observed = found.observed | {"deployed": since.timestamp}
    if age < least:
        reason = f"it is in {SANDBOX} since {since.timestamp} (required: {least} s, which it is at {stamp(again)})"
        waits = replace(found, verdict="defer", reason=reason, observed=observed, required=required)
        return replace(waits, evidence=since.id, next_check=stamp(again))
    reason = f"{found.reason}, in {SANDBOX} for {age:.0f} s (required: {least} s)"
    return replace(found, reason=reason, observed=observed, required=required, evidence=since.id)


def _deployed(context: GateContext) -> Entry | None:
    """Return the entry since which sandbox runs this artifact without another between."""
    found: Entry | None = None
    for entry in context.evidence.entries():
        data = entry.data
        if data["event"] == "deployed" and data.get("service") == context.service.name:
            if data.get("digest") != context.digest:
                found = None
            elif found is None:
                found = entry
    return found


def _queried(context: GateContext, found: Verdict) -> Verdict:
    """Ask Prometheus what the service wants asked; no sample, a 0 or not-a-number is a no."""
    query, address = context.service.gates.query, context.scanners.prometheus
    if not query or found.verdict != "allow":
        return found
    required = found.required | {"query": query}
    if address is None:
        reason = "no Prometheus is given to ask (required: one; set golden_goose_prometheus_address)"
        return replace(found, verdict="defer", reason=reason, required=required)
    try:
        values = samples(address, query)
    except GoldenGooseError as error:
        reason = f"{str(error).rstrip('.')} (required: an answer)"
        # Once it is back, the same promotion goes on.
        again = stamp(datetime.now(UTC)) if isinstance(error, PrometheusUnavailable) else None
        return replace(found, verdict="defer", reason=reason, required=required, next_check=again)
    observed = found.observed | {"samples": [str(value) for value in values][:20]}
    if not values or any(math.isnan(value) or value == 0 for value in values):
        shown = ", ".join(f"{value:g}" for value in values[:5]) or "no sample"
        reason = f"the query gives {shown} (required: at least one sample, none of them 0)"
        return replace(found, verdict="deny", reason=reason, observed=observed, required=required)
    reason = f"{found.reason}; the query gives {', '.join(f'{value:g}' for value in values[:5])}"
    return replace(found, reason=reason, observed=observed, required=required)
