# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The state of every promotion, folded from the ledger; there is no other database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..ledger import Entry
from .model import REQUIRED_GATES, gate_step, step_id


@dataclass
class Promotion:
    """One promotion of one artifact: the entries that its steps have left, by step."""

    requested: Entry
    verdicts: dict[str, Entry] = field(default_factory=dict)
    started: Entry | None = None
    completed: Entry | None = None
    failed: Entry | None = None
    rolled_back: Entry | None = None
    refused: Entry | None = None
    revoked: Entry | None = None

    @property
    def id(self) -> str:
        """The id of the request, which every later entry names."""
        return self.requested.id

    @property
    def service(self) -> str:
        """The service's name."""
        return str(self.requested.data["service"])

    @property
    def digest(self) -> str:
        """The artifact, ``sha256:…``."""
        return str(self.requested.data["digest"])

    @property
    def plan(self) -> str | None:
        """The hash of the sealed plan; None in ledgers from before there were plans."""
        plan = self.requested.data.get("plan")
        return str(plan) if plan else None

    @property
    def gates(self) -> tuple[str, ...]:
        """The gates that must allow: those of the request, and the five of Sprint 1 whatever it says."""
        named = [str(gate) for gate in self.requested.data.get("gates") or ()]
        return (*[gate for gate in REQUIRED_GATES if gate not in named], *named)

    def named(self) -> dict[str, Any]:
        """Return what every later entry names it by: promotion_id, service, digest and the plan's hash."""
        names = {"promotion_id": self.id, "service": self.service, "digest": self.digest}
        return names | ({"plan": self.plan} if self.plan else {})

    @property
    def phase(self) -> str:
        """Where it stands: requested, started, failing, completed, refused, failed or rolled_back.

        ``failing`` means that the rollout failed and the cluster has still to be put back.
        """
        if self.rolled_back:
            return "failed" if self.failed else "rolled_back"
        if self.completed:
            return "completed"
        if self.failed:
            return "failing"
        if self.refused:
            return "refused"
        return "started" if self.started else "requested"

    @property
    def open(self) -> bool:
        """Whether something is left to do for it."""
        return self.phase in ("requested", "started", "failing")

    def started_data(self) -> dict[str, Any]:
        """Return the data of the started entry, which must be there."""
        if self.started is None:
            raise ValueError("only promotions that were started have started data")
        return self.started.data


@dataclass
class ServiceState:
    """All promotions of one service, oldest first.

    ``history`` is the stack of what was compliant: its last element is so now, and a rollback takes
    off what it undoes.
    """

    service: str
    promotions: dict[str, Promotion] = field(default_factory=dict)
    history: list[Promotion] = field(default_factory=list)
    last_rollback: Entry | None = None

    @property
    def compliant(self) -> Promotion | None:
        """The promotion whose artifact is the compliant one now."""
        return self.history[-1] if self.history else None

    @property
    def open(self) -> Promotion | None:
        """The promotion that is not finished; the engine never leaves two."""
        for promotion in reversed(self.promotions.values()):
            if promotion.open:
                return promotion
        return None


def fold(entries: Iterable[Entry]) -> dict[str, ServiceState]:
    """Return the state of every service that the ledger knows a request of, by name.

    An entry counts for a step only under the id of that step: a verdict of another artifact, or one
    written past the engine, is not a verdict.
    """
    states: dict[str, ServiceState] = {}
    owners: dict[str, ServiceState] = {}
    for entry in entries:
        if entry.data.get("event") == "requested":
            name = entry.data.get("service")
            # Written past the engine, it names nothing that could be promoted.
            if not isinstance(name, str) or not isinstance(entry.data.get("digest"), str):
                continue
            state = states.setdefault(name, ServiceState(name))
            state.promotions[entry.id] = Promotion(entry)
            owners[entry.id] = state
            continue
        owner = owners.get(str(entry.data.get("promotion_id")))
        if owner:
            _take(owner, entry)
    return states


def state_of(entries: Iterable[Entry], service: str) -> ServiceState:
    """Return the state of ``service``; an empty one when the ledger has no request of it."""
    return fold(entries).get(service) or ServiceState(service)


def _take(state: ServiceState, entry: Entry) -> None:
    promotion = state.promotions[entry.data["promotion_id"]]
    event = entry.data["event"]
    if "gate" in entry.data:
        bound = entry.data["gate"] == event and entry.data.get("digest") == promotion.digest
        if bound and entry.id == step_id(promotion.id, gate_step(entry.data)):
            promotion.verdicts[event] = entry
        return
    if entry.id != step_id(promotion.id, event):
        return
    if event == "started":
        promotion.started = entry
    elif event == "failed":
        promotion.failed = entry
    elif event == "refused":
        promotion.refused = entry
    elif event == "revoked":
        promotion.revoked = entry
    elif event == "completed":
        promotion.completed = entry
        _push(state, promotion)
    elif event == "rolled_back":
        promotion.rolled_back = entry
        if promotion.completed:
            _pop(state, entry)


def _push(state: ServiceState, promotion: Promotion) -> None:
    # The same artifact again (after someone changed the cluster by hand) is not something to go back to.
    if state.compliant and state.compliant.digest == promotion.digest:
        state.history.pop()
    state.history.append(promotion)
    state.last_rollback = None


def _pop(state: ServiceState, entry: Entry) -> None:
    state.last_rollback = entry
    while state.compliant and state.compliant.digest != entry.data.get("digest"):
        state.history.pop()
