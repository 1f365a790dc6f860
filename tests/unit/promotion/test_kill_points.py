# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed at every boundary and inside every step, and run again: the same cluster and the same evidence.

The effects of a run (entries, objects, signatures, changes of the cluster, heads kept in the second place) are numbered
in the order in which they happen, and so are the system calls that write; a kill comes before each of them in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger, freeze
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion import evaluate as evaluation
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.gates.chain import chain
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import COMPLIANT, SANDBOX
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.rollback import roll_back

from .conftest import D1, D2, METADATA, Bench, FakeCluster, Killed
from .kills import SYSTEM_CALLS, Keeping, Killer, Scenario, again, calm, killed_before_each


def first_promotion(bench: Bench) -> Callable[[], Any]:
    return bench.play


def next_promotion(bench: Bench) -> Callable[[], Any]:
    extra = bench.root / "services" / "svc" / "deploy" / "config.yaml.j2"
    extra.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old}\n")
    bench.promoted(D1)
    extra.unlink()
    bench.cluster.run(SANDBOX, "svc", D2)
    return bench.play


def first_rollout_unhealthy(bench: Bench) -> Callable[[], Any]:
    bench.cluster.broken.add(D1)
    return bench.play


def next_rollout_unhealthy(bench: Bench) -> Callable[[], Any]:
    bench.promoted(D1)
    bench.cluster.run(SANDBOX, "svc", D2)
    bench.cluster.broken.add(D2)
    return bench.play


def rollback(bench: Bench) -> Callable[[], Any]:
    bench.promoted(D1, D2)
    return lambda: roll_back(bench.promoter, "svc", "it is slow")


def removal(bench: Bench) -> Callable[[], Any]:
    bench.promoted(D1)
    return lambda: roll_back(bench.promoter, "svc", "it is wrong", remove=True)


SCENARIOS = [
    first_promotion,
    next_promotion,
    first_rollout_unhealthy,
    next_rollout_unhealthy,
    rollback,
    removal,
]


def compliant_objects(bench: Bench) -> set[tuple[str, str]]:
    return {(kind, name) for namespace, kind, name in bench.cluster.objects if namespace == COMPLIANT}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_anywhere_and_run_again_it_ends_the_same(
    scenario: Scenario, tmp_path: Path, gate_verdicts: dict[str, str]
) -> None:
    expected, effects = calm(scenario, tmp_path / "calm")
    assert len(effects) > 1
    killed_before_each(scenario, tmp_path, expected, effects)


@pytest.mark.parametrize("half", [False, True])
def test_killed_inside_of_any_step_it_ends_the_same(
    half: bool, tmp_path: Path, gate_verdicts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a kill leaves must not turn this gate against the artifact.
    monkeypatch.setitem(evaluation.GATES, "chain", chain)
    expected, calls = calm(first_promotion, tmp_path / "calm", SYSTEM_CALLS)
    for number, name in enumerate(calls):
        if half and name != "pwrite":
            continue  # What it would do is done, or it is not.
        bench, found = again(first_promotion, tmp_path / str(number), Killer(number, SYSTEM_CALLS, half), expected)
        assert found == expected, f"before system call {number} ({name})"
        bench.assert_kept()


def frozen_between(bench: Bench) -> Callable[[], Any]:
    """A play in the middle of which another run freezes the ledger: after the request, and after the rollout."""

    def play() -> Any:
        promoter = bench.promoter
        if promoter.request("svc", None, "tester").outcome != "unchanged":
            freezing(bench, 2)
            promoter.evaluate("svc", bench.scanners, bench.policy.gates)
            promoter.promote("svc")
        freezing(bench, 3)
        return bench.play()

    return play


def freezing(bench: Bench, segment: int) -> None:
    assert isinstance(bench, Keeping)
    ledger = Ledger.open(bench.root / "ledger")
    if ledger.number < segment:
        freeze(ledger, bench.second, METADATA, segment)


def test_killed_anywhere_in_a_ledger_that_is_frozen_meanwhile(tmp_path: Path, gate_verdicts: dict[str, str]) -> None:
    undisturbed, _effects = calm(first_promotion, tmp_path / "undisturbed")
    expected, effects = calm(frozen_between, tmp_path / "calm")
    assert expected == undisturbed
    assert effects.count("write") > 4
    for bench in killed_before_each(frozen_between, tmp_path, expected, effects):
        assert bench.evidence.ledger.number == 3


def test_killed_in_the_middle_of_an_apply_the_rest_is_applied(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = bench.root / "services" / "svc" / "deploy" / "config.yaml.j2"
    extra.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n")
    whole = FakeCluster.apply

    def half(self: FakeCluster, objects: list[dict[str, Any]], dry_run: bool = False) -> None:
        whole(self, objects[:1], dry_run)
        if not dry_run:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(FakeCluster, "apply", half)
        with pytest.raises(Killed):
            bench.play()
    assert bench.compliant_digest() is None
    assert bench.play().outcome == "compliant"
    assert compliant_objects(bench) == {("ConfigMap", "settings"), ("Deployment", "svc")}
    assert bench.events().count("started") == 1
