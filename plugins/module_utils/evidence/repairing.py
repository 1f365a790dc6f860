# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Repair the ledger with all that is known of it: its copy, its keys, and the head in Vault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..ledger import Heads, Key, Ledger, Repaired, anchor, repair
from ..ledger.kept import KeptHead
from ..ledger.rederive import origin_of
from ..vault import VaultDown
from .anchoring import vault_heads


def repair_evidence(
    path: Path | str,
    copy: Path | str | None,
    metadata: Mapping[str, Any],
    *,
    origin: str | None = None,
    keys: Sequence[Key] | None = None,
    second: Heads | None = None,
    accept_loss: bool = False,
    dry_run: bool = False,
) -> tuple[Repaired, str]:
    """Repair the ledger at ``path`` as :func:`ledger.repair` does, then anchor it; return what was done, and a warning.

    :param second: where its head is kept. When it does not answer, what is signed is known from ledger and copy alone.
    :raises GoldenGooseError: as :func:`ledger.repair` and :func:`ledger.anchor`.
    """
    warning, head = "", None
    if second is not None:
        try:
            name = origin_of(Path(path), Path(copy) if copy is not None else None, origin).name
            head, current = _kept(second, name)
            keys = keys or (*(head.keys if head else ()), *(key for key in current if not head or key not in head.keys))
        except VaultDown as error:
            second, warning = None, f"The ledger was not compared with the head in Vault: {error}"
    done = repair(path, copy, metadata, origin=origin, keys=keys, head=head, accept_loss=accept_loss, dry_run=dry_run)
    if second is not None and not dry_run and (done.changed or done.behind):
        try:
            anchor(Ledger.open(path, edge=False), second, metadata, accept_loss=accept_loss)
        except VaultDown as error:
            warning = f"The repaired ledger is not anchored: {error}"
    return done, warning


def second_place(approle: Path | str | None) -> tuple[Heads | None, str]:
    """Return where the head is kept, or a warning when the credentials are not there (on an auditor's machine).

    :raises VaultError: the file lacks a value.
    """
    if approle is None:
        return None, ""
    if not Path(approle).is_file():
        return None, f"The ledger was not compared with the head in Vault: there are no credentials at {approle}."
    return vault_heads(approle), ""


def _kept(second: Heads, origin: str) -> tuple[KeptHead | None, list[Key]]:
    current = [Key(origin, public) for _version, public in second.public_keys()]
    _version, document = second.read(origin)
    return (KeptHead.parse(document, origin) if document is not None else None), current
