# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Gate veto: nobody has vetoed the digest, or the veto was lifted."""

from __future__ import annotations

from ..model import Verdict
from ..standing import Standing, clears_the_way, veto_finding
from .context import GateContext


def veto(context: GateContext) -> Verdict:
    """Look for a veto of the digest; the choke point looks once more."""
    standing = Standing.of(context.evidence.entries(), clears=clears_the_way(context.plan))
    finding = veto_finding(standing, context.digest)
    if finding:
        return Verdict(**finding)
    return Verdict("veto", "allow", "nobody has vetoed it (required: no veto)", {"veto": None}, {"veto": None})
