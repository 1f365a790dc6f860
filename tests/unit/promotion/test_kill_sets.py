# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set that is killed at any effect and run again ends the same, with the same evidence."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.policy import Policy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import D1, D2, D3, Bench
from .kills import Killer, Scenario, again, calm, killed_before_each


def two(bench: Bench, **policy: Any) -> Callable[[], Any]:
    """Make b depend on a; return what promotes both."""
    bench.policy = Policy(order="dependency", **policy)
    bench.add("a", D1, [])
    bench.add("b", D2, ["a"])
    return lambda: bench.play_set(["a", "b"])


def healthy(bench: Bench) -> Callable[[], Any]:
    return two(bench, on_failure="all_or_nothing")


def all_or_nothing(bench: Bench) -> Callable[[], Any]:
    bench.cluster.broken.add(D2)
    return two(bench, on_failure="all_or_nothing")


def all_or_nothing_with_a_version_before(bench: Bench) -> Callable[[], Any]:
    two(bench)()
    bench.cluster.run("sandbox", "a", D3)
    bench.cluster.run("sandbox", "b", D3)
    bench.cluster.broken.add(D3.replace("3", "4"))
    bench.cluster.run("sandbox", "b", D3.replace("3", "4"))
    bench.policy = Policy(order="dependency", on_failure="all_or_nothing")
    return lambda: bench.play_set(["a", "b"])


def continuing(bench: Bench) -> Callable[[], Any]:
    """Waves of one after the other: a fails, b depends on it, c goes on without."""
    bench.cluster.broken.add(D1)
    two(bench, on_failure="continue")
    bench.add("c", D3, [])
    return lambda: bench.play_set(["a", "b", "c"])


@pytest.mark.parametrize("scenario", [healthy, all_or_nothing, all_or_nothing_with_a_version_before])
def test_killed_anywhere_and_run_again_it_ends_the_same(
    scenario: Scenario, tmp_path: Path, gate_verdicts: dict[str, str]
) -> None:
    expected, effects = calm(scenario, tmp_path / "calm")
    assert len(effects) > 20
    killed_before_each(scenario, tmp_path, expected, effects)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 60))
def test_what_goes_on_without_the_failed_one_ends_the_same_as_well(gate_verdicts: dict[str, str], at: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        expected, effects = calm(continuing, Path(folder, "calm"))
        bench, found = again(continuing, Path(folder, "killed"), Killer(at % len(effects)), expected)
        assert (found["objects"], found["admitted"]) == (expected["objects"], expected["admitted"])
        # The failed one may have been tried once more, under a promotion of its own; the others were not.
        for name in ("b", "c"):
            assert of(found, name) == of(expected, name)
        tried = [said["event"] for said in of(found, "a")]
        once = [said["event"] for said in of(expected, "a")]
        assert tried in (once, once * 2)
        bench.assert_kept()


def of(found: dict[str, Any], service: str) -> list[dict[str, Any]]:
    """Return what the evidence says of one service, whatever the number of its promotion."""
    said = [one for one in found["evidence"] if one.get("service") == service]
    return [{key: value for key, value in one.items() if key != "promotion"} for one in said]
