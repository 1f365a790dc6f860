# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What can go wrong with a ledger."""

from __future__ import annotations

from ..errors import GoldenGooseError


class LedgerError(GoldenGooseError):
    """Any failure of a ledger that the user can act on."""


class LedgerMissing(LedgerError):
    """There is no ledger where one is expected."""


class LedgerBroken(LedgerError):
    """A line does not hold what was written; ``facts["sequence"]`` says which (None: the folder itself)."""


class LedgerFrozen(LedgerError):
    """The ledger, or this segment of it, takes no more entries."""


class EntryRefused(LedgerError):
    """The entry that the caller gave cannot be written, for example because its metadata is incomplete."""


class EntryConflict(LedgerError):
    """The ledger already holds this ``id`` with other content."""
