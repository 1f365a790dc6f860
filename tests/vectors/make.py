# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the vectors again: python -m tests.vectors.make. Clock, ids and keys are fixed, so the bytes are as well."""

from __future__ import annotations

import json
import shutil
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

# Makes the collection importable, so it comes first.
from tests import conftest as _finder  # noqa: F401

# isort: split
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.proofs import (
    consistency_proof,
    inclusion_proof,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    Ledger,
    anchor,
    entry,
    freeze,
    segments,
    succession,
)

from tests.unit.ledger.second_place import Memory

HERE = Path(__file__).parent
ORIGIN = "vectors.golden-goose.test/ledger"
METADATA = {"sprint": "1", "provisional": True}
DATA = [
    {"number": 1.5, "large": 1e21, "small": 1e-7, "zero": -0.0, "most": 2**53 - 1},
    {
        "text": 'ü € 𝄞 \u2028 " \\ \n \u0001',
        "order": {"\u20ac": 1, "\r": 2, "דּ": 3, "1": 4, "😀": 5, "\u0080": 6, "ö": 7},
    },
    {"nested": [[], {}, [None, True, False]]},
]


def main() -> None:
    """Write everything below this folder anew."""
    for name in ("ledger", "proofs", "segments", "lossy", "parts"):
        shutil.rmtree(HERE / name, ignore_errors=True)
    ledger, _second = _made("ledger")
    for count in (3, 258):
        _fill(ledger, count)
        anchor(ledger, _second, METADATA)
    _tidy(ledger.root)
    (HERE / "proofs").mkdir()
    for sequence in (0, 3, 255, 256, 261):
        exported = inclusion_proof(ledger, sequence)
        assert exported is not None
        (HERE / "proofs" / f"{sequence}.json").write_bytes(exported.entry.line + b"\n")
        (HERE / "proofs" / f"{sequence}.tlog-proof").write_text(exported.text)
    (HERE / "proofs" / "consistency-4-262").write_text(consistency_proof(ledger, 4)[2])
    _segments()


def _made(name: str) -> tuple[Ledger, Memory]:
    moments = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=n) for n in range(10_000))
    Ledger.create(HERE / name, ORIGIN)
    return Ledger(HERE / name, ORIGIN, now=lambda: next(moments)), Memory(seed=42)


def _fill(ledger: Ledger, count: int) -> None:
    for number in range(count):
        identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{ledger.origin}/{count}/{number}"))
        data = {**DATA[number % 3], "count": count}
        ledger.append(type="validation", event="sast", data=data, metadata=METADATA, id=identity)


def _tidy(folder: Path) -> None:
    """Leave only what belongs to the evidence."""
    for path in sorted(folder.rglob("*")):
        if "lock" in path.name or path.name in ("index", "torn", "objects"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _segments() -> None:
    """A ledger of three segments; the same after a loss in the first, which was accepted; parts for forgers."""
    for name in ("segments", "lossy"):
        ledger, second = _made(name)
        for segment in (2, 3):
            _fill(ledger, 3)
            freeze(ledger, second, METADATA, segment)
        _fill(ledger, 2)
        anchor(ledger, second, METADATA)
        if name == "lossy":
            _lose(ledger, second)
        _tidy(ledger.root)
    (HERE / "parts").mkdir()
    _forge(HERE / "segments" / "segments" / "2" / "entries.jsonl")


def _lose(ledger: Ledger, second: Memory) -> None:
    """Lose the last three of five entries of segment 1, and say so: what evidence_repair does."""
    kept = (ledger.root / "entries.jsonl").read_bytes().splitlines(keepends=True)[:2]
    lost = {"from": 2, "to": 4, "count": 3}
    data = {"segment": 1, "kept": 2, "head": entry.parse(kept[-1][:-1]).hash, "proven": 0, "lost": lost}
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{ledger.origin}/repaired"))
    ledger.append(type="validation", event="repaired", data=data, metadata=METADATA, id=identity)
    (ledger.root / "entries.jsonl").write_bytes(b"".join(kept))
    for name in ("checkpoints", "tile"):
        shutil.rmtree(ledger.root / name)
    (ledger.root / "checkpoint").unlink()
    succession.accept(ledger, second)
    anchor(ledger, second, METADATA)


def _forge(path: Path) -> None:
    """Write to parts/ the entries of a segment that was begun after another head, all hashes right."""
    lines, previous = [], ""
    for line in path.read_bytes().splitlines():
        old = entry.parse(line)
        changes = {} if old.sequence else {"size": 4}
        new = entry.seal(
            sequence=old.sequence,
            id=old.id,
            timestamp=old.timestamp,
            type=old.type,
            data=old.data | changes,
            metadata=old.metadata,
            previous_hash=previous or entry.genesis_hash(segments.name(ORIGIN, 2)),
        )
        lines, previous = [*lines, new.line + b"\n"], new.hash
    (HERE / "parts" / "another-head.jsonl").write_bytes(b"".join(lines))


if __name__ == "__main__":
    main()
    print(json.dumps(sorted(path.relative_to(HERE).as_posix() for path in HERE.rglob("*") if path.is_file())))
