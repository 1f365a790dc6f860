# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The four figures of DORA, from the ledger alone, and as Prometheus reads them."""

from __future__ import annotations

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.kpi.delivery import BOUNDS, Delivery
from ansible_collections.golden_goose.compliance.plugins.module_utils.kpi.exporter import _Collector
from ansible_collections.golden_goose.compliance.plugins.module_utils.kpi.figures import read
from ansible_collections.golden_goose.compliance.plugins.module_utils.kpi.watch import Watch
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import freeze
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from tests.unit.ledger.second_place import Memory

from .story import METADATA, OTHER_DIGEST, Story


def delivery(story: Story) -> Delivery:
    return read(story.ledger.path).delivery["service-a"]


def fail(story: Story) -> None:
    """Have a rollout fail, and the cluster put back."""
    promotion = story.request(digest=OTHER_DIGEST)
    for event in ("started", "failed", "rolled_back"):
        story.step(promotion, event, digest=OTHER_DIGEST)


def test_lead_time_is_from_the_first_build_to_the_first_time_that_it_is_compliant(story: Story) -> None:
    story.build()
    story.later(minutes=20)
    story.build()
    story.later(minutes=20)
    story.promote()
    found = delivery(story)
    assert (found.completed, found.lead.sum) == (1, 2400)
    assert dict(found.lead.cumulative()) == {str(bound): int(bound >= 2400) for bound in BOUNDS} | {"+Inf": 1}
    # Back after an excursion it is a deployment, but no other change.
    story.build(digest=OTHER_DIGEST)
    story.later(days=1)
    story.promote(digest=OTHER_DIGEST)
    story.promote()
    found = delivery(story)
    assert (found.completed, found.lead.sum) == (3, 2400 + 86400)
    assert dict(found.lead.cumulative())["86400.0"] == 2


def test_what_was_built_elsewhere_has_no_lead_time(story: Story) -> None:
    story.build(service="service-b")
    story.promote()
    found = delivery(story)
    assert (found.completed, found.lead.cumulative()[-1]) == (1, ("+Inf", 0))


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        (("started", "failed", "rolled_back"), "failed"),
        (("started", "completed", "rolled_back"), "rolled_back"),
        (("started", "completed", "revoked"), "revoked"),
        (("started", "completed", "revoked", "rolled_back"), "revoked"),
        (("refused",), None),
        (("started",), None),
    ],
)
def test_a_change_fails_once_by_what_went_wrong_first(story: Story, events: tuple[str, ...], kind: str | None) -> None:
    promotion = story.request()
    for event in events:
        story.step(promotion, event)
    found = delivery(story)
    assert {name: count for name, count in found.failures.items() if count} == ({kind: 1} if kind else {})
    assert found.completed == int("completed" in events)


def test_restored_is_from_the_first_failure_to_the_next_that_succeeds(story: Story) -> None:
    story.promote()
    story.later(hours=1)
    fail(story)
    assert delivery(story).restore.cumulative()[-1] == ("+Inf", 0)
    story.later(minutes=10)
    fail(story)
    # A refusal is no failure, and no success.
    story.step(story.request(), "refused")
    story.later(minutes=10)
    story.promote(digest="sha256:" + "c" * 64)
    story.later(minutes=1)
    story.promote(digest="sha256:" + "d" * 64)
    found = delivery(story)
    assert (found.restore.sum, found.restore.cumulative()[-1]) == (1200, ("+Inf", 1))
    assert (found.completed, found.failures["failed"]) == (3, 2)


def test_a_revoked_artifact_is_restored_by_the_next(story: Story) -> None:
    promotion = story.promote()
    story.later(minutes=3)
    story.step(promotion, "revoked", reason="V-1")
    story.later(minutes=4)
    story.step(promotion, "rolled_back", digest=None)
    story.later(minutes=1)
    story.promote(digest=OTHER_DIGEST)
    found = delivery(story)
    assert (found.restore.sum, found.failures["revoked"], found.failures["rolled_back"]) == (300, 1, 0)


def test_a_duration_that_is_a_bound_is_not_longer_than_it(story: Story) -> None:
    story.build()
    story.later(minutes=1)
    story.promote()
    assert delivery(story).lead.cumulative()[0] == ("60.0", 1)


def test_a_build_in_a_frozen_segment_is_remembered(story: Story) -> None:
    watch = Watch(story.ledger.path)
    story.build()
    freeze(story.ledger, Memory(), METADATA, 2)
    story.later(minutes=2)
    story.promote()
    assert watch.figures().delivery["service-a"].lead.sum == 120
    # And so are the promotions, when the next is read.
    story.promote(digest=OTHER_DIGEST)
    found = watch.figures().delivery["service-a"]
    assert (found.completed, found.lead.sum) == (2, 120)


def series(story: Story) -> dict[str, float]:
    """Return what Prometheus reads, line by line."""
    registry = CollectorRegistry()
    registry.register(_Collector(Watch(story.ledger.path), ["service-a"]))
    lines = generate_latest(registry).decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_prometheus_reads_counters_and_histograms(story: Story) -> None:
    zero = series(story)
    assert zero['golden_goose_promotions_completed_total{service="service-a"}'] == 0
    assert zero['golden_goose_promotions_undone_total{kind="revoked",service="service-a"}'] == 0
    assert zero['golden_goose_promotion_lead_time_seconds_count{service="service-a"}'] == 0
    story.build()
    story.later(hours=2)
    promotion = story.promote()
    story.step(promotion, "rolled_back", digest=None)
    story.later(hours=1)
    story.promote(digest=OTHER_DIGEST)
    found = series(story)
    assert found['golden_goose_promotions_completed_total{service="service-a"}'] == 2
    assert found['golden_goose_promotions_undone_total{kind="rolled_back",service="service-a"}'] == 1
    lead, restore = "golden_goose_promotion_lead_time_seconds", "golden_goose_promotion_restore_seconds"
    assert found[f'{lead}_bucket{{le="3600.0",service="service-a"}}'] == 0
    assert found[f'{lead}_bucket{{le="14400.0",service="service-a"}}'] == 1
    assert (found[f'{lead}_sum{{service="service-a"}}'], found[f'{lead}_count{{service="service-a"}}']) == (7200, 1)
    assert found[f'{restore}_bucket{{le="3600.0",service="service-a"}}'] == 1
    assert found[f'{restore}_sum{{service="service-a"}}'] == 3600


def test_counters_of_a_ledger_that_cannot_be_believed_are_absent_and_not_zero(story: Story) -> None:
    story.promote()
    story.edit(b'"verdict":"allow"', b'"verdict":"alloW"')
    found = series(story)
    assert found["golden_goose_audit_chain_intact"] == 0
    assert not [name for name in found if "golden_goose_promotion_" in name or "golden_goose_promotions_" in name]
