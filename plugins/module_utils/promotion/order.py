# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The order of a set: in a line by name, or along the graph of ``dependencies``, in waves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import List  # noqa: UP035 - the requirements give this signature word for word

from .model import Refused

LINEAR = "linear"
DEPENDENCY = "dependency"
ORDERS = (LINEAR, DEPENDENCY)


class DependencyResolver:
    """Sprint 1 promotes in a line; the graph in ``service.yml`` is recorded, not yet followed."""

    def compute_promotion_order(self, services: List[str]) -> List[str]:  # noqa: UP006
        """Sprint 1: Returns simple linear order"""
        return sorted(services)  # Basic implementation for POC


def waves(graph: Mapping[str, Iterable[str]], order: str, known: Iterable[str] = ()) -> list[list[str]]:
    """Return the services of ``graph`` in waves; the members of one wave may be promoted side by side.

    ``linear`` is one service a wave, by name. In ``dependency`` a service stands in the first wave after all
    of those in the graph that it depends on; within a wave they stand by name. The work is linear in
    services and dependencies, but for sorting.

    :param graph: the services of the set, each with the names it depends on.
    :param known: names of services outside of the set that may be depended on.
    :raises Refused: a dependency is not known, or services depend on each other in a circle; by name.
    """
    if order == LINEAR:
        return [[name] for name in DependencyResolver().compute_promotion_order(list(graph))]
    dependents, missing = _dependents(graph, frozenset(known))
    found: list[list[str]] = []
    current = sorted(name for name, count in missing.items() if count == 0)
    while current:
        found.append(current)
        following = []
        for name in current:
            for dependent in dependents.get(name, ()):
                missing[dependent] -= 1
                if missing[dependent] == 0:
                    following.append(dependent)
        current = sorted(following)
    if sum(map(len, found)) < len(graph):
        circle = " → ".join(_circle(graph, {name for name, count in missing.items() if count > 0}))
        raise Refused(f"The services depend on each other in a circle: {circle}; take one dependency out.")
    return found


def _dependents(
    graph: Mapping[str, Iterable[str]], known: frozenset[str]
) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Return who depends on each service, and on how many of the set each depends."""
    dependents: dict[str, list[str]] = {}
    missing = dict.fromkeys(graph, 0)
    for name, dependencies in graph.items():
        for dependency in set(dependencies):
            if dependency in graph:
                dependents.setdefault(dependency, []).append(name)
                missing[name] += 1
            elif dependency not in known:
                raise Refused(
                    f"{name} depends on '{dependency}', and there is no such service; correct its service.yml."
                )
    return dependents, missing


def _circle(graph: Mapping[str, Iterable[str]], stuck: set[str]) -> list[str]:
    """Return one circle among ``stuck``, whose members all depend on another of them."""
    path: list[str] = []
    place: dict[str, int] = {}
    name = min(stuck)
    while name not in place:
        place[name] = len(path)
        path.append(name)
        name = min(dependency for dependency in graph[name] if dependency in stuck)
    return [*path[place[name] :], name]
