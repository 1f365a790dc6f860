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
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger, anchor

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
    for name in ("ledger", "proofs"):
        shutil.rmtree(HERE / name, ignore_errors=True)
    moments = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=n) for n in range(10_000))
    Ledger.create(HERE / "ledger", ORIGIN)
    ledger, second = Ledger(HERE / "ledger", ORIGIN, now=lambda: next(moments)), Memory(seed=42)
    for count in (3, 258):
        for number in range(count):
            identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{ORIGIN}/{count}/{number}"))
            data = {**DATA[number % 3], "count": count}
            ledger.append(type="validation", event="sast", data=data, metadata=METADATA, id=identity)
        anchor(ledger, second, METADATA)
    for path in (HERE / "ledger").iterdir():
        if "lock" in path.name or path.name.startswith("ids") or path.name in ("index", "torn", "objects"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (HERE / "proofs").mkdir()
    for sequence in (0, 3, 255, 256, 261):
        exported = inclusion_proof(ledger, sequence)
        assert exported is not None
        (HERE / "proofs" / f"{sequence}.json").write_bytes(exported.entry.line + b"\n")
        (HERE / "proofs" / f"{sequence}.tlog-proof").write_text(exported.text)
    (HERE / "proofs" / "consistency-4-262").write_text(consistency_proof(ledger, 4)[2])


if __name__ == "__main__":
    main()
    print(json.dumps(sorted(path.relative_to(HERE).as_posix() for path in HERE.rglob("*") if path.is_file())))
