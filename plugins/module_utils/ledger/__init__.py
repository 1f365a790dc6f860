# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Evidence that is only ever added to. Standard library only, no Ansible, no network.

The format is described in docs/ledger-format.md, precisely enough to check a ledger without this code.
"""

from __future__ import annotations

from . import attributes, dropping, heads, link, segments, succession
from .anchor import Anchored, HeadMoved, Heads, anchor
from .backup import BackupReport, backup, compare
from .checkpoint import BadCheckpoint, Checkpoint, Key
from .diagnosis import AnchorBroken
from .dropping import ObjectDropped
from .entry import Entry, genesis_hash
from .errors import EntryConflict, EntryRefused, LedgerBroken, LedgerError, LedgerFrozen, LedgerMissing
from .freezing import Frozen, freeze
from .ledger import Appended, Head, Ledger
from .objects import ObjectRef, Objects
from .repair import LossNotAccepted, Repaired, repair
from .verify import Problem, Report, verify_segment
from .whole import verify

__all__ = [
    "AnchorBroken",
    "Anchored",
    "Appended",
    "BackupReport",
    "BadCheckpoint",
    "Checkpoint",
    "Entry",
    "EntryConflict",
    "EntryRefused",
    "Frozen",
    "Head",
    "HeadMoved",
    "Heads",
    "Key",
    "Ledger",
    "LedgerBroken",
    "LedgerError",
    "LedgerFrozen",
    "LedgerMissing",
    "LossNotAccepted",
    "ObjectDropped",
    "ObjectRef",
    "Objects",
    "Problem",
    "Repaired",
    "Report",
    "anchor",
    "attributes",
    "backup",
    "compare",
    "dropping",
    "freeze",
    "genesis_hash",
    "heads",
    "link",
    "repair",
    "segments",
    "succession",
    "verify",
    "verify_segment",
]
