# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What the ledger says about compliance, as numbers.

What cannot be believed is not compliant: with a broken chain every state is 0, whatever the entries say.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from ..errors import GoldenGooseError
from ..ledger import Entry, Ledger, Report, verify
from ..promotion.model import REQUIRED_GATES
from ..promotion.state import Promotion, ServiceState, fold
from .delivery import Delivery, delivery_of, seconds_of

# What `verify` reports, and a ledger that could not even be read.
LEDGER_STATES = ("intact", "incomplete", "nothing_to_verify", "broken", "unreadable")
OUTCOMES = ("completed", "refused", "failed", "rolled_back", "open")
_OBJECT_PROBLEMS = frozenset({"object_missing", "object_altered"})


@dataclass(frozen=True)
class Figures:
    """One reading of the ledger.

    ``compliance`` is 1 for a service whose latest evidence makes it compliant, else 0. The two ratios lie
    between 0 and 1, and are NaN while there is nothing to take a ratio of. ``last_failed`` is 1 for a service
    whose latest finished promotion did not succeed, ``revoked`` for one whose compliant digest no longer passes.
    ``unanchored`` entries are durable, but in no signed checkpoint yet. ``last_entry`` is in seconds since 1970,
    NaN without entries. ``delivery`` is by service. ``reason`` says in a sentence what is wrong, empty when nothing is.
    """

    ledger_state: str
    reason: str = ""
    entries: int = 0
    bytes: int = 0
    problems: int = 0
    unanchored: int = 0
    last_entry: float = math.nan
    success_rate: float = math.nan
    completeness: float = math.nan
    compliance: Mapping[str, int] = field(default_factory=dict)
    last_failed: Mapping[str, int] = field(default_factory=dict)
    revoked: Mapping[str, int] = field(default_factory=dict)
    promotions: Mapping[tuple[str, str], int] = field(default_factory=dict)
    delivery: Mapping[str, Delivery] = field(default_factory=dict)

    @property
    def chain_intact(self) -> bool:
        """Whether every entry can be believed; a missing object is a gap, not a break."""
        return self.ledger_state not in ("broken", "unreadable")


@dataclass
class Memory:
    """What was read of frozen segments, by their numbers: the report, and the entries that figures are made of."""

    reports: dict[int, Report] = field(default_factory=dict)
    entries: dict[int, list[Entry]] = field(default_factory=dict)

    def of(self, segment: Ledger) -> list[Entry]:
        """Return the entries of a frozen segment that :func:`compute` looks at."""
        known = self.entries.get(segment.number)
        if known is None:
            known = [entry for entry in segment.own_entries(strict=False) if _counts(entry)]
            if segment.number in self.reports:
                self.entries[segment.number] = known
        return known


def read(path: Path, memory: Memory | None = None) -> Figures:
    """Verify the ledger in the folder ``path`` and return its figures; whatever is wrong becomes a figure.

    :param memory: what is remembered of frozen segments is not read again.
    """
    memory = memory or Memory()
    try:
        # The exporter may run where only a library for metrics is; checkpoints are compared in any case.
        report = verify(path, signatures=find_spec("cryptography") is not None, verified=memory.reports)
        return compute(report, _entries(path, report, memory) if report.size else ())
    except (GoldenGooseError, OSError) as error:
        return Figures("unreadable", reason=str(error), completeness=0.0, problems=1)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"An entry of the ledger {path} lacks what its event needs ({type(error).__name__}: {error})."
        return Figures("unreadable", reason=reason, completeness=0.0, problems=1)


def _entries(path: Path, report: Report, memory: Memory) -> Iterator[Entry]:
    ledger = Ledger.open(path, edge=False)
    before = sum(segment.head().size for segment in ledger.earlier)
    for segment in ledger.earlier:
        yield from memory.of(segment)
    # An entry that was appended since the verification belongs to the next reading.
    yield from islice(ledger.own_entries(strict=False), max(0, report.size - before))


def _counts(entry: Entry) -> bool:
    return entry.event in ("requested", "build") or "promotion_id" in entry.data


def compute(report: Report, entries: Iterable[Entry]) -> Figures:
    """Return the figures of ``entries``, which ``report`` is about.

    :raises KeyError, TypeError, ValueError: an entry does not have what its event needs.
    """
    seen = _Seen()
    states = fold(seen.watch(entries))
    broken = report.state == "broken"
    lost = {(p.segment, p.sequence) for p in report.problems if p.kind in _OBJECT_PROBLEMS and p.sequence is not None}
    promotions = [promotion for state in states.values() for promotion in state.promotions.values()]
    return Figures(
        ledger_state=report.state,
        reason="" if report.intact else report.sentence(),
        entries=report.size,
        bytes=report.bytes,
        unanchored=report.unanchored,
        problems=report.problem_count if report.state != "nothing_to_verify" else 0,
        last_entry=seen.last,
        success_rate=_success_rate(promotions),
        completeness=0.0 if broken else _completeness(promotions, lost),
        compliance={name: int(not broken and _is_compliant(state)) for name, state in states.items()},
        last_failed={name: int(_last_failed(state)) for name, state in states.items()},
        revoked={name: int(_is_revoked(state)) for name, state in states.items()},
        promotions=Counter(
            (promotion.service, "open" if promotion.open else promotion.phase) for promotion in promotions
        ),
        delivery={name: delivery_of(state, seen.builds) for name, state in states.items()},
    )


class _Seen:
    """Remembers, while others read the entries, when the last was and when each artifact was built first."""

    def __init__(self) -> None:
        self.last = math.nan
        self.builds: dict[tuple[str, str], float] = {}

    def watch(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            self.last = seconds_of(entry)
            if entry.event == "build":
                artifact = (str(entry.data.get("service")), str(entry.data.get("digest")))
                self.builds.setdefault(artifact, self.last)
            yield entry


def _success_rate(promotions: Iterable[Promotion]) -> float:
    """Return completed ÷ finished. A promotion that was completed and later undone by hand did succeed."""
    finished = [promotion for promotion in promotions if not promotion.open]
    if not finished:
        return math.nan
    return sum(promotion.completed is not None for promotion in finished) / len(finished)


def _completeness(promotions: Iterable[Promotion], lost: set[tuple[int, int]]) -> float:
    """Return how much of the evidence is there that promotions which touched the cluster have to leave."""
    present = required = 0
    for promotion in promotions:
        if promotion.open or not (promotion.started or promotion.completed or promotion.failed):
            continue
        steps = _required_entries(promotion)
        required += len(steps)
        present += sum(step is not None and step.place not in lost for step in steps)
    return present / required if required else math.nan


def _required_entries(promotion: Promotion) -> list[Entry | None]:
    verdicts = [promotion.verdicts.get(gate) for gate in REQUIRED_GATES]
    ended = [promotion.failed, promotion.rolled_back] if promotion.failed else [promotion.completed]
    return [promotion.requested, *verdicts, promotion.started, *ended]


def _is_revoked(state: ServiceState) -> bool:
    return state.compliant is not None and state.compliant.revoked is not None


def _is_compliant(state: ServiceState) -> bool:
    return state.compliant is not None and not _is_revoked(state)


def _last_failed(state: ServiceState) -> bool:
    for promotion in reversed(state.promotions.values()):
        if not promotion.open:
            return promotion.completed is None
    return False
