# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Gate provenance: the digest was built here from the present source, and the sandbox runs just it."""

from __future__ import annotations

from ...services.source import folder_digest
from ..model import SANDBOX, Verdict, short
from .context import GateContext


def provenance(context: GateContext) -> Verdict:
    """Compare build entry, source and sandbox with the digest in question.

    :raises ClusterError: the sandbox cannot be looked at.
    """
    name, digest = context.service.name, context.digest
    built = _built_source(context)
    present = folder_digest(context.source)
    view = context.cluster.deployment(SANDBOX, name)
    running = view.digest if view else None
    observed = {"built_from": built, "source": present, "sandbox": running}
    required = {"built_from": present, "source": present, "sandbox": digest}
    problems = []
    if built is None:
        problems.append("the ledger has no build of it (required: one, by playbooks/deploy.yml)")
    elif built != present:
        problems.append(
            f"it was built from source {built[:12]}, but the source is {present[:12]} now "
            "(required: the same; run playbooks/deploy.yml)"
        )
    if running != digest:
        problems.append(f"sandbox runs {short(running)} (required: {short(digest)})")
    reason = "; ".join(problems) or "built from the present source, and what sandbox runs"
    return Verdict("provenance", "deny" if problems else "allow", reason, observed, required)


def _built_source(context: GateContext) -> str | None:
    """Return the source digest of the newest build entry of this artifact."""
    found = None
    for entry in context.evidence.entries():
        data = entry.data
        if (data["event"], data.get("service"), data.get("digest")) == (
            "build",
            context.service.name,
            context.digest,
        ):
            found = str(data["source_sha256"])
    return found
