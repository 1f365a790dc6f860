# Copyright: Contributors to Golden Goose
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long ordering and sealing a plan takes. Usage: python -m bench.promotion_planning

Each size is measured as the median of five runs; linear means that the time for each edge stays the same.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.order import DEPENDENCY, waves
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.plan import Requester, seal
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.policy import Policy

SIZES = (2_500, 5_000, 10_000, 20_000)
TARGET_SIZE, TARGET_SECONDS = 10_000, 1.0
_RUNS = 5


def graph(size: int) -> dict[str, list[str]]:
    """Return a graph in which each service depends on up to three of those before it."""
    return {f"s{n}": sorted({f"s{m}" for m in (n // 2, n // 3, n // 5) if m < n}) for n in range(size)}


def items(dependencies: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
    """Return what a plan says of each service, as long as that of service-a."""
    digest = f"sha256:{'1' * 64}"
    common = {
        "digest": digest,
        "sandbox": digest,
        "image": f"golden-goose.local/service-a@{digest}",
        "source_sha256": "0" * 64,
        "thresholds": {"max_high": 0, "max_medium": 0, "min_percent": 90, "min_ready": 1, "soak_seconds": 0},
    }
    return {name: {**common, "dependencies": needs} for name, needs in dependencies.items()}


def measure(size: int) -> tuple[int, float, float]:
    """Return (edges, seconds to order, seconds to order, seal and hash)."""
    dependencies = graph(size)
    described = items(dependencies)
    ordering, sealing = [], []
    for run in range(_RUNS):
        began = time.perf_counter()
        waves(dependencies, DEPENDENCY)
        ordered = time.perf_counter()
        assert len(seal(described, Policy(order=DEPENDENCY), Requester(f"run-{run}")).sha256) == 64
        ordering.append(ordered - began)
        sealing.append(time.perf_counter() - ordered)
    return sum(map(len, dependencies.values())), statistics.median(ordering), statistics.median(sealing)


def main() -> None:
    """Print a table and whether the target is met."""
    print(f"{'services':>9} {'edges':>7} {'order s':>9} {'seal s':>8} {'us/edge':>8}")
    for size in SIZES:
        edges, ordering, sealing = measure(size)
        print(f"{size:>9} {edges:>7} {ordering:>9.3f} {sealing:>8.3f} {sealing / edges * 1e6:>8.2f}")
        if size == TARGET_SIZE:
            met = "met" if sealing < TARGET_SECONDS else "MISSED"
            print(f"{'':>9} target: {TARGET_SECONDS:g} s for {TARGET_SIZE} services, {met}")


if __name__ == "__main__":
    main()
