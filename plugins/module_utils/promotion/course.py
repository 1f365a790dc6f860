# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The course of promotions in one process: of one service from plan to anchor, of a set what comes before and after.

Only the order is decided here. Each step is the one that a module of its own takes, looks for its own record first, and
leaves its own refusal, so a run that was killed between two of them is finished by the next.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..cluster import ClusterUnavailable
from ..errors import GoldenGooseError
from ..ledger import LedgerError
from .engine import Promoter
from .evaluate import to_ask
from .gates import Scanners
from .identity import Sign
from .model import Outcome
from .plan import Plan, Requester, load_plan
from .sealing import make_plan
from .settle import Settled, compliant_digests, settle
from .state import fold


@dataclass(frozen=True)
class Course:
    """What a course led to. ``before`` is the digest that was compliant; ``changed`` is true of the copy as well."""

    plan: Plan
    outcome: Outcome
    before: str | None
    changed: bool


def run_course(
    promoter: Promoter,
    name: str,
    requester: Requester,
    scanners: Scanners,
    digest: str | None = None,
    sealed: str | None = None,
    sign: Sign | None = None,
) -> Course:
    """Take the artifact that sandbox runs, or ``digest``, to compliant, and have the evidence kept.

    What is compliant already is not promoted again, but its evidence is kept: the run before may have been killed
    between the promotion and the copy. After a refusal nothing is copied and nothing is signed.

    :param sealed: the hash of the sealed plan to do it under; by default one is sealed.
    :param sign: how the requester signs what they ask for, where people have to approve.
    :raises GoldenGooseError: as ``make_plan``, ``Promoter.request``, ``evaluate`` and ``promote`` do.
    """
    with promoter.evidence.reading.once():
        return _run(promoter, name, requester, scanners, digest, sealed, sign)


def _run(
    promoter: Promoter,
    name: str,
    requester: Requester,
    scanners: Scanners,
    digest: str | None,
    sealed: str | None,
    sign: Sign | None,
) -> Course:
    if sealed is None:
        plan, planned = make_plan(promoter, [name], {name: digest} if digest else {}, requester, sign)
    else:
        plan, planned = load_plan(promoter.evidence, sealed), False
    before = compliant_digests(promoter, plan).get(name)
    outcome = promoter.request(name, digest, requester, plan)
    if outcome.outcome == "unchanged" or outcome.promotion_id is None:
        # In check mode nothing was requested that gates could be asked about.
        return Course(plan, outcome, before, _keep(promoter) or planned or outcome.changed)
    promoter.evaluate(name, scanners, promoter.policy.gates)
    outcome = promoter.promote(name)
    if promoter.dry_run:
        _keep(promoter)
    return Course(plan, outcome, before, True)


def request_members(promoter: Promoter, plan: Plan) -> dict[str, dict[str, Any]]:
    """Request every service of ``plan`` and return what came of it, by name, in the order of the plan.

    Of each: what ``Promoter.request`` returns, the gates that have still to be asked as ``missing``, and as
    ``stopped_by`` the sentence that refuses this one alone (else None), which is in the ledger.

    :raises ClusterUnavailable: no API server answers; the rest would be told the same.
    :raises LedgerError: the ledger cannot be trusted or written to.
    """
    asked: dict[str, dict[str, Any]] = {}
    with promoter.evidence.reading.once():
        for name in plan.services:
            try:
                outcome = promoter.request(name, None, plan.requester, plan)
            except (LedgerError, ClusterUnavailable):
                raise
            except GoldenGooseError as error:
                nothing = Outcome("refused", name, True, str(error), str(plan.item(name)["digest"]))
                asked[name] = nothing.as_dict() | {"stopped_by": str(error)}
            else:
                asked[name] = outcome.as_dict() | {"stopped_by": None}
        states = fold(promoter.evidence.entries())
    for name, came in asked.items():
        promotion = states[name].promotions.get(came["promotion_id"]) if name in states else None
        due = promotion is not None and promotion.phase == "requested" and came["outcome"] == "requested"
        came["missing"] = to_ask(promotion, promoter.policy) if promotion and due else []
    return asked


def settle_and_keep(promoter: Promoter, sha256: str) -> Settled:
    """Settle the plan, and have the evidence kept whatever came of it.

    :raises GoldenGooseError: as ``settle``, and as copying and anchoring do.
    """
    try:
        settled = settle(promoter, sha256)
    except GoldenGooseError:
        # Why it could not be settled is what has to be told; what is not copied now is copied by the next run.
        with suppress(GoldenGooseError):
            _keep(promoter)
        raise
    _keep(promoter)
    return settled


def _keep(promoter: Promoter) -> bool:
    return bool(promoter.keep()) if promoter.keep else False
