# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Gate anchored: the evidence that the artifact rests on is in a signed checkpoint of the ledger.

That is the entry of its build. The checkpoint itself is compared with the head in Vault when it is made
(ledger/anchor.py); here its signature by a key that the ledger names is checked, and that it covers the entry.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ...ledger import Entry, heads, segments
from ...ledger.checkpoint import BadCheckpoint
from ..model import Verdict, short, stamp
from .context import GateContext

# deploy.yml anchors the build where the policy has this gate; so does the end of any promotion, and a package.
_AGAIN_SECONDS = 60


def anchored(context: GateContext) -> Verdict:
    """Find the build of the artifact, and the first checkpoint that covers it."""
    built = _build(context)
    required = {"checkpoint": "signed, covering the build"}
    if built is None:
        reason = f"the ledger has no build of {short(context.digest)} (required: one, in a checkpoint)"
        return Verdict("anchored", "deny", reason, {"build": None}, required)
    folder = segments.place(context.evidence.ledger.root, built.segment)
    try:
        head = heads.covering(folder, built.sequence, heads.keys(folder))
    except BadCheckpoint as error:
        reason = f"{str(error).rstrip('.')} (required: a signed checkpoint)"
        return Verdict("anchored", "deny", reason, {"failed": str(error)}, required, evidence=built.id)
    observed = {"build": built.sequence, "size": head.size if head else None}
    if head is None:
        again = stamp(datetime.now(UTC) + timedelta(seconds=_AGAIN_SECONDS))
        reason = f"entry {built.sequence}, its build, is in no checkpoint yet (required: one; run playbooks/deploy.yml)"
        return Verdict("anchored", "defer", reason, observed, required, evidence=built.id, next_check=again)
    reason = f"entry {built.sequence}, its build, is in the checkpoint of {head.size} entries (required: so)"
    return Verdict("anchored", "allow", reason, observed, required, evidence=built.id)


def _build(context: GateContext) -> Entry | None:
    found = None
    for entry in context.evidence.entries():
        data = entry.data
        named = (data["event"], data.get("service"), data.get("digest"))
        if named == ("build", context.service.name, context.digest):
            found = entry
    return found
