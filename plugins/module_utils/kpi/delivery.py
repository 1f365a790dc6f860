# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""How well changes are delivered: the four figures of DORA (https://dora.dev/guides/dora-metrics-four-keys/).

All are of the ledger alone, over all of its time; rates and quantiles over a window are for PromQL.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ..ledger import Entry
from ..promotion.state import Promotion, ServiceState

# Upper bounds in seconds: a minute to an hour, then the steps in which DORA tells teams apart (a day, a week, a month).
BOUNDS = (60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0, 259200.0, 604800.0, 2592000.0)
# What can become of a change that was rolled out, other than good.
FAILURES = ("failed", "rolled_back", "revoked")
# When an artifact was built first, in seconds since 1970, by service and digest.
Builds = Mapping[tuple[str, str], float]


@dataclass
class Durations:
    """A histogram over ``BOUNDS``: how many were not longer than each bound and than the one before, and their sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    sum: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration; a clock that was put back makes it 0."""
        lasted = max(0.0, seconds)
        self.counts[bisect_left(BOUNDS, lasted)] += 1
        self.sum += lasted

    def cumulative(self) -> list[tuple[str, int]]:
        """Return (upper bound, how many were not longer), the last bound being ``+Inf``, as Prometheus has it."""
        total, found = 0, []
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, total))
        return found


@dataclass
class Delivery:
    """The figures of one service.

    ``completed`` promotions made an artifact compliant. ``failures`` are promotions by what went wrong first: the
    rollout ``failed``, or what was completed was ``rolled_back`` or ``revoked``. ``lead`` is from the first build of an
    artifact until it was compliant for the first time, ``restore`` from a failure to the next completed promotion.
    """

    completed: int = 0
    failures: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FAILURES, 0))
    lead: Durations = field(default_factory=Durations)
    restore: Durations = field(default_factory=Durations)


def delivery_of(state: ServiceState, builds: Builds) -> Delivery:
    """Return the figures of one service."""
    found = Delivery()
    told: set[str] = set()
    broken_since: float | None = None
    for entry, promotion in sorted(_ends(state.promotions.values()), key=lambda item: item[0].place):
        now = seconds_of(entry)
        if entry is not promotion.completed:
            broken_since = now if broken_since is None else broken_since
            # What follows from it (a rollback after a revocation) is not another failure.
            if entry is min(_failures(promotion), key=lambda item: item.place):
                found.failures[entry.event] += 1
            continue
        found.completed += 1
        if broken_since is not None:
            found.restore.add(now - broken_since)
            broken_since = None
        built = builds.get((state.service, promotion.digest))
        if built is not None and promotion.digest not in told:
            found.lead.add(now - built)
        told.add(promotion.digest)
    return found


def seconds_of(entry: Entry) -> float:
    """Return the time of an entry in seconds since 1970."""
    return datetime.fromisoformat(entry.timestamp).timestamp()


def _ends(promotions: Iterable[Promotion]) -> Iterator[tuple[Entry, Promotion]]:
    for promotion in promotions:
        for entry in (promotion.completed, *_failures(promotion)):
            if entry is not None:
                yield entry, promotion


def _failures(promotion: Promotion) -> list[Entry]:
    found = (promotion.failed, promotion.revoked, promotion.rolled_back)
    return [entry for entry in found if entry is not None]
