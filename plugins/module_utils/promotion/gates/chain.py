# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Gate chain: the ledger itself, from its first entry to the verdicts before this one, is intact."""

from __future__ import annotations

from ..model import Verdict
from .context import GateContext


def chain(context: GateContext) -> Verdict:
    """Verify the ledger and compare it with its backup copy.

    A broken ledger is not written to, so there is no deny entry for it, only an error.

    :raises LedgerBroken: entries were edited, removed or swapped.
    """
    report = context.evidence.require_sound(whole=True)
    observed = {"state": report.state, "size": report.size, "head": report.head}
    allowed = report.state == "intact"
    reason = (
        f"{report.size} entries verified, the chain is intact (required: intact)"
        if allowed
        else f"the ledger is {report.state} (required: intact): {report.sentence().rstrip('.')}"
    )
    return Verdict("chain", "allow" if allowed else "deny", reason, observed, {"state": "intact"})
