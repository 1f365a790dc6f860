# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets: order, all or nothing and no double effect hold over random graphs, failures and repeated runs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion import evaluate as evaluation
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import COMPLIANT, REQUIRED_GATES
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.policy import Policy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import D1, D2, D3, Bench, fake_gate

DIGESTS = {"a": D1, "b": D2, "c": D3}


def three(bench: Bench, **policy: Any) -> Bench:
    """Make c depend on b, and b on a."""
    bench.policy = Policy(order="dependency", **policy)
    bench.add("a", D1, [])
    bench.add("b", D2, ["a"])
    bench.add("c", D3, ["b"])
    return bench


def compliant(bench: Bench) -> dict[str, str | None]:
    return {name: bench.cluster.digest(COMPLIANT, name) for name in DIGESTS}


def rollouts(bench: Bench) -> list[str]:
    return [write.split()[-1] for write in bench.cluster.writes if write.startswith("apply Deployment")]


def test_a_set_goes_in_the_order_of_its_dependencies(bench: Bench) -> None:
    settled = three(bench).play_set(["c", "a", "b"])
    assert settled.missing == []
    assert rollouts(bench) == ["a", "b", "c"]
    assert {item["outcome"] for item in settled.outcomes.values()} == {"compliant"}
    assert settled.outcomes["c"]["hash_chain_id"]
    assert {data["plan"] for data in bench.entries()} == {settled.plan.sha256}
    before = bench.events()
    assert bench.play_set(["a", "b", "c"]).missing == []
    assert bench.events() == before


@pytest.mark.parametrize(
    ("on_failure", "expected"),
    [
        ("stop", {"a": D1, "b": None, "c": None, "d": None}),
        ("continue", {"a": D1, "b": None, "c": None, "d": D1}),
        ("all_or_nothing", {"a": None, "b": None, "c": None, "d": None}),
    ],
)
def test_when_one_does_not_become_healthy(bench: Bench, on_failure: str, expected: dict[str, str | None]) -> None:
    three(bench, on_failure=on_failure)
    bench.add("d", D1, ["x"])
    bench.add("x", D1, ["a"])
    bench.cluster.broken.add(D2)
    settled = bench.play_set(["a", "b", "c", "d", "x"])
    assert {name: bench.cluster.digest(COMPLIANT, name) for name in expected} == expected
    assert "b" in settled.missing and "c" in settled.missing
    assert "b is not (failed: b in compliant did not become healthy" in settled.sentence()
    images = {f"golden-goose.local/{name}@{digest}" for name, digest in expected.items() if digest}
    assert images <= bench.cluster.admitted
    assert not any("/b@" in image for image in bench.cluster.admitted)


def test_when_a_gate_denies_one_of_all_or_nothing_nothing_is_rolled_out(
    bench: Bench, gate_verdicts: dict[str, str]
) -> None:
    three(bench, on_failure="all_or_nothing")
    gate_verdicts["sast:c"] = "deny"
    bench.play_set(["a", "b", "c"])
    assert bench.cluster.writes == []
    assert compliant(bench) == dict.fromkeys(DIGESTS)
    held = [data["reason"] for data in bench.entries() if data["event"] == "refused" and data["service"] == "a"]
    assert held == ["a is not promoted: c of the same plan is denied by sast."]
    gate_verdicts["sast:c"] = "allow"
    assert bench.play_set(["a", "b", "c"]).missing == []


def test_all_or_nothing_goes_back_to_what_was_compliant_before(bench: Bench) -> None:
    three(bench)
    assert bench.play_set(["a", "b", "c"]).missing == []
    bench.policy = Policy(order="dependency", on_failure="all_or_nothing")
    news = {name: f"sha256:{digit * 64}" for name, digit in zip("abc", "789", strict=True)}
    for name, digest in news.items():
        bench.cluster.run("sandbox", name, digest)
    bench.cluster.broken.add(news["c"])
    settled = bench.play_set(["a", "b", "c"])
    assert compliant(bench) == DIGESTS
    assert settled.taken_back == ["b", "a"]
    assert [data["service"] for data in bench.entries() if data["event"] == "rolled_back"] == ["c", "b", "a"]
    assert bench.cluster.admitted == {f"golden-goose.local/{name}@{digest}" for name, digest in DIGESTS.items()}


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(2, 5))
    names = [f"s{number}" for number in range(count)]
    graph = {
        name: sorted(draw(st.sets(st.sampled_from(names[:place]), max_size=2))) if place else []
        for place, name in enumerate(names)
    }
    return {
        "graph": graph,
        "on_failure": draw(st.sampled_from(["stop", "continue", "all_or_nothing"])),
        "unhealthy": draw(st.sets(st.sampled_from(names), max_size=2)),
        "denied": draw(st.sets(st.sampled_from(names), max_size=1)),
        "repaired": draw(st.booleans()),
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_over_random_graphs_and_failures(world: dict[str, Any]) -> None:
    verdicts = dict.fromkeys(REQUIRED_GATES, "allow") | {f"sast:{name}": "deny" for name in world["denied"]}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        fakes = {name: fake_gate(name, verdicts) for name in REQUIRED_GATES}
        patched.setattr(evaluation, "GATES", fakes)
        bench = Bench(Path(folder), policy=Policy(order="dependency", on_failure=world["on_failure"]))
        graph = world["graph"]
        digests = {name: f"sha256:{str(place + 1) * 64}" for place, name in enumerate(graph)}
        for name, dependencies in graph.items():
            bench.add(name, digests[name], dependencies)
        bench.cluster.broken = {digests[name] for name in world["unhealthy"]}
        settled = bench.play_set(list(graph))
        _check(bench, world, digests, settled)
        if world["repaired"]:
            bench.cluster.broken = set()
            for name in world["denied"]:
                del verdicts[f"sast:{name}"]
            settled = bench.play_set(list(graph))
            assert settled.missing == []
            _check(bench, world | {"unhealthy": set(), "denied": set()}, digests, settled)
        # Once settled, running it again has no effect but trying what failed.
        if not settled.missing:
            before = (bench.events(), list(bench.cluster.writes))
            bench.play_set(list(graph))
            assert (bench.events(), bench.cluster.writes) == before


def _check(bench: Bench, world: dict[str, Any], digests: dict[str, str], settled: Any) -> None:
    running = {name: bench.cluster.digest(COMPLIANT, name) for name in digests}
    bad = world["unhealthy"] | world["denied"]
    assert all(running[name] is None for name in bad)
    if world["on_failure"] == "all_or_nothing":
        assert set(running.values()) in ({None}, set(digests.values()))
        assert (set(running.values()) == {None}) == bool(bad)
    completed = [data["service"] for data in bench.entries() if data["event"] == "completed"]
    for name, dependencies in world["graph"].items():
        if name in completed:
            assert all(dependency in completed[: completed.index(name)] for dependency in dependencies)
    reached = [name for name in world["graph"] if running[name]]
    if world["on_failure"] == "continue":
        blocked = set(bad)
        for name in sorted(world["graph"], key=lambda n: int(n[1:])):
            if blocked & set(world["graph"][name]):
                blocked.add(name)
        assert set(reached) == set(world["graph"]) - blocked
    # No step of a promotion is there twice.
    steps = [
        (data["promotion_id"], data["event"])
        for data in bench.entries()
        if "promotion_id" in data and data.get("final", True)
    ]
    assert len(steps) == len(set(steps))
    assert sorted(settled.missing) == sorted(name for name in digests if not running[name])
    assert bench.cluster.admitted == {f"golden-goose.local/{name}@{digests[name]}" for name in reached}
