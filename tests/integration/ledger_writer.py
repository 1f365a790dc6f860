# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A process that appends, for tests that let system calls fail: run as `python -S ledger_writer.py <folder> <what>`.

It prints `ack <number>` for what is on disk and `error <sentence>` for what was refused. What is between two calls of
getppid(2), which nothing else here makes, is what the tests look at.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "collections"))

from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.retention import cut_off, drop_objects
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    HeadMoved,
    Ledger,
    anchor,
    repair,
    verify,
)

METADATA: dict[str, Any] = {"sprint": "1", "provisional": True}
ORIGIN = "example.test/faults"


def item(number: int) -> dict[str, Any]:
    id = f"00000000-0000-4000-8000-{number:012d}"
    return {"type": "validation", "event": "sast", "data": {"number": number}, "metadata": METADATA, "id": id}


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def try_to(append: Any, *numbers: int) -> None:
    try:
        append()
    except GoldenGooseError as error:
        say(f"error {error}")
    else:
        for number in numbers:
            say(f"ack {number}")


class FolderPlace:
    """A second place in a folder beside the ledger, so that it outlives the process; it signs with a fixed key.

    What it does is not within the marks' counting: faults are injected into the ledger's own system calls only.
    """

    def __init__(self, folder: Path) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
        self._kept = folder.parent / "kept"

    def public_keys(self) -> list[tuple[int, bytes]]:
        return [(1, self._key.public_key().public_bytes_raw())]

    def sign(self, data: bytes, version: int) -> bytes:
        return self._key.sign(data)

    def read(self, origin: str) -> tuple[int, Any]:
        if not self._kept.exists():
            return 0, None
        version, document = json.loads(self._kept.read_text())
        return version, document

    def write(self, origin: str, document: Any, version: int) -> None:
        if self.read(origin)[0] != version:
            raise HeadMoved("another head is there")
        new = self._kept.with_name("kept.new")
        new.write_text(json.dumps([version + 1, dict(document)]))
        new.replace(self._kept)


def drop(folder: Path) -> bool:
    """Drop what is older than a day, from ledger and copy; return whether anything was."""
    before = datetime.now(UTC).date().isoformat()
    ledger, copy = Ledger.open(folder), folder.parent / "copy"
    return drop_objects(ledger, cut_off(before, None), METADATA, reason="faults", copy=copy).changed


def main() -> None:
    folder, what = Path(sys.argv[1]), sys.argv[2]
    if what == "create":
        os.getppid()
        try_to(lambda: Ledger.create(folder, ORIGIN))
        os.getppid()
        return
    if what in ("checkpoint", "repair"):
        # Without site there is no path to the library that signs.
        sys.path += [str(path) for path in Path(sys.executable).parents[1].glob("lib/python3*/site-packages")]
        place = FolderPlace(folder)
        place.sign(b"warm", 1)
    if what == "repair":
        verify(folder.parent / "copy")
        os.getppid()
        try_to(lambda: repair(folder, folder.parent / "copy", METADATA), 2)
        os.getppid()
        return
    if what == "retention":
        verify(folder.parent / "copy")
        os.getppid()
        try_to(lambda: drop(folder), 2)
        os.getppid()
        return
    ledger = Ledger.open(folder)
    if what == "checkpoint":
        os.getppid()
        try_to(lambda: anchor(ledger, place, METADATA), 2)
        os.getppid()
        return
    if what == "warm":
        try_to(lambda: ledger.append(**item(1)), 1)
    os.getppid()
    if what == "group":
        try_to(lambda: ledger.append_many([item(number) for number in (2, 3, 4)]), 2, 3, 4)
    else:
        try_to(lambda: ledger.append(**item(2)), 2)
    os.getppid()
    # The fault is over: the same process goes on.
    try_to(lambda: ledger.append(**item(5)), 5)


if __name__ == "__main__":
    main()
