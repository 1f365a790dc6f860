# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What people have said, folded from the ledger: approvals, vetoes, stops of the line and overrides.

Whoever said something is {name, entity, method}; ``entity`` is Vault's id of the person (see identity.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ..ledger import Entry
from .model import short, stamp
from .plan import Plan, Requester
from .windows import frozen_until

# How long to wait before looking again for what only a person can change, in seconds.
PEOPLE_SECONDS = 60


@dataclass
class Standing:
    """What stands at the end of the ledger.

    ``approvals`` and ``overrides`` are by plan and then by person; ``stops`` by service, the line as a whole under "".
    """

    approvals: dict[str, dict[str, Entry]] = field(default_factory=dict)
    overrides: dict[str, dict[str, Entry]] = field(default_factory=dict)
    vetoes: dict[str, Entry] = field(default_factory=dict)
    stops: dict[str, Entry] = field(default_factory=dict)
    spent: dict[tuple[str, str], int] = field(default_factory=dict)
    trusted: Callable[[Entry], bool] = bool

    @classmethod
    def of(cls, entries: Iterable[Entry], trusted: Callable[[Entry], bool] = bool) -> Standing:
        """Fold the entries of a ledger, oldest first.

        What lacks what its kind has to say (an entry that someone wrote past the modules) says nothing.

        :param trusted: whether what an entry says is really of the person that it names; by default it is
            believed. Asked only where it matters.
        """
        standing = cls(trusted=trusted)
        for entry in entries:
            event = str(entry.data.get("event"))
            if event in _TAKE and _is_complete(event, entry.data):
                _TAKE[event](standing, entry)
        return standing

    def approvers(self, plan: Plan, service: str) -> list[Entry]:
        """Return the approvals of ``plan`` that count for ``service``, one a person.

        The requester's own never counts, and one that a completed promotion was made with is used up.
        """
        return self._others(self.approvals, plan, service)

    def overriders(self, plan: Plan, service: str) -> list[Entry]:
        """Return the overrides of freezes and stops that count, one a person."""
        return self._others(self.overrides, plan, service, requester_counts=True)

    def stop_of(self, service: str) -> Entry | None:
        """Return the stop of the line that ``service`` is under."""
        return self.stops.get("") or self.stops.get(service)

    def summary(self, plan: Plan, service: str) -> dict[str, Any]:
        """Return what the started entry says of people: the quorum, who approved, and who overrode."""
        quorum = int(plan.policy["quorum"])
        approvals = [{"by": e.data["by"], "entry": e.id} for e in self.approvers(plan, service)]
        overrides = [{"by": e.data["by"], "entry": e.id} for e in self.overriders(plan, service)]
        return {"approvals": {"quorum": quorum, "given": approvals}} | ({"overrides": overrides} if overrides else {})

    def _others(
        self, said: Mapping[str, dict[str, Entry]], plan: Plan, service: str, requester_counts: bool = False
    ) -> list[Entry]:
        after = self.spent.get((plan.sha256, service), -1)
        return [
            entry
            for entry in said.get(plan.sha256, {}).values()
            if entry.sequence > after
            and (requester_counts or not same_person(entry.data["by"], plan.requester))
            and self.trusted(entry)
        ]


def same_person(by: Mapping[str, Any], requester: Requester) -> bool:
    """Return whether who approves is who asked. The one place where this is decided.

    Names are compared as well as entities: a person can have two ways in, and two entities.
    """
    if by.get("entity") and by["entity"] == requester.entity:
        return True
    return str(by.get("name", "")).casefold() == requester.name.casefold()


def veto_finding(standing: Standing, digest: str) -> dict[str, Any] | None:
    """Return the shortfall that a veto of ``digest`` is, or None."""
    veto = standing.vetoes.get(digest)
    if veto is None:
        return None
    reason = f"{short(digest)} was vetoed by {veto.data['by']['name']}: {veto.data['reason']} (required: no veto)"
    return _finding("veto", "deny", reason, {"veto": veto.id}, {"veto": None})


def freeze_finding(standing: Standing, plan: Plan, service: str, now: datetime) -> dict[str, Any] | None:
    """Return the shortfall that a stopped line or a freeze window is, unless two people override it."""
    stop = standing.stop_of(service)
    window = frozen_until(plan.policy.get("freezes", ()), service, now)
    if stop is None and window is None:
        return None
    overriders = standing.overriders(plan, service)
    if len(overriders) >= 2:
        return None
    missing = f"{len(overriders)} of 2 people override it"
    observed: dict[str, Any] = {"overrides": [entry.id for entry in overriders]}
    if stop is not None:
        reason = (
            f"the line is stopped by {stop.data['by']['name']}: {stop.data['reason']}; {missing} (required: no stop)"
        )
        again = now + timedelta(seconds=PEOPLE_SECONDS)
        return _finding("freeze", "defer", reason, observed | {"stop": stop.id}, {"stop": None}, again)
    if window is None:
        raise ValueError("asked for a freeze, and there is neither a stop nor a window")
    name, until = window
    reason = f"the freeze '{name}' lasts until {until.isoformat()}; {missing} (required: no freeze)"
    return _finding("freeze", "defer", reason, observed | {"freeze": name}, {"freeze": None}, until)


def approvals_finding(standing: Standing, plan: Plan, service: str, now: datetime) -> dict[str, Any] | None:
    """Return the shortfall that a missing approval is, or None when the quorum is reached."""
    quorum = int(plan.policy["quorum"])
    approvers = standing.approvers(plan, service)
    if len(approvers) >= quorum:
        return None
    observed = {"approvals": len(approvers), "by": sorted(str(entry.data["by"]["name"]) for entry in approvers)}
    required = {"approvals": quorum, "plan": plan.sha256, "not_by": plan.requester.name}
    reason = (
        f"{len(approvers)} of the plan {plan.sha256[:12]} by others than {plan.requester.name} (required: {quorum})"
    )
    again = now + timedelta(seconds=PEOPLE_SECONDS)
    return _finding("approvals", "defer", f"approvals: {reason}", observed, required, again)


def findings(standing: Standing, plan: Plan | None, service: str, digest: str, now: datetime) -> list[dict[str, Any]]:
    """Return every shortfall that people are the cause of; without a plan only vetoes and stops can be told."""
    found = [veto_finding(standing, digest)]
    if plan is not None:
        found += [freeze_finding(standing, plan, service, now), approvals_finding(standing, plan, service, now)]
    elif (stop := standing.stop_of(service)) is not None:
        reason = f"the line is stopped by {stop.data['by']['name']}: {stop.data['reason']} (required: no stop)"
        found.append(_finding("freeze", "deny", reason, {"stop": stop.id}, {"stop": None}))
    return [item for item in found if item is not None]


def _finding(
    gate: str,
    verdict: str,
    reason: str,
    observed: dict[str, Any],
    required: dict[str, Any],
    again: datetime | None = None,
) -> dict[str, Any]:
    finding = {"gate": gate, "verdict": verdict, "reason": reason, "observed": observed, "required": required}
    return finding | ({"next_check": stamp(again)} if again else {})


def _person(entry: Entry) -> str:
    by = entry.data["by"]
    return str(by.get("entity") or by["name"])


def _approved(standing: Standing, entry: Entry) -> None:
    standing.approvals.setdefault(entry.data["plan"], {})[_person(entry)] = entry


def _withdrawn(standing: Standing, entry: Entry) -> None:
    standing.approvals.get(entry.data["plan"], {}).pop(_person(entry), None)


def _overridden(standing: Standing, entry: Entry) -> None:
    standing.overrides.setdefault(entry.data["plan"], {})[_person(entry)] = entry


def _completed(standing: Standing, entry: Entry) -> None:
    if "plan" in entry.data:
        standing.spent[entry.data["plan"], entry.data["service"]] = entry.sequence


def _stand(said: dict[str, Entry], subject: str, entry: Entry) -> None:
    """Let the first veto or stop stand: a later one does not change by whom it may be undone."""
    said.setdefault(subject, entry)


def _undo(standing: Standing, said: dict[str, Entry], subject: str, entry: Entry) -> None:
    """End a veto or stop. What a person at Vault said is undone only by what is proven to be a person's, too."""
    known = said.get(subject)
    if known is None:
        return
    proven = bool(entry.data["by"].get("entity")) and standing.trusted(entry)
    if proven or not known.data["by"].get("entity"):
        del said[subject]


_TAKE: dict[str, Callable[[Standing, Entry], object]] = {
    "approved": _approved,
    "approval_withdrawn": _withdrawn,
    "overridden": _overridden,
    "completed": _completed,
    "vetoed": lambda standing, entry: _stand(standing.vetoes, entry.data["digest"], entry),
    "veto_lifted": lambda standing, entry: _undo(standing, standing.vetoes, entry.data["digest"], entry),
    "stopped": lambda standing, entry: _stand(standing.stops, entry.data.get("service", ""), entry),
    "resumed": lambda standing, entry: _undo(standing, standing.stops, entry.data.get("service", ""), entry),
}
# What an entry of each kind names, beside who says it and why.
_SUBJECT = {
    "approved": "plan",
    "approval_withdrawn": "plan",
    "overridden": "plan",
    "completed": "service",
    "vetoed": "digest",
    "veto_lifted": "digest",
}


def _is_complete(event: str, data: Mapping[str, Any]) -> bool:
    if event in _SUBJECT and not isinstance(data.get(_SUBJECT[event]), str):
        return False
    if not isinstance(data.get("service", ""), str):
        return False
    by = data.get("by")
    said = isinstance(by, Mapping) and isinstance(by.get("name"), str) and isinstance(by.get("entity", ""), str)
    return event == "completed" or (said and isinstance(data.get("reason"), str))
