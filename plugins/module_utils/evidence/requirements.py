# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The requirements of a Golden Goose distribution (addendum 1.2), each computed from the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from ..errors import GoldenGooseError
from ..ledger import Entry, Ledger, Report, verify
from ..promotion.model import REQUIRED_GATES
from ..promotion.state import Promotion, ServiceState, state_of
from .tagging import untagged


class RequirementUnmet(GoldenGooseError):
    """A package is refused; ``facts["requirements"]`` has the name, met and observed of each requirement."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement by the name that the addendum gives it, and what was observed."""

    name: str
    met: bool
    observed: str

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "met": self.met, "observed": self.observed}


@dataclass(frozen=True, slots=True)
class Subject:
    """What a package is about: a promotion that is in force, and the build and deployment before it."""

    promotion: Promotion
    started: Entry
    completed: Entry
    build: Entry
    deployed: Entry
    requirements: tuple[Requirement, ...]

    @property
    def hash_chain_id(self) -> str:
        return self.completed.hash

    @property
    def digest(self) -> str:
        return self.promotion.digest


def require_all(ledger: Ledger, service: str) -> Subject:
    """Return what a package of ``service`` is about.

    :raises RequirementUnmet: naming each requirement that is not met, and what was observed.
    """
    report = verify(ledger.root)
    state = ServiceState(service)
    before: dict[str, Entry] = {}
    if report.state != "broken":
        entries = list(ledger.entries())
        state = state_of(entries, service)
        if state.compliant:
            before = _before(entries, state.compliant)
    promotion = state.compliant
    requirements = (
        _promotion_validated(service, state, report),
        _chain_complete(promotion, before, report),
        _metadata_tagged(promotion, before),
    )
    unmet = [requirement for requirement in requirements if not requirement.met]
    if unmet or promotion is None or promotion.started is None or promotion.completed is None:
        said = "; ".join(f"{requirement.name}: {requirement.observed}" for requirement in unmet)
        raise RequirementUnmet(
            f"No package of {service} is made, because a requirement is not met. {said}.",
            requirements=[requirement.as_dict() for requirement in requirements],
        )
    return Subject(promotion, promotion.started, promotion.completed, before["build"], before["deployed"], requirements)


def steps(promotion: Promotion) -> Iterator[Entry]:
    """Yield the entries of ``promotion`` that are there, in the order of the ledger."""
    found = [promotion.requested, *promotion.verdicts.values(), promotion.started, promotion.completed]
    yield from sorted((entry for entry in found if entry), key=lambda entry: entry.place)


def _before(entries: list[Entry], promotion: Promotion) -> dict[str, Entry]:
    """Return the latest ``build`` and ``deployed`` of the artifact before it was requested, by event."""
    return {
        entry.event: entry
        for entry in takewhile(lambda entry: entry.place < promotion.requested.place, entries)
        if entry.event in ("build", "deployed")
        and entry.data.get("service") == promotion.service
        and entry.data.get("digest") == promotion.digest
    }


def _promotion_validated(service: str, state: ServiceState, report: Report) -> Requirement:
    name = "service_promotion_validated"
    if report.state == "broken":
        return Requirement(name, False, "the ledger cannot be believed")
    promotion = state.compliant
    if promotion is None or promotion.completed is None:
        if state.last_rollback is not None:
            return Requirement(name, False, f"the last promotion of {service} was rolled back")
        return Requirement(name, False, f"{service} has no completed promotion")
    lacking = [gate for gate in REQUIRED_GATES if _verdict(promotion, gate) != "allow"]
    if lacking:
        said = ", ".join(f"{gate} is {_verdict(promotion, gate)}" for gate in lacking)
        return Requirement(name, False, f"not every gate allows it: {said}")
    gates = ", ".join(REQUIRED_GATES)
    where = _where(promotion.completed)
    return Requirement(name, True, f"completed in entry {where}, in force, allowed by {gates}")


def _verdict(promotion: Promotion, gate: str) -> str:
    entry = promotion.verdicts.get(gate)
    return str(entry.data.get("verdict")) if entry else "missing"


def _chain_complete(promotion: Promotion | None, before: dict[str, Entry], report: Report) -> Requirement:
    name = "evidence_chain_complete"
    if not report.intact:
        return Requirement(name, False, report.sentence().rstrip("."))
    if promotion is None:
        return Requirement(name, False, "there is no promotion whose chain could be complete")
    there = {entry.event for entry in (*steps(promotion), *before.values())}
    missing = [e for e in ("build", "deployed", "requested", *REQUIRED_GATES, "started") if e not in there]
    missing += [f"report of {gate}" for gate in ("sast", "coverage") if not _has_report(promotion, gate)]
    if promotion.started is not None and not isinstance(promotion.started.data.get("manifests"), dict):
        missing.append("manifests")
    if missing:
        return Requirement(name, False, f"there is no evidence of: {', '.join(missing)}")
    # Up to the promotion only: what is observed must not change when the ledger grows.
    last = _where(promotion.completed) if promotion.completed else "0"
    return Requirement(name, True, f"entries 0 to {last} and their objects verified, none missing")


def _where(entry: Entry) -> str:
    return str(entry.sequence) + (f" of segment {entry.segment}" if entry.segment > 1 else "")


def _has_report(promotion: Promotion, gate: str) -> bool:
    entry = promotion.verdicts.get(gate)
    return entry is not None and isinstance(entry.data.get("object"), dict)


def _metadata_tagged(promotion: Promotion | None, before: dict[str, Entry]) -> Requirement:
    name = "audit_metadata_tagged"
    if promotion is None:
        return Requirement(name, False, "there is no promotion whose entries could be tagged")
    entries = [*before.values(), *steps(promotion)]
    for entry in entries:
        if missing := untagged(entry.metadata):
            return Requirement(name, False, f"entry {_where(entry)} lacks {', '.join(missing)}")
    return Requirement(name, True, f"all {len(entries)} entries carry the Sprint 1 tags")
