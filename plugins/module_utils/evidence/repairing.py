# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Repair the ledger with all that is known of it: its copy, its keys, and the head in Vault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..ledger import Heads, Key, Ledger, Repaired, anchor, repair, segments, succession
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
    warning, kept = "", dict[int, KeptHead]()
    if second is not None:
        try:
            name = origin_of(Path(path), Path(copy) if copy is not None else None, origin).name
            kept, current = _kept(second, name, _last(path, copy))
            known = (*(key for number in reversed(kept) for key in kept[number].keys), *current)
            keys = keys or tuple(dict.fromkeys(key.of(name) for key in known))
        except VaultDown as error:
            second, warning = None, f"The ledger was not compared with the head in Vault: {error}"
    done = repair(path, copy, metadata, origin=origin, keys=keys, kept=kept, accept_loss=accept_loss, dry_run=dry_run)
    if second is not None and not dry_run and (done.changed or done.behind):
        try:
            ledger = Ledger.open(path, edge=False)
            if accept_loss:
                succession.accept(ledger, second)
            anchor(ledger, second, metadata, accept_loss=accept_loss)
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


def _kept(second: Heads, origin: str, last: int) -> tuple[dict[int, KeptHead], list[Key]]:
    """Return by segment the heads that are kept, up to ``last`` and what follows each other, and the current keys."""
    current = [Key(origin, public) for _version, public in second.public_keys()]
    found: dict[int, KeptHead] = {}
    number = 1
    while True:
        name = segments.name(origin, number)
        _version, document = second.read(name)
        if document is not None:
            found[number] = KeptHead.parse(document, name)
        elif number >= last:
            return found, current
        number += 1


def _last(path: Path | str, copy: Path | str | None) -> int:
    """Return the highest number of a segment that ledger or copy have."""
    return max(segments.numbers(Path(place))[-1] for place in (path, copy) if place is not None)
