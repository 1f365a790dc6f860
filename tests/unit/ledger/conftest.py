# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A ledger to write to, and what is common to its tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Appended, Ledger

ORIGIN = "example.test/sandbox"
METADATA: dict[str, Any] = {"sprint": "1", "provisional": True, "tags": ["sprint1_poc"]}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.create(tmp_path / "ledger", ORIGIN)


@pytest.fixture
def add(ledger: Ledger) -> Callable[..., Appended]:
    """Append a validation entry; keyword arguments are its data."""

    def _add(event: str = "sast", id: str | None = None, **data: Any) -> Appended:
        return ledger.append(type="validation", event=event, data=data, metadata=METADATA, id=id)

    return _add


def rewrite(ledger: Ledger, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Let a forger loose on the lines (each with its feed) of the ledger."""
    lines = ledger.entries_path.read_bytes().splitlines(keepends=True)
    ledger.entries_path.write_bytes(b"".join(change(lines)))
