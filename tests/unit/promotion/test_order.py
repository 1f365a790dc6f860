# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Order: the line of Sprint 1, and waves along the graph; circles and unknown names are refused by name."""

from __future__ import annotations

import re
import time

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import Refused
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.order import waves
from hypothesis import given
from hypothesis import strategies as st


def test_linear_is_the_line_of_sprint_1_and_does_not_follow_the_graph() -> None:
    assert waves({"b": [], "c": ["nobody"], "a": ["b"]}, "linear") == [["a"], ["b"], ["c"]]


def test_a_service_comes_in_the_first_wave_after_what_it_depends_on() -> None:
    graph = {"d": ["b", "c"], "c": ["a"], "b": ["a"], "a": [], "x": []}
    assert waves(graph, "dependency") == [["a", "x"], ["b", "c"], ["d"]]


def test_a_dependency_outside_of_the_set_is_fine_when_it_is_known() -> None:
    assert waves({"b": ["a"]}, "dependency", known=["a", "b"]) == [["b"]]
    with pytest.raises(Refused, match="b depends on 'a', and there is no such service"):
        waves({"b": ["a"]}, "dependency", known=["b"])


@pytest.mark.parametrize(
    ("graph", "circle"),
    [
        ({"a": ["a"]}, "a → a"),
        ({"a": ["b"], "b": ["a"], "c": []}, "a → b → a"),
        ({"a": ["b"], "b": ["c"], "c": ["d"], "d": ["b"]}, "b → c → d → b"),
    ],
)
def test_a_circle_is_refused_by_name(graph: dict[str, list[str]], circle: str) -> None:
    with pytest.raises(Refused, match=re.escape(f"in a circle: {circle};")):
        waves(graph, "dependency")


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, list[str]]:
    count = draw(st.integers(1, 12))
    names = draw(st.permutations([f"s{number}" for number in range(count)]))
    return {
        name: draw(st.lists(st.sampled_from(names[:place]), max_size=3)) if place else []
        for place, name in enumerate(names)
    }


@given(acyclic())
def test_every_service_is_there_once_and_after_all_it_depends_on(graph: dict[str, list[str]]) -> None:
    found = waves(graph, "dependency")
    place = {name: number for number, wave in enumerate(found) for name in wave}
    assert sorted(name for wave in found for name in wave) == sorted(graph)
    for name, dependencies in graph.items():
        assert all(place[dependency] < place[name] for dependency in dependencies)
        # No later than needed: something it depends on stands in the wave just before.
        assert place[name] == max((place[dependency] + 1 for dependency in dependencies), default=0)


@given(acyclic())
def test_it_does_not_depend_on_the_order_of_the_input(graph: dict[str, list[str]]) -> None:
    assert waves(dict(reversed(graph.items())), "dependency") == waves(graph, "dependency")


def test_ten_thousand_services_take_well_below_a_second() -> None:
    graph = {f"s{n}": [f"s{n // 2}", f"s{n // 3}"] if n else [] for n in range(10_000)}
    began = time.perf_counter()
    assert sum(map(len, waves(graph, "dependency"))) == 10_000
    assert time.perf_counter() - began < 1
