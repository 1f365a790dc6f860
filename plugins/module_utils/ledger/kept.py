# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What is kept of a ledger in a second place, as a JSON document."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import checkpoint
from .checkpoint import BadCheckpoint, Checkpoint, Key
from .errors import LedgerError

FORMAT = "golden-goose-head/1"
# Older heads say where a rewritten ledger begins to differ; beyond this number every second one is dropped.
_MAX_HISTORY = 200


@dataclass(frozen=True, slots=True)
class KeptHead:
    """The latest head: its signed note, all keys that ever signed, the hash of the last entry, and older heads.

    ``history`` has (size, root) of older heads, ascending; ``lost`` of heads whose entries were lost, which an entry
    ``repaired`` states: of a frozen segment, its own last head among them. ``successor`` is the origin of the segment
    that continues a frozen one, whose head this is for good; empty otherwise.
    """

    checkpoint: Checkpoint
    keys: tuple[Key, ...]
    hash: str
    history: tuple[tuple[int, bytes], ...] = ()
    lost: tuple[tuple[int, bytes], ...] = ()
    successor: str = ""

    @classmethod
    def parse(cls, document: Mapping[str, Any], origin: str) -> KeptHead:
        """Return what ``document`` keeps for the ledger ``origin``.

        :raises LedgerError: it is not such a document, or is of another ledger.
        """
        try:
            if document["format"] != FORMAT:
                raise LedgerError(f"The head kept for '{origin}' is not of the format {FORMAT}.")
            keys = tuple(Key.parse(text) for text in document["keys"])
            head = checkpoint.parse(document["note"], keys)
            history = _heads(document["history"])
            lost = _heads(document.get("lost", ()))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LedgerError(f"The head kept for '{origin}' cannot be read ({type(error).__name__}).") from error
        except BadCheckpoint as error:
            # An exception of ours, which pylint does not see.
            raise LedgerError(  # pylint: disable=bad-exception-cause
                f"The head kept for '{origin}' does not hold: {error}"
            ) from error
        if head.origin != origin:
            raise LedgerError(f"The head kept for '{origin}' is of '{head.origin}'.")
        return cls(head, keys, str(document.get("hash", "")), history, lost, str(document.get("successor", "")))

    @classmethod
    def after(
        cls, before: KeptHead | None, head: Checkpoint, hash: str, keys: Sequence[Key], successor: str = ""
    ) -> KeptHead:
        """Return what to keep next."""
        known = before.keys if before else ()
        history = (*before.history, (before.checkpoint.size, before.checkpoint.root)) if before else ()
        if len(history) > _MAX_HISTORY:
            half = _MAX_HISTORY // 2
            history = (*history[:half:2], *history[half:])
        lost = before.lost if before else ()
        return cls(head, (*known, *(key for key in keys if key not in known)), hash, history, lost, successor)

    def after_loss_of(self, before: KeptHead) -> KeptHead:
        """Return it as what takes the place of ``before``, whose last entries are lost: that stays to be seen."""
        head = before.checkpoint
        keys = (*before.keys, *(key for key in self.keys if key not in before.keys))
        older = tuple(one for one in before.history if one[0] < self.checkpoint.size and one not in self.history)
        return replace(self, keys=keys, history=(*older, *self.history), lost=(*before.lost, (head.size, head.root)))

    @property
    def own_loss(self) -> bool:
        """Whether entries of this very head are lost, and that was accepted."""
        return (self.checkpoint.size, self.checkpoint.root) in self.lost

    def after_own_loss(self) -> KeptHead:
        """Return it as that of a frozen segment of which entries are lost."""
        return replace(self, lost=(*self.lost, (self.checkpoint.size, self.checkpoint.root)))

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        rare: dict[str, Any] = {"lost": _listed(self.lost)} if self.lost else {}
        if self.successor:
            rare["successor"] = self.successor
        return rare | {
            "format": FORMAT,
            "origin": self.checkpoint.origin,
            "size": self.checkpoint.size,
            "note": self.checkpoint.note,
            "keys": [str(key) for key in self.keys],
            "hash": self.hash,
            "history": _listed(self.history),
        }


def _heads(listed: Iterable[tuple[int, str]]) -> tuple[tuple[int, bytes], ...]:
    return tuple((int(size), base64.b64decode(root)) for size, root in listed)


def _listed(found: Iterable[tuple[int, bytes]]) -> list[list[Any]]:
    return [[size, base64.b64encode(root).decode()] for size, root in found]
