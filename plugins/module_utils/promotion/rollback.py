# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Rollback on request: back to what was compliant before, without gates, Vault or the source."""

from __future__ import annotations

from collections.abc import Mapping

from ..ledger import Entry
from .engine import Promoter
from .model import COMPLIANT, Outcome, Refused, short
from .restore import record_rollback, restore, undo
from .standing import Standing
from .state import Promotion, ServiceState, state_of


def roll_back(promoter: Promoter, name: str, reason: str, digest: str | None = None, remove: bool = False) -> Outcome:
    """Make ``compliant`` run what it ran before, or ``digest``, which must have been compliant.

    A promotion that was started and never finished is what is undone. Running it again right after a
    rollback changes nothing: to go further back, name the digest.

    :param remove: where nothing was compliant before, take the service out of ``compliant``.
    :raises Refused: there is no reason, nothing to go back to, or another run is at it.
    :raises ClusterError: the cluster did not do it; running it again is safe.
    """
    promoter.evidence.require_sound()
    known = state_of(promoter.evidence.entries(), name)
    if not known.promotions or not reason.strip():
        why = "a rollback needs a reason" if known.promotions else f"the ledger has no promotion of '{name}'"
        with promoter.evidence.refusing(name):
            raise Refused(f"{name} is not rolled back: {why}.")
    doing = f"rollback of {name}"
    with promoter.guarded(name, doing) as facts, promoter.leased(name, doing):
        state = state_of(promoter.evidence.entries(), name)
        unfinished = state.open
        if unfinished and unfinished.phase != "requested":
            facts["promotion_id"] = unfinished.id
            return _undo_unfinished(promoter, state, unfinished, reason)
        outcome = _back(promoter, state, reason, digest, remove)
        promoter.runs.release(name)
        return outcome


def _undo_unfinished(promoter: Promoter, state: ServiceState, promotion: Promotion, reason: str) -> Outcome:
    if not promoter.dry_run:
        undo(promoter.evidence, promoter.cluster, state, promotion, reason, promoter.rollout_timeout)
        promoter.runs.release(state.service)
    return _outcome(promotion, state.compliant)


def _back(promoter: Promoter, state: ServiceState, reason: str, digest: str | None, remove: bool) -> Outcome:
    current = state.compliant
    last = state.last_rollback
    if digest is None and last is not None:
        now = short(last.data["digest"]) if last.data["digest"] else "empty"
        why = f"it was rolled back at {last.timestamp} already and {COMPLIANT} is {now}; name a digest to go further"
        return Outcome("unchanged", state.service, False, why, last.data["digest"])
    if current is None:
        raise Refused(f"{state.service} is not rolled back: {COMPLIANT} runs nothing that was promoted.")
    if digest == current.digest:
        return Outcome("unchanged", state.service, False, f"{short(digest)} is compliant already", digest)
    target = _target(state, digest, remove, Standing.of(promoter.evidence.entries()).vetoes)
    if not promoter.dry_run:
        restore(promoter.evidence, promoter.cluster, current, target, promoter.rollout_timeout)
        record_rollback(promoter.evidence, current, target, reason, automatic=False)
    return _outcome(current, target)


def _target(state: ServiceState, digest: str | None, remove: bool, vetoes: Mapping[str, Entry]) -> Promotion | None:
    """Return what to go back to: nothing that is vetoed, whether it is named or merely the one before."""
    earlier = [promotion for promotion in state.history[:-1] if promotion.digest not in vetoes]
    if digest is None:
        if not earlier and not remove:
            raise Refused(
                f"{state.service} is not rolled back: nothing was compliant before, or it is vetoed; "
                "to take it out of compliant altogether, set remove to true."
            )
        return earlier[-1] if earlier else None
    if digest in vetoes:
        said = vetoes[digest].data
        raise Refused(
            f"{state.service} is not rolled back: {digest} was vetoed by {said['by']['name']} ({said['reason']}); "
            "lift the veto first, or name another digest."
        )
    for promotion in reversed(earlier):
        if promotion.digest == digest:
            return promotion
    options = ", ".join(promotion.digest for promotion in earlier) or "none"
    raise Refused(f"{state.service} is not rolled back: {digest} was not compliant before; to choose from: {options}.")


def _outcome(undone: Promotion, target: Promotion | None) -> Outcome:
    now = f"{short(target.digest)} is compliant again" if target else f"{COMPLIANT} is empty again"
    return Outcome(
        "rolled_back" if target else "removed",
        undone.service,
        True,
        f"{short(undone.digest)} was taken back, {now}",
        target.digest if target else None,
        undone.id,
        target.completed.hash if target and target.completed else None,
    )
