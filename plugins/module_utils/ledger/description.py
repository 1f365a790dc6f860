# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""``ledger.json``: the format and the origin of a ledger, or of a segment of one."""

from __future__ import annotations

import json
from pathlib import Path

from ..files import write_atomic
from . import canonical, entry, segments
from .errors import LedgerBroken, LedgerError, LedgerMissing

DESCRIPTION = "ledger.json"


def describe(path: Path, origin: str) -> None:
    """Write the description of a ledger in the folder ``path``; from then on it is there.

    :raises GoldenGooseError: it cannot be written.
    """
    write_atomic(path / DESCRIPTION, canonical.encode({"format": entry.FORMAT, "origin": origin}) + b"\n", 0o640)


def checked_origin(origin: str) -> str:
    """Return ``origin`` when it can name a ledger.

    :raises LedgerError: it is empty, too long, or has blanks or control characters.
    """
    if not 0 < len(origin) <= 255 or any(not ("!" <= character <= "~") for character in origin):
        raise LedgerError(
            f"The origin {origin!r} cannot name a ledger; use 1 to 255 printable ASCII characters without "
            "blanks, such as golden-goose.local/sandbox."
        )
    if segments.number(origin) != 1:
        raise LedgerError(f"The origin '{origin}' is that of a segment; name the ledger itself.")
    return origin


def read_origin(path: Path) -> str:
    """Return the origin that ``ledger.json`` in the folder ``path`` states.

    :raises LedgerMissing: there is no such file.
    :raises LedgerBroken: the file is not the description of a ledger of this format.
    :raises GoldenGooseError: the file may not be read.
    """
    file = path / DESCRIPTION
    try:
        absent = not file.exists()
    except OSError as error:
        raise LedgerError(f"Cannot read the ledger at {path}: {error.strerror or error}.") from error
    if absent:
        raise LedgerMissing(f"There is no ledger at {path}; create it with the role evidence_ledger.")
    try:
        described = json.loads(file.read_bytes())
    except OSError as error:
        raise LedgerError(f"Cannot read {file}: {error.strerror or error}.") from error
    except ValueError:
        described = None
    if not isinstance(described, dict) or described.get("format") != entry.FORMAT or len(described) != 2:
        raise LedgerBroken(f"{file} does not describe a ledger of the format {entry.FORMAT}.", sequence=None)
    origin = described.get("origin")
    if not isinstance(origin, str) or not origin:
        raise LedgerBroken(f"{file} names no origin; restore it from the backup.", sequence=None)
    return origin
