# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Figures as metrics: names, help texts and labels, without any library."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .delivery import FAILURES, Delivery, Durations
from .figures import LEDGER_STATES, OUTCOMES, Figures
from .watch import Watch

_NOT_IN_NAME = re.compile(r"[^a-z0-9_]")


@dataclass(frozen=True)
class Metric:
    """A gauge, a counter or a histogram.

    Its samples are (label values, value), in the order of ``labels``; those of a histogram are ``Durations``.
    """

    name: str
    help: str
    samples: Sequence[tuple[tuple[str, ...], float | Durations]]
    labels: tuple[str, ...] = ()
    kind: str = "gauge"


def metrics(watch: Watch, services: Sequence[str]) -> Iterator[Metric]:
    """Yield every metric; ``services`` have a series even before the ledger knows them."""
    figures = watch.figures()
    known = {**dict.fromkeys(services, 0), **figures.compliance}
    yield from _required(figures, known)
    yield from _by_service(figures, known)
    yield from _delivery(figures, known)
    yield from _ledger(figures)
    yield _single("golden_goose_ledger_verified_timestamp_seconds", "When it was last verified.", watch.verified_at)
    yield _single("golden_goose_ledger_verify_seconds", "How long that took.", watch.verify_seconds)


def compliance_metric_name(service: str) -> str:
    """Return the name of a service's own series: ``service_a_compliance_state`` for service-a."""
    return f"{_NOT_IN_NAME.sub('_', service)}_compliance_state"


def _required(figures: Figures, known: Mapping[str, int]) -> Iterator[Metric]:
    for service, state in known.items():
        text = f"1 when the evidence makes {service} compliant, 0 when it does not or cannot be believed."
        yield _single(compliance_metric_name(service), text, state)
    yield _single(
        "promotion_success_rate", "Completed ÷ finished promotions; NaN while none has finished.", figures.success_rate
    )
    yield _single(
        "evidence_completeness",
        "Entries and objects present ÷ required, of all promotions that touched the cluster; NaN while none has.",
        figures.completeness,
    )


def _by_service(figures: Figures, known: Mapping[str, int]) -> Iterator[Metric]:
    yield Metric(
        "golden_goose_service_compliance_state",
        "As service_a_compliance_state, for every service.",
        [((service,), state) for service, state in known.items()],
        ("service",),
    )
    yield Metric(
        "golden_goose_last_promotion_failed",
        "1 when the latest finished promotion of the service did not succeed.",
        [((service,), figures.last_failed.get(service, 0)) for service in known],
        ("service",),
    )
    yield Metric(
        "golden_goose_digest_revoked",
        "1 when the compliant artifact of the service no longer passes a gate that was asked again.",
        [((service,), figures.revoked.get(service, 0)) for service in known],
        ("service",),
    )
    yield Metric(
        "golden_goose_promotions",
        "Promotions in the ledger by how they ended.",
        [((s, outcome), figures.promotions.get((s, outcome), 0)) for s in known for outcome in OUTCOMES],
        ("service", "outcome"),
    )


def _delivery(figures: Figures, known: Mapping[str, int]) -> Iterator[Metric]:
    """Yield what only grows. A ledger that cannot be believed has no such series: a counter must not go back."""
    if not figures.chain_intact:
        return
    found = {service: figures.delivery.get(service) or Delivery() for service in known}
    yield Metric(
        "golden_goose_promotions_completed_total",
        "Promotions that made an artifact compliant (deployment frequency).",
        [((service,), item.completed) for service, item in found.items()],
        ("service",),
        "counter",
    )
    yield Metric(
        "golden_goose_promotions_undone_total",
        "Promotions whose rollout failed, or whose artifact was rolled back or revoked later (change failure rate).",
        [((service, kind), item.failures[kind]) for service, item in found.items() for kind in FAILURES],
        ("service", "kind"),
        "counter",
    )
    yield Metric(
        "golden_goose_promotion_lead_time_seconds",
        "From the first build of an artifact until it was compliant for the first time.",
        [((service,), item.lead) for service, item in found.items()],
        ("service",),
        "histogram",
    )
    yield Metric(
        "golden_goose_promotion_restore_seconds",
        "From a promotion that failed, was rolled back or revoked to the next completed one (time to restore).",
        [((service,), item.restore) for service, item in found.items()],
        ("service",),
        "histogram",
    )


def _ledger(figures: Figures) -> Iterator[Metric]:
    yield Metric(
        "golden_goose_ledger_state",
        "1 for the state that the ledger is in.",
        [((state,), int(state == figures.ledger_state)) for state in LEDGER_STATES],
        ("state",),
    )
    yield _single("golden_goose_audit_chain_intact", "0 when an entry cannot be believed.", int(figures.chain_intact))
    yield _single("golden_goose_ledger_entries", "Entries in the ledger.", figures.entries)
    yield _single("golden_goose_ledger_bytes", "Bytes of all entries.", figures.bytes)
    yield _single(
        "golden_goose_ledger_unanchored_entries",
        "Entries that are durable, but whose head is not signed and kept in Vault yet.",
        figures.unanchored,
    )
    yield _single("golden_goose_ledger_problems", "Things that do not hold.", figures.problems)
    if not math.isnan(figures.last_entry):
        yield _single("golden_goose_ledger_last_entry_timestamp_seconds", "Time of the last entry.", figures.last_entry)


def _single(name: str, text: str, value: float) -> Metric:
    return Metric(name, text, [((), value)])
