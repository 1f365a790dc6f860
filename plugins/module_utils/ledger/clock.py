# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The ledger's time: RFC 3339, UTC, milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the wall clock in UTC."""
    return datetime.now(UTC)


def stamp(moment: datetime, not_before: str | None = None) -> str:
    """Return ``moment`` as ``2025-09-25T10:15:30.123Z``, or ``not_before`` when that is later.

    A wall clock may be set back; the ledger's time may not, so an entry then repeats the last time.
    The fixed width makes the order of the texts the order of the times.
    """
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return text if not_before is None else max(text, not_before)
