# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed at every boundary and run again: the same cluster and the same evidence as without the kill.

The effects of a run (entries, objects, signatures, changes of the cluster) are numbered in the order in which
they happen. For each number there are two kills, just before the effect and just after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger, Objects
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.engine import RolloutFailed
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import COMPLIANT, SANDBOX
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.rollback import roll_back

from .conftest import D1, D2, Bench, FakeCluster, FakeSigner, Killed

EFFECTS: list[tuple[type, str]] = [
    (Ledger, "append"),
    (Objects, "put_bytes"),
    (FakeSigner, "sign"),
    (FakeCluster, "apply"),
    (FakeCluster, "delete"),
    (FakeCluster, "admit"),
    (FakeCluster, "dismiss"),
]


class Killer:
    """Counts effects, and kills before or after one of them."""

    def __init__(self, at: int | None = None, after: bool = False) -> None:
        self.at, self.after, self.count, self.log = at, after, 0, list[str]()

    def arm(self, monkeypatch: pytest.MonkeyPatch, effects: Sequence[tuple[type, str]] = EFFECTS) -> None:
        for owner, name in effects:
            monkeypatch.setattr(owner, name, self._wrap(getattr(owner, name), name))

    def _wrap(self, effect: Callable[..., Any], name: str) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if options.get("dry_run"):
                return effect(*arguments, **options)
            number, self.count = self.count, self.count + 1
            self.log.append(name)
            if number == self.at and not self.after:
                raise Killed
            result = effect(*arguments, **options)
            if number == self.at:
                raise Killed
            return result

        return wrapped


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


def run(action: Callable[[], Any]) -> None:
    with suppress(RolloutFailed):
        action()


def compliant_objects(bench: Bench) -> set[tuple[str, str]]:
    return {(kind, name) for namespace, kind, name in bench.cluster.objects if namespace == COMPLIANT}


def fresh(folder: Path) -> Bench:
    folder.mkdir()
    bench = Bench(folder)
    bench.cluster.run(SANDBOX, "svc", D1)
    return bench


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_anywhere_and_run_again_it_ends_the_same(
    scenario: Callable[[Bench], Callable[[], Any]],
    tmp_path: Path,
    gate_verdicts: dict[str, str],
) -> None:
    calm = fresh(tmp_path / "calm")
    action, counter = scenario(calm), Killer()
    with pytest.MonkeyPatch.context() as patched:
        counter.arm(patched)
        run(action)
    expected = (calm.events(), calm.compliant_digest(), compliant_objects(calm), calm.cluster.admitted)
    assert counter.count > 1

    for number in range(counter.count):
        for after in (False, True):
            where = f"{'after' if after else 'before'} effect {number} ({counter.log[number]})"
            bench = fresh(tmp_path / f"{number}-{after}")
            action = scenario(bench)
            with pytest.MonkeyPatch.context() as patched:
                Killer(number, after).arm(patched)
                with pytest.raises(Killed):
                    action()
            # A kill after the last entry leaves nothing to finish; a failed promotion would only be tried anew.
            if bench.events() != expected[0]:
                run(action)
            ended = (bench.events(), bench.compliant_digest(), compliant_objects(bench), bench.cluster.admitted)
            assert ended == expected, where
            assert bench.evidence.require_sound().state == "intact", where


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
