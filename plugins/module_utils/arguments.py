# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The options that every module about evidence shares; documented in doc_fragments/ledger.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .ledger import EntryRefused, Ledger
from .ledger.guard import check_metadata

LEDGER_OPTIONS: dict[str, dict[str, Any]] = {
    "ledger": {"type": "path", "required": True},
    "origin": {"type": "str"},
    "metadata": {"type": "dict"},
}


def open_ledger(params: Mapping[str, Any], edge: bool = True) -> Ledger:
    """Return the ledger that the module's ``ledger`` and ``origin`` name.

    :param edge: whether its last signed entry has to be there; see ``Ledger.open``.
    :raises LedgerError: there is none, or it is of another origin.
    """
    return Ledger.open(params["ledger"], params.get("origin"), edge)


def audit_metadata(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the module's ``metadata`` for the entries it writes.

    :raises EntryRefused: it is not given, or lacks a key that addendum 8.2 demands.
    """
    metadata = params.get("metadata")
    if not metadata:
        raise EntryRefused(
            "The option metadata is not given, and no entry is written without it; set "
            "golden_goose_evidence_metadata in the inventory."
        )
    check_metadata(metadata)
    return dict(metadata)
