# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The whole course of one promotion in one process: plan, request, gates, choke point, rollout, copy and anchor.

Only the order is decided here. Each step is the one that a module of its own takes, looks for its own record first, and
leaves its own refusal, so a run that was killed between two of them is finished by the next.
"""

from __future__ import annotations

from dataclasses import dataclass

from .engine import Promoter
from .gates import Scanners
from .model import Outcome
from .plan import Plan, Requester, load_plan
from .sealing import make_plan
from .settle import compliant_digests


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
) -> Course:
    """Take the artifact that sandbox runs, or ``digest``, to compliant, and have the evidence kept.

    What is compliant already is not promoted again, but its evidence is kept: the run before may have been killed
    between the promotion and the copy. After a refusal nothing is copied and nothing is signed.

    :param sealed: the hash of the sealed plan to do it under; by default one is sealed.
    :raises GoldenGooseError: as ``make_plan``, ``Promoter.request``, ``evaluate`` and ``promote`` do.
    """
    if sealed is None:
        plan, planned = make_plan(promoter, [name], {name: digest} if digest else {}, requester)
    else:
        plan, planned = load_plan(promoter.evidence, sealed), False
    before = compliant_digests(promoter, plan).get(name)
    outcome = promoter.request(name, digest, requester, plan)
    if outcome.outcome == "unchanged" or outcome.promotion_id is None:
        # In check mode nothing was requested that gates could be asked about.
        kept = bool(promoter.keep()) if promoter.keep else False
        return Course(plan, outcome, before, planned or kept or outcome.changed)
    promoter.evaluate(name, scanners, promoter.policy.gates)
    outcome = promoter.promote(name)
    if promoter.dry_run and promoter.keep:
        promoter.keep()
    return Course(plan, outcome, before, True)
