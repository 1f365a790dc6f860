# Copyright: Contributors to Golden Goose
# SPDX-License-Identifier: GPL-3.0-or-later
"""The things that are measured; each returns seconds (or bytes) and leaves nothing behind but its ledger."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Head, Ledger, verify

ORIGIN = "example.test/bench"
METADATA: dict[str, Any] = {
    "sprint": "1",
    "provisional": True,
    "mesh_enforcement": "pending",
    "label": "compliance flow POC",
    "tags": ["sprint1_poc"],
}
_BLOCK = 1 << 21


@dataclass(frozen=True)
class Cost:
    """Seconds on the wall, and of all processors together."""

    wall: float
    cpu: float


def item(number: int, id: str | None = None) -> dict[str, Any]:
    """Return an entry whose line has about 600 bytes."""
    data = {
        "service": "service-a",
        "digest": "sha256:" + "a" * 64,
        "gate": "coverage",
        "verdict": "allow",
        "reason": "coverage ok",
        "observed": 87.5,
        "n": number,
    }
    return {"type": "validation", "event": "coverage", "data": data, "metadata": METADATA, "id": id}


def measured(what: Callable[[], Any]) -> Cost:
    """Run ``what`` once; processes that it starts and waits for count too."""
    before, start = os.times(), time.perf_counter()
    what()
    wall, after = time.perf_counter() - start, os.times()
    return Cost(wall, sum(after[:4]) - sum(before[:4]))


def fill(folder: Path, count: int, group: int) -> Ledger:
    """Make a ledger of ``count`` entries, added in groups."""
    ledger = Ledger.create(folder, ORIGIN)
    for start in range(ledger.head().size, count, group):
        ledger.append_many([item(number) for number in range(start, min(start + group, count))])
    return ledger


def raw_write(file: Path, count: int) -> list[float]:
    """Return the seconds of ``count`` writes of 600 bytes, each with an fsync."""
    descriptor, line, took = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), b"x" * 599 + b"\n", []
    try:
        for number in range(count):
            start = time.perf_counter()
            os.pwrite(descriptor, line, number * len(line))
            os.fsync(descriptor)
            took.append(time.perf_counter() - start)
    finally:
        os.close(descriptor)
        file.unlink()
    return took


def single(ledger: Ledger) -> float:
    """Return the seconds of one durable append with an id of the caller's."""
    said = item(0, str(uuid.uuid4()))
    start = time.perf_counter()
    ledger.append(**said)
    return time.perf_counter() - start


def incremental(ledger: Ledger, trusted: Head) -> float:
    """Return the seconds of verifying what came after ``trusted``."""
    start = time.perf_counter()
    report = verify(ledger.path, ORIGIN, trusted=trusted)
    took = time.perf_counter() - start
    if not report.intact:
        raise SystemExit(report.sentence())
    return took


def alternating(first: Callable[[], float], second: Callable[[], float], count: int) -> tuple[float, float]:
    """Return the medians of two measurements made in turn, so that both see the same machine."""
    pairs = [(first(), second()) for _round in range(count)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def two_passes(file: Path, by_line: bool) -> None:
    """Hash all of ``file`` twice with hashlib on all cores: in blocks, or line by line as a verifier has to."""
    size, workers = file.stat().st_size, len(os.sched_getaffinity(0))
    children = []
    for number in range(workers):
        if (child := os.fork()) == 0:
            try:
                _hash(file, size * number // workers, size * (number + 1) // workers, by_line)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def _hash(file: Path, start: int, end: int, by_line: bool) -> None:
    sha256 = hashlib.sha256
    descriptor = os.open(file, os.O_RDONLY)
    while start < end:
        block = os.pread(descriptor, min(_BLOCK, end - start), start)
        start += len(block)
        for part in block.split(b"\n") if by_line else (block,):
            sha256(part).digest()
            sha256(part).digest()


def full_verification(folder: Path) -> dict[str, float]:
    """Verify in a fresh process; return its wall and cpu seconds and the memory of it and its workers, in MB."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.parts", str(folder)], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _verify_here(folder: Path) -> None:
    cost = measured(lambda: verify_or_fail(folder))
    # Pages that workers share with their parent are counted for each: the true figure is lower.
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    memory = (own + len(os.sched_getaffinity(0)) * worker) / 1024
    print(json.dumps({"wall": cost.wall, "cpu": cost.cpu, "memory_mb": memory}))


def verify_or_fail(folder: Path) -> None:
    """Verify all of the ledger in ``folder``.

    :raises SystemExit: it does not hold.
    """
    report = verify(folder, ORIGIN)
    if not report.intact:
        raise SystemExit(report.sentence())


if __name__ == "__main__":
    _verify_here(Path(sys.argv[1]))
