# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A process that appends, for tests that let system calls fail: run as `python -S ledger_writer.py <folder> <what>`.

It prints `ack <number>` for what is on disk and `error <sentence>` for what was refused. What is between two calls of
getppid(2), which nothing else here makes, is what the tests look at.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "collections"))

from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger

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


def main() -> None:
    folder, what = Path(sys.argv[1]), sys.argv[2]
    if what == "create":
        os.getppid()
        try_to(lambda: Ledger.create(folder, ORIGIN))
        os.getppid()
        return
    ledger = Ledger.open(folder)
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
