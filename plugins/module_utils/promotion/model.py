# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The words of a promotion: steps and their ids, verdicts, refusals and outcomes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ..errors import GoldenGooseError

SANDBOX = "sandbox"
COMPLIANT = "compliant"

# Every artifact needs an allow from each of these, whatever a request says.
REQUIRED_GATES = ("provenance", "sast", "coverage", "health", "chain")


def step_id(promotion_id: str, step: str) -> str:
    """Return the id of the entry that ``step`` of a promotion writes.

    It depends on nothing but its arguments, so that a step that is run again finds its own record.
    Steps are started, completed, failed, rolled_back, refused and ``gate:<name>``.
    """
    return str(uuid.uuid5(uuid.UUID(promotion_id), step))


def gate_step(data: Mapping[str, Any]) -> str:
    """Return the step of a verdict's entry: ``gate:<name>``, and ``gate:<name>:<attempt>`` from the second on."""
    attempt = int(data.get("attempt", 1))
    return f"gate:{data['gate']}" + (f":{attempt}" if attempt > 1 else "")


@dataclass(frozen=True)
class Verdict:
    """What one gate says of one artifact.

    ``verdict`` is allow, deny, or defer (the gate could not find out now). ``reason`` is one clause that
    names what was observed and what is required; ``object`` is the ledger object with the raw report.
    ``evidence`` is the id of the entry that it rests on. ``next_check`` (RFC 3339, UTC) is when asking again
    makes sense: a defer that has one keeps the promotion open; an allow counts no longer than that.
    """

    gate: str
    verdict: str
    reason: str
    observed: dict[str, Any]
    required: dict[str, Any]
    object: dict[str, Any] | None = None
    evidence: str | None = None
    next_check: str | None = None

    def as_data(self) -> dict[str, Any]:
        """Return the verdict as it stands in an entry's data."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def stamp(moment: datetime) -> str:
    """Return an aware time as it stands in entries: RFC 3339, UTC, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Refused(GoldenGooseError):
    """The engine will not do what was asked, and the cluster was not touched."""


@dataclass(frozen=True)
class Outcome:
    """What one call of the engine led to, as a module returns it.

    ``outcome`` is requested, unchanged, compliant, rolled_back or removed. ``hash_chain_id`` is the hash
    of the entry that made the service compliant with ``digest``.
    """

    outcome: str
    service: str
    changed: bool
    reason: str
    digest: str | None = None
    promotion_id: str | None = None
    hash_chain_id: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as module results."""
        return asdict(self)


def short(digest: str | None) -> str:
    """Return ``digest`` as people recognise it: its algorithm and first twelve hexadecimal digits."""
    return f"{digest[:19]}…" if digest else "nothing"
