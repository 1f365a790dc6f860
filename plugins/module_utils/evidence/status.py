# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The status table of addendum 4, from the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..ledger import Entry, Ledger, verify
from ..promotion.model import COMPLIANT, SANDBOX, short
from ..promotion.state import Promotion, ServiceState, fold
from .tagging import provisional

HEADER = "| Date | Service | Stage | Evidence | Next Steps |"
_RULE = "|------|---------|-------|----------|------------|"
_PROMOTED = f"{SANDBOX}\N{RIGHTWARDS ARROW}{COMPLIANT}"
_NONE = "-"


@dataclass(frozen=True, slots=True)
class Row:
    """One service: date of its last evidence (YYYY-MM-DD), stage, ``hash_chain_id`` or -, what is to be done."""

    date: str
    service: str
    stage: str
    evidence: str
    next_steps: list[str]

    def as_dict(self) -> dict[str, Any]:
        return {
            "date": self.date,
            "service": self.service,
            "stage": self.stage,
            "evidence": self.evidence,
            "next_steps": self.next_steps,
        }


@dataclass(frozen=True, slots=True)
class Status:
    """The rows, and what :func:`verify` says of the ledger they come from."""

    rows: list[Row]
    chain: str
    summary: str

    def markdown(self) -> str:
        """Return the table as the addendum lays it out, with a final line feed."""
        lines = [HEADER, _RULE]
        for row in self.rows:
            steps = "; ".join(row.next_steps) or "none"
            cells = (row.date, row.service, row.stage, row.evidence, steps)
            lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
        return "\n".join(lines) + "\n"


def status(ledger: Ledger, service: str | None = None) -> Status:
    """Return the status of ``service``, or of every service that the ledger knows.

    A ledger that does not hold is reported as the first thing to do; the rows then come from the lines
    that can still be read.
    """
    report = verify(ledger.root)
    sound = report.state != "broken"
    entries = list(ledger.entries(strict=sound))
    states = fold(entries)
    # A name that was only ever refused is a typing error more often than a service.
    names = sorted({str(e.data["service"]) for e in entries if e.data.get("service") and e.event != "refused"})
    alarm = [] if sound and report.state != "incomplete" else [f"verify the ledger: {report.sentence()}"]
    rows = [
        _row(name, states.get(name) or ServiceState(name), [e for e in entries if e.data.get("service") == name], alarm)
        for name in names
        if service in (None, name)
    ]
    return Status(rows, report.state, report.sentence())


def _row(name: str, state: ServiceState, entries: list[Entry], alarm: list[str]) -> Row:
    compliant = state.compliant
    completed = compliant.completed if compliant else None
    deployed = [entry for entry in entries if entry.event == "deployed"]
    stage = _PROMOTED if completed else (SANDBOX if deployed else _NONE)
    return Row(
        date=entries[-1].timestamp[:10],
        service=name,
        stage=stage,
        evidence=completed.hash if completed else _NONE,
        next_steps=[*alarm, *_next_steps(state, entries, deployed)],
    )


def _next_steps(state: ServiceState, entries: list[Entry], deployed: list[Entry]) -> Iterator[str]:
    latest = next(reversed(state.promotions.values()), None)
    if latest is not None:
        yield from _of_promotion(latest)
    compliant = state.compliant
    if not deployed and compliant is None:
        yield "deploy to sandbox"
    elif deployed and (compliant is None or compliant.digest != deployed[-1].data["digest"]):
        digest = str(deployed[-1].data["digest"])
        # A promotion of it that was tried already has said above what is in its way.
        if latest is None or latest.digest != digest:
            yield f"promote {short(digest)} from sandbox"
    if compliant is not None and compliant.completed is not None:
        if not any(_is_package_of(entry, compliant.completed) for entry in entries):
            yield "package evidence"
        if pending := provisional(compliant.completed.metadata):
            yield f"sprint 2: {', '.join(pending)}"


def _of_promotion(promotion: Promotion) -> Iterator[str]:
    """Yield what the latest promotion of a service leaves to do, unless it is in force."""
    denied = [entry for entry in promotion.verdicts.values() if entry.data.get("verdict") != "allow"]
    if promotion.phase == "refused":
        for entry in denied:
            said = entry.data.get("reason") or f"observed {entry.data.get('observed')}"
            yield f"fix gate {entry.data['gate']}: {said}"
        if not denied and promotion.refused is not None:
            yield f"promote again: {promotion.refused.data.get('reason')}"
    elif promotion.open:
        yield f"finish the promotion of {short(promotion.digest)}: run the playbook promote again"
    elif promotion.phase == "failed" and promotion.failed is not None:
        yield f"fix the failed rollout and promote again: {promotion.failed.data.get('reason')}"
    elif promotion.phase == "rolled_back" and promotion.rolled_back is not None:
        yield f"promote again after the rollback: {promotion.rolled_back.data.get('reason')}"


def _is_package_of(entry: Entry, completed: Entry) -> bool:
    return entry.event == "package" and entry.data.get("hash_chain_id") == completed.hash
