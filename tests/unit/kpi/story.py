# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A ledger with promotions in it, written the way the engine writes them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger, ObjectRef
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import (
    REQUIRED_GATES,
    step_id,
)

METADATA: dict[str, Any] = {"sprint": "1", "provisional": True, "tags": ["sprint1_poc"]}
DIGEST = "sha256:" + "a" * 64
OTHER_DIGEST = "sha256:" + "b" * 64


class Story:
    """Writes the entries of promotions; each method is what the engine does in one go."""

    def __init__(self, path: Path) -> None:
        self.now = datetime(2026, 3, 1, tzinfo=UTC)
        Ledger.create(path, "example.test/sandbox")
        self.ledger = Ledger(path, "example.test/sandbox", lambda: self.now)

    def later(self, **more: float) -> None:
        """Let time go by, as ``timedelta`` takes it."""
        self.now += timedelta(**more)

    def build(self, service: str = "service-a", digest: str = DIGEST) -> None:
        self.ledger.append(
            type="validation", event="build", data={"service": service, "digest": digest}, metadata=METADATA
        )

    def request(self, service: str = "service-a", digest: str = DIGEST) -> str:
        appended = self.ledger.append(
            type="promotion", event="requested", data={"service": service, "digest": digest}, metadata=METADATA
        )
        return appended.entry.id

    def step(self, promotion: str, event: str, **data: Any) -> None:
        self.ledger.append(
            type="promotion",
            event=event,
            data={"promotion_id": promotion, "service": "service-a", "digest": DIGEST, **data},
            metadata=METADATA,
            id=step_id(promotion, event),
        )

    def gates(self, promotion: str, gates: Iterable[str] = REQUIRED_GATES, digest: str = DIGEST) -> ObjectRef:
        report = self.ledger.objects.put_bytes(b'{"results": []}', "application/json")
        for gate in gates:
            data = {"promotion_id": promotion, "service": "service-a", "digest": digest, "gate": gate}
            self.ledger.append(
                type="validation",
                event=gate,
                data={**data, "verdict": "allow", "object": report},
                metadata=METADATA,
                id=step_id(promotion, f"gate:{gate}"),
            )
        return report

    def promote(self, digest: str = DIGEST, gates: Iterable[str] = REQUIRED_GATES) -> str:
        promotion = self.request(digest=digest)
        self.gates(promotion, gates, digest)
        self.step(promotion, "started", digest=digest)
        self.step(promotion, "completed", digest=digest)
        return promotion

    def edit(self, old: bytes, new: bytes) -> None:
        """Change the ledger behind its back."""
        lines = self.ledger.entries_path.read_bytes()
        assert old in lines
        self.ledger.entries_path.write_bytes(lines.replace(old, new, 1))
