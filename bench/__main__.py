# Copyright: Contributors to Golden Goose
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure, print a table, keep it as JSON in .cache/bench. Usage: python -m bench [folder on the disk to measure]

A ratio that misses its target is printed as such; the exit status says only whether everything could be measured.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Head, Ledger, anchor, fastjson

from tests.unit.ledger.second_place import Memory

from . import parts

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "bench"
LARGE, SMALL, GROUPED, GROUP, LINE = 1_000_000, 1_000, 50_000, 1_000, 600
NEW = 100
GO_CACHE = Path("/var/cache/golden-goose")


@dataclass(frozen=True)
class Row:
    """One ratio; ``at_most`` says on which side of ``target`` it should be, where there is one."""

    name: str
    ours: str
    other: str
    ratio: float
    target: float | None
    at_most: bool

    @property
    def met(self) -> bool:
        if self.target is None:
            return True
        return self.ratio <= self.target if self.at_most else self.ratio >= self.target


def tessera(work: Path) -> parts.Cost:
    """Return what Tessera's POSIX library needs for the same."""
    program = CACHE / "tessera"
    environment = {**os.environ, "GOCACHE": f"{GO_CACHE}/go-build", "GOMODCACHE": f"{GO_CACHE}/go-mod"}
    source = Path(__file__).parent / "tessera"
    subprocess.run(["go", "build", "-o", str(program), "."], cwd=source, env=environment, check=True)
    command = [str(program), str(work / "tessera-log"), str(GROUPED), str(LINE), str(GROUP)]
    try:
        before = os.times()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        after = os.times()
    finally:
        shutil.rmtree(work / "tessera-log", ignore_errors=True)
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return parts.Cost(float(json.loads(done.stdout)["seconds"]), cpu)


def grouped(work: Path) -> float:
    folder = work / "grouped"
    ledger = Ledger.create(folder, parts.ORIGIN)
    start = time.perf_counter()
    for first in range(0, GROUPED, GROUP):
        ledger.append_many([parts.item(number) for number in range(first, first + GROUP)])
    took = time.perf_counter() - start
    shutil.rmtree(folder)
    return took


def groups(work: Path) -> list[Row]:
    """Three times each, in turn; the best of each. Time of processors tells where other work keeps the machine busy."""
    if shutil.which("go") is None:
        print("Go is not installed: groups are not compared with Tessera.")
        return []
    pairs = [(grouped(work), parts.measured(lambda: grouped(work)), tessera(work)) for _round in range(3)]
    name = f"{GROUPED:,} durable entries of {LINE} bytes, groups of {GROUP:,}: times as fast as Tessera's POSIX library"
    ours, other = min(pair[0] for pair in pairs), min(pair[2].wall for pair in pairs)
    rows = [Row(f"{name} (wall time)", f"{ours:.2f} s", f"{other:.2f} s", other / ours, 2.0, at_most=False)]
    ours, other = min(pair[1].cpu for pair in pairs), min(pair[2].cpu for pair in pairs)
    return [*rows, Row(f"{name} (cpu time)", f"{ours:.2f} s", f"{other:.2f} s", other / ours, 2.0, at_most=False)]


def one_append(work: Path) -> Row:
    ledger = parts.fill(work / "one", SMALL, GROUP)
    raw: list[float] = []
    own: list[float] = []
    for _round in range(5):
        raw += parts.raw_write(work / "raw", 60)
        own += [parts.single(ledger) for _round in range(60)]
    shutil.rmtree(work / "one")
    ours, other = statistics.median(own), statistics.median(raw)
    return Row(
        "one durable append, warm: times a bare write+fsync (median)",
        f"{ours * 1e6:.0f} us",
        f"{other * 1e6:.0f} us",
        ours / other,
        2.0,
        at_most=True,
    )


def verification(large: Ledger) -> list[Row]:
    file = large.entries_path
    parts.two_passes(file, by_line=False)  # The file is in the page cache for all of them.
    runs = [
        (
            parts.full_verification(large.path),
            parts.measured(lambda: parts.two_passes(file, by_line=True)),
            parts.measured(lambda: parts.two_passes(file, by_line=False)),
        )
        for _round in range(3)
    ]
    rows = []
    for place, name in ((1, "line by line"), (2, "in blocks of 2 MiB")):
        for clock in ("wall", "cpu"):
            ours = min(run[0][clock] for run in runs)
            other = min(getattr(run[place], clock) for run in runs)
            rows.append(
                Row(
                    f"verify {LARGE:,} entries: share of the speed of two SHA-256 passes {name} ({clock} time)",
                    f"{ours:.2f} s",
                    f"{other:.2f} s",
                    other / ours,
                    0.5,
                    at_most=False,
                )
            )
    memory = max(run[0]["memory_mb"] for run in runs)
    rows.append(Row("memory of that, all processes (MB)", f"{memory:.0f} MB", "", memory, 150.0, at_most=True))
    return rows


def growth(work: Path, large: Ledger) -> list[Row]:
    small = parts.fill(work / "small", SMALL, GROUP)
    ours, other = parts.alternating(lambda: parts.single(large), lambda: parts.single(small), 300)
    rows = [_grown("one durable append", ours, other)]
    heads = []
    for ledger in (large, small):
        entries = ledger.append_many([parts.item(number) for number in range(NEW + 1)])
        heads.append(Head(entries[0].entry.sequence + 1, entries[0].entry.hash))
    ours, other = parts.alternating(
        lambda: parts.incremental(large, heads[0]), lambda: parts.incremental(small, heads[1]), 30
    )
    rows.append(_grown(f"incremental verification of {NEW} new entries", ours, other))
    shutil.rmtree(work / "small")
    return rows


def tree(work: Path, large: Ledger) -> list[Row]:
    """Sign a ledger that was never signed, sign it again after one more entry, and verify it with its tree."""
    folder = work / "tree"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(large.path, folder)
    ledger, second = Ledger.open(folder), Memory()
    passes = parts.measured(lambda: parts.two_passes(ledger.entries_path, by_line=True)).cpu
    first = parts.measured(lambda: anchor(ledger, second, parts.METADATA)).cpu
    ledger.append(**parts.item(LARGE))
    again = parts.measured(lambda: anchor(ledger, second, parts.METADATA)).cpu
    full = parts.full_verification(folder)["cpu"]
    shutil.rmtree(folder)
    name = f"{{}} {LARGE:,} entries: times two SHA-256 passes line by line (cpu time)"
    return [
        Row(name.format(what), f"{ours:.2f} s", f"{passes:.2f} s", ours / passes, None, at_most=True)
        for what, ours in (
            ("first tree, tiles and checkpoint of", first),
            ("next checkpoint, one entry later, of", again),
            ("verify, with tree and checkpoint,", full),
        )
    ]


def _grown(what: str, ours: float, other: float) -> Row:
    name = f"{what}: times the cost at {SMALL:,} when there are {LARGE:,} (median)"
    return Row(name, f"{ours * 1e6:.0f} us", f"{other * 1e6:.0f} us", ours / other, 1.3, at_most=True)


def report(rows: list[Row]) -> None:
    for row in rows:
        bound = "no target" if row.target is None else f"{'at most' if row.at_most else 'at least'} {row.target:g}"
        mark = "      " if row.target is None else "met   " if row.met else "MISSED"
        print(f"{mark} {row.ratio:8.2f}  ({bound})  {row.name}")
        print(f"{'':16} ours {row.ours}" + (f", other {row.other}" if row.other else ""))
    found = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "accelerator": "orjson" if fastjson.orjson is not None else None,
        "rows": [{**asdict(row), "met": row.met} for row in rows],
    }
    file = CACHE / f"{found['at'].replace(':', '')}.json"
    file.write_text(json.dumps(found, indent=2) + "\n")
    print(f"Kept as {file}; load average {found['load']:.1f} on {found['cores']} cores.")


def main() -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    work = Path(sys.argv[1]) if len(sys.argv) > 1 else CACHE
    large = parts.fill(work / f"ledger-{LARGE}", LARGE, GROUP)
    rows = [*groups(work), one_append(work), *verification(large), *growth(work, large), *tree(work, large)]
    report(rows)


if __name__ == "__main__":
    main()
