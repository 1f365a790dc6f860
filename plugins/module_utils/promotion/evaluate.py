# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Evaluating gates and writing their verdicts down, once for each promotion."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ..cluster import AWAY, ClusterError
from ..ledger import Entry
from ..services.model import Service
from .evidence import Evidence
from .gates import GATES, Gate, GateContext, Scanners, own_gate, private_copy
from .model import Verdict, stamp
from .plan import load_plan
from .policy import Policy
from .ports import Cluster
from .state import Promotion

# Beyond what a gate's programs may take: its own reading and writing.
_GRACE_SECONDS = 30.0


def evaluate(
    evidence: Evidence,
    cluster: Cluster,
    scanners: Scanners,
    service: Service,
    promotion: Promotion,
    gates: Sequence[str],
    policy: Policy,
    again: bool = False,
) -> list[Entry]:
    """Return the verdict entries of ``gates``; those that were there already are not evaluated again.

    Gates run side by side, chain by itself at the end. Entries are written in the order of ``GATES``, gates
    of the user's after them. A gate that could not tell (defer) is asked again.

    :param again: evaluate also what has its verdict.
    :raises LedgerError: a verdict could not be written, or the ledger is broken.
    """
    table = gate_table(policy)
    wanted = [gate for gate in table if gate in gates]
    missing = wanted if again else [gate for gate in to_ask(promotion, policy) if gate in wanted]
    if missing:
        # Half a line that a killed run has left is no fault of the artifact, but chain would deny it.
        evidence.ledger.mend(evidence.metadata)
        plan = load_plan(evidence, promotion.plan) if promotion.plan else None
        with private_copy(service.folder) as (source, scratch):
            context = GateContext(
                service, promotion.digest, evidence, cluster, scanners, source, scratch, policy=policy, plan=plan
            )
            limit = scanners.timeout + _GRACE_SECONDS
            running = {gate: _Run(gate, table[gate], context, limit) for gate in missing if gate != "chain"}
            for gate in missing:
                run = running.get(gate) or _Run(gate, table[gate], context, limit)
                promotion.verdicts[gate] = _record(evidence, promotion, run.verdict(), policy)
    return [promotion.verdicts[gate] for gate in wanted]


def to_ask(promotion: Promotion, policy: Policy) -> list[str]:
    """Return which gates of ``policy`` have given no verdict of ``promotion`` yet, or could not tell."""
    return [gate for gate in gate_table(policy) if gate in policy.gates and _open(promotion.verdicts.get(gate))]


def gate_table(policy: Policy) -> dict[str, Gate]:
    """Return the gates by name, in the order in which they are written; chain is last."""
    table = {name: gate for name, gate in GATES.items() if name != "chain"}
    own = {gate.name: own_gate(gate) for gate in policy.own_gates}
    return table | own | {"chain": GATES["chain"]}


class _Run:
    """One gate in a thread of its own, which is left behind when it does not end in time."""

    def __init__(self, name: str, gate: Gate, context: GateContext, limit: float) -> None:
        self._name, self._limit, self._deadline = name, limit, time.monotonic() + limit
        self._result: Verdict | BaseException | None = None
        self._thread = threading.Thread(target=self._work, args=(gate, context), name=f"gate {name}", daemon=True)
        self._thread.start()

    def verdict(self) -> Verdict:
        """Return what the gate says; nothing within its limit is a deny."""
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        if self._result is None:
            reason = f"it gave no verdict within {self._limit:.0f} s (required: one)"
            return Verdict(self._name, "deny", reason, {"seconds": self._limit}, {"verdict": "allow"})
        if isinstance(self._result, BaseException):
            raise self._result
        return self._result

    def _work(self, gate: Gate, context: GateContext) -> None:
        try:
            self._result = _decide(self._name, gate, context)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._result = error


def _decide(name: str, gate: Gate, context: GateContext) -> Verdict:
    try:
        return gate(context)
    except ClusterError as error:
        # Neither good nor bad is known of the artifact; the choke point takes this for a no all the same.
        reason = f"{str(error).rstrip('.')} (required: an answer)"
        # Once it is back, the same promotion goes on.
        again = stamp(datetime.now(UTC)) if isinstance(error, AWAY) else None
        return Verdict(name, "defer", reason, {"failed": str(error)}, {"answer": "the API server's"}, next_check=again)


def _open(entry: Entry | None) -> bool:
    return entry is None or entry.data["verdict"] == "defer"


def _record(evidence: Evidence, promotion: Promotion, verdict: Verdict, policy: Policy) -> Entry:
    known = promotion.verdicts.get(verdict.gate)
    data: dict[str, Any] = {**promotion.named(), **verdict.as_data(), "policy": policy.id}
    if verdict.verdict == "allow" and verdict.next_check is None:
        data["next_check"] = stamp(datetime.now(UTC) + timedelta(seconds=_max_age(policy, verdict.gate)))
    if known is not None:
        if _same(known.data, data):
            return known
        data["attempt"] = int(known.data.get("attempt", 1)) + 1
    return evidence.record(verdict.gate, data, step_of=promotion.id, type="validation")


def _max_age(policy: Policy, gate: str) -> float:
    return next((own.max_age for own in policy.own_gates if own.name == gate), policy.max_age)


def _same(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether a gate that is asked again still cannot tell, for the same reason: that is no news."""
    keys = ("verdict", "reason", "observed", "required", "policy")
    return new["verdict"] == "defer" and all(old.get(key) == new.get(key) for key in keys)
