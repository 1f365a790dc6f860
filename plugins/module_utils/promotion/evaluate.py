# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Evaluate gates for one promotion and write each verdict down, allow or not."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from ..cluster import ClusterError
from ..ledger import Entry
from ..services.model import Service
from .evidence import Evidence
from .gates import GATES, Gate, GateContext, Scanners, private_copy
from .model import Verdict
from .ports import Cluster
from .state import Promotion


def evaluate(
    evidence: Evidence,
    cluster: Cluster,
    scanners: Scanners,
    service: Service,
    promotion: Promotion,
    gates: Sequence[str],
) -> list[Entry]:
    """Return the verdict entries of ``gates``; those that were there already are not evaluated again.

    Gates run side by side, chain by itself at the end. Entries are written in the order of ``GATES``.

    :raises LedgerError: a verdict could not be written, or the ledger is broken.
    """
    wanted = [gate for gate in GATES if gate in gates]
    missing = [gate for gate in wanted if gate not in promotion.verdicts]
    if missing:
        with private_copy(service.folder) as (source, scratch), ThreadPoolExecutor(len(missing)) as pool:
            context = GateContext(service, promotion.digest, evidence, cluster, scanners, source, scratch)
            pending: dict[str, Future[Verdict]] = {
                gate: pool.submit(_decide, gate, GATES[gate], context) for gate in missing if gate != "chain"
            }
            for gate in missing:
                verdict = pending[gate].result() if gate in pending else _decide(gate, GATES[gate], context)
                promotion.verdicts[gate] = _record(evidence, promotion, verdict)
    return [promotion.verdicts[gate] for gate in wanted]


def _decide(name: str, gate: Gate, context: GateContext) -> Verdict:
    try:
        return gate(context)
    except ClusterError as error:
        # Neither good nor bad is known of the artifact; the choke point takes this for a no all the same.
        reason = f"{str(error).rstrip('.')} (required: an answer)"
        return Verdict(name, "defer", reason, {"failed": str(error)}, {"answer": "the API server's"})


def _record(evidence: Evidence, promotion: Promotion, verdict: Verdict) -> Entry:
    data = {
        "promotion_id": promotion.id,
        "service": promotion.service,
        "digest": promotion.digest,
        **verdict.as_data(),
    }
    return evidence.record(verdict.gate, data, step_of=promotion.id, type="validation")
