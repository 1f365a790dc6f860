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
from .identity import looks_signed
from .model import short, stamp
from .plan import Plan, Requester
from .windows import frozen_until

# How long to wait before looking again for what only a person can change, in seconds.
PEOPLE_SECONDS = 60


@dataclass
class Standing:
    """What stands at the end of the ledger.

    ``approvals`` and ``overrides`` are by plan and then by person, given and withdrawn, oldest first; ``seals`` are by
    plan, ``vetoes`` by digest, ``stops`` by service, the line as a whole under "".
    """

    approvals: dict[str, dict[str, list[Entry]]] = field(default_factory=dict)
    overrides: dict[str, dict[str, list[Entry]]] = field(default_factory=dict)
    seals: dict[str, list[Entry]] = field(default_factory=dict)
    vetoes: dict[str, Entry] = field(default_factory=dict)
    stops: dict[str, Entry] = field(default_factory=dict)
    spent: dict[tuple[str, str], int] = field(default_factory=dict)
    trusted: Callable[[Entry], bool] = looks_signed
    clears: Callable[[Entry, Entry], bool] = lambda made, undo: True

    @classmethod
    def of(
        cls,
        entries: Iterable[Entry],
        trusted: Callable[[Entry], bool] = looks_signed,
        clears: Callable[[Entry, Entry], bool] = lambda made, undo: True,
    ) -> Standing:
        """Fold the entries of a ledger, oldest first.

        What lacks what its kind has to say (an entry that someone wrote past the modules) says nothing.

        :param trusted: whether what an entry says is really of the person that it names; by default a signature is
            believed unseen. Asked only where it matters.
        :param clears: whether a veto or stop is ended by the entry that says so, see ``clears_the_way``.
        """
        standing = cls(trusted=trusted, clears=clears)
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
        """Return the overrides of freezes and stops that count, one a person.

        One that was given before the line was stopped is of another freeze.
        """
        since = max((stop.sequence for stop in self._stops_of(service)), default=-1)
        return self._others(self.overrides, plan, service, since, requester_counts=True)

    def stop_of(self, service: str) -> Entry | None:
        """Return the stop of the line that ``service`` is under."""
        return next(iter(self._stops_of(service)), None)

    def is_proven(self, plan: Plan) -> bool:
        """Return whether who asked for the plan is really the person that it names: they have signed the sealing."""
        return any(
            entry.data["by"].get("entity") == plan.requester.entity and self.trusted(entry)
            for entry in self.seals.get(plan.sha256, ())
        )

    def summary(self, plan: Plan, service: str) -> dict[str, Any]:
        """Return what the started entry says of people: the quorum, who approved, and who overrode."""
        quorum = int(plan.policy["quorum"])
        approvals = [{"by": e.data["by"], "entry": e.id} for e in self.approvers(plan, service)]
        overrides = [{"by": e.data["by"], "entry": e.id} for e in self.overriders(plan, service)]
        return {"approvals": {"quorum": quorum, "given": approvals}} | ({"overrides": overrides} if overrides else {})

    def _stops_of(self, service: str) -> list[Entry]:
        return [self.stops[key] for key in ("", service) if key in self.stops]

    def _others(
        self,
        said: Mapping[str, dict[str, list[Entry]]],
        plan: Plan,
        service: str,
        since: int = -1,
        requester_counts: bool = False,
    ) -> list[Entry]:
        after = max(since, self.spent.get((plan.sha256, service), -1))
        # By name: a person with two entities is still one.
        found: dict[str, Entry] = {}
        for entries in said.get(plan.sha256, {}).values():
            # What was written past the modules neither gives nor withdraws.
            entry = next((entry for entry in reversed(entries) if self.trusted(entry)), None)
            if entry is None or entry.data["event"] in _WITHDRAWN or entry.sequence <= after:
                continue
            if requester_counts or not same_person(entry.data["by"], plan.requester):
                found.setdefault(str(entry.data["by"]["name"]).casefold(), entry)
        return list(found.values())


def same_person(by: Mapping[str, Any], requester: Requester) -> bool:
    """Return whether who approves, or clears the way, is who asked. The one place where this is decided.

    Names are compared as well as entities: a person can have two ways in, and two entities.
    """
    if by.get("entity") and by["entity"] == requester.entity:
        return True
    return str(by.get("name", "")).casefold() == requester.name.casefold()


def clears_the_way(plan: Plan | None) -> Callable[[Entry, Entry], bool]:
    """Return the function that tells whether what ends a veto or stop (the second entry) counts for ``plan``.

    Nobody clears their own way: what others have vetoed or stopped and who asks has ended still stands for who asks,
    until someone else ends it, too.
    """

    def clears(made: Entry, undo: Entry) -> bool:
        if plan is None or not same_person(undo.data["by"], plan.requester):
            return True
        return same_person(made.data["by"], plan.requester)

    return clears


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
    if quorum and not standing.is_proven(plan):
        reason = (
            f"{plan.requester.name} has not signed that they ask for the plan {plan.sha256[:12]} (required: a "
            "signature of who asks); seal it with playbooks/plan.yml and one's own Vault identity"
        )
        return _finding("approvals", "deny", reason, {"signed": False}, {"signed": True, "plan": plan.sha256})
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


def person_of(entry: Entry) -> str:
    """Return who says it: Vault's id of the person, or a login's name."""
    by = entry.data["by"]
    return str(by.get("entity") or by["name"])


def _heard(said: dict[str, dict[str, list[Entry]]], entry: Entry) -> None:
    said.setdefault(entry.data["plan"], {}).setdefault(person_of(entry), []).append(entry)


def _completed(standing: Standing, entry: Entry) -> None:
    if "plan" in entry.data:
        standing.spent[entry.data["plan"], entry.data["service"]] = entry.sequence


def _stand(said: dict[str, Entry], subject: str, entry: Entry) -> None:
    """Let the first veto or stop stand: a later one does not change by whom it may be undone."""
    said.setdefault(subject, entry)


def _undo(standing: Standing, said: dict[str, Entry], subject: str, entry: Entry) -> None:
    """End a veto or stop. What a person at Vault said is undone only by what is proven to be a person's, too."""
    known = said.get(subject)
    if known is None or not standing.clears(known, entry):
        return
    proven = bool(entry.data["by"].get("entity")) and standing.trusted(entry)
    if proven or not known.data["by"].get("entity"):
        del said[subject]


_WITHDRAWN = frozenset({"approval_withdrawn", "override_withdrawn"})
_TAKE: dict[str, Callable[[Standing, Entry], object]] = {
    "planned": lambda standing, entry: standing.seals.setdefault(entry.data["plan"], []).append(entry),
    "approved": lambda standing, entry: _heard(standing.approvals, entry),
    "approval_withdrawn": lambda standing, entry: _heard(standing.approvals, entry),
    "overridden": lambda standing, entry: _heard(standing.overrides, entry),
    "override_withdrawn": lambda standing, entry: _heard(standing.overrides, entry),
    "completed": _completed,
    "vetoed": lambda standing, entry: _stand(standing.vetoes, entry.data["digest"], entry),
    "veto_lifted": lambda standing, entry: _undo(standing, standing.vetoes, entry.data["digest"], entry),
    "stopped": lambda standing, entry: _stand(standing.stops, entry.data.get("service", ""), entry),
    "resumed": lambda standing, entry: _undo(standing, standing.stops, entry.data.get("service", ""), entry),
}
# What an entry of each kind names, beside who says it and why.
_SUBJECT = {
    "planned": "plan",
    "approved": "plan",
    "approval_withdrawn": "plan",
    "overridden": "plan",
    "override_withdrawn": "plan",
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
    if event in ("completed", "planned"):
        return event == "completed" or said
    return said and isinstance(data.get("reason"), str)
