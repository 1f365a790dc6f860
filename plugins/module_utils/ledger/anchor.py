# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Sign the head and keep it in a second place, which only ever moves forward.

Write order, so that a kill at any point is finished by the next run: stage the signed head, compare-and-swap it in
the second place, write the tiles, publish the checkpoint. Before that the head which is kept there is compared with
the entries; what it shows is raised and nothing is written.
"""

from __future__ import annotations

import base64
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..locks import hold
from . import checkpoint, heads, store, succession, tree
from .checkpoint import BadCheckpoint, Checkpoint, Key
from .diagnosis import AnchorBroken, compare
from .errors import LedgerError
from .kept import KeptHead
from .ledger import LOCK_WAIT_SECONDS, Ledger
from .salvage import stated_loss
from .whole import verify

SIGNING_KEY = "signing_key"
ANCHOR_REPLACED = "anchor_replaced"
# What an AnchorBroken is about when the second place keeps the head of other entries, or of more, than there are.
BEYOND = frozenset({"cut", "restored", "rewritten", "forked"})
_NAMESPACE = uuid.UUID("f3b0a1de-5a0b-5d55-9e55-0d6a3a4f1a10")
_ATTEMPTS = 3


class HeadMoved(LedgerError):
    """The second place holds another version than the one that was read."""


class Heads(Protocol):
    """The second place, and the key that signs: Vault, or a stand-in of the tests."""

    def public_keys(self) -> Sequence[tuple[int, bytes]]:
        """Return (version, 32 bytes of the public key) of every version of the key, ascending."""

    def sign(self, data: bytes, version: int) -> bytes:
        """Return the 64 bytes of the signature over ``data`` by that version of the key."""

    def read(self, origin: str) -> tuple[int, Mapping[str, Any] | None]:
        """Return (version, document) of what is kept for the ledger; (0, None) when nothing ever was."""

    def write(self, origin: str, document: Mapping[str, Any], version: int) -> None:
        """Keep ``document`` if what is there has that ``version`` (0: nothing is there).

        :raises HeadMoved: it has another.
        """


@dataclass(frozen=True, slots=True)
class Anchored:
    """``size`` entries are signed and kept; ``added`` of them by this call. ``key`` is a vkey."""

    size: int
    root: bytes
    added: int
    changed: bool
    key: str
    note: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as modules return it."""
        return {
            "size": self.size,
            "root": base64.b64encode(self.root).decode(),
            "added": self.added,
            "key": self.key,
            "checkpoint": self.note,
        }


def anchor(
    ledger: Ledger,
    second: Heads,
    metadata: Mapping[str, Any],
    *,
    accept_replaced: bool = False,
    accept_loss: bool = False,
) -> Anchored:
    """Sign all entries that are durable now, and keep the head in ``second``.

    :param accept_replaced: take a second place that was lost or made again, after the whole ledger was verified
        with the keys it has; an entry says so.
    :param accept_loss: take the place of a head whose entries are lost, when an entry ``repaired`` says so. That
        head stays to be seen in what is kept.
    :raises AnchorBroken: the entries are not those that were kept before, or what was kept is gone.
    :raises LedgerBroken: an entry does not hold.
    :raises GoldenGooseError: the second place does not answer; the entries stay durable and unanchored.
    """
    if not checkpoint.usable_name(ledger.origin):
        raise LedgerError(f"The origin '{ledger.origin}' has a plus sign, which no signature can name.")
    usual = not (accept_replaced or accept_loss)
    wanted, before = (_durable(ledger), _claimed(ledger)) if usual else (0, 0)
    with hold(ledger.path / "checkpoint.lock", f"signing the head of {ledger.path}", LOCK_WAIT_SECONDS):
        # Who waited here for another process finds that it has signed these entries as well.
        if before < wanted and (signed := _signed_meanwhile(ledger, wanted)):
            return signed
        for attempt in range(_ATTEMPTS):
            try:
                return _Anchor(ledger, second, metadata, accept_replaced, accept_loss).run()
            except HeadMoved:
                # Somebody with another copy of the ledger was quicker: look again at what is kept now.
                if attempt + 1 == _ATTEMPTS:
                    raise
            except OSError as error:
                raise LedgerError(
                    f"Cannot sign the head of {ledger.path}: {error.strerror or error}; the entries are as they were."
                ) from error
    raise AssertionError("unreachable")


class _Anchor:
    """One attempt; the caller holds the lock."""

    def __init__(
        self, ledger: Ledger, second: Heads, metadata: Mapping[str, Any], accept_replaced: bool, accept_loss: bool
    ) -> None:
        self.ledger = ledger
        self.second = second
        self.metadata = metadata
        self.accept_replaced = accept_replaced
        self.accept_loss = accept_loss
        self.lost: KeptHead | None = None
        self.replaced = False
        self.signers = [(version, Key(ledger.origin, public)) for version, public in second.public_keys()]

    def run(self) -> Anchored:
        version, kept = self._kept()
        grown = self._caught_up(kept)
        frozen = bool(grown.successor) or self.ledger.frozen
        for key in kept.keys if kept else ():
            heads.add_key(self.ledger.path, key)
        signers = self._signers(kept, frozen)
        if not frozen:
            self._name_keys(kept, [key for _version, key in signers])
        self._sync()
        before = kept.checkpoint.size if kept else 0
        tree.grow(self.ledger.path, grown)
        if kept and grown.tree.size == before and not self.replaced:
            heads.unstage(self.ledger.path)  # A kill may have come right after the last publication.
            return _result(kept.checkpoint, 0, signers[0][1])
        head = self._signed(Checkpoint(self.ledger.origin, grown.tree.size, grown.tree.root()), signers)
        heads.stage(self.ledger.path, head)
        keys = [key for _version, key in signers]
        keeping = KeptHead.after(kept, head, grown.hash, keys, grown.successor)
        if self.lost is not None:
            keeping = keeping.after_loss_of(self.lost)
        self.second.write(self.ledger.origin, keeping.document(), version)
        for _version, key in signers:
            heads.add_key(self.ledger.path, key)
        tree.apply(self.ledger.path, grown, head)
        heads.unstage(self.ledger.path)
        return _result(head, head.size - before, signers[0][1])

    def _kept(self) -> tuple[int, KeptHead | None]:
        """Return the version and the head that is kept, unless the entries or the segments contradict it."""
        version, document = self.second.read(self.ledger.origin)
        kept = KeptHead.parse(document, self.ledger.origin) if document is not None else None
        if self.accept_replaced:
            self._replace_frozen()
        try:
            compare(self.ledger, kept, [key for _version, key in self.signers])
            succession.require(self.ledger, self.second, kept)
        except AnchorBroken as error:
            if kept is not None and self.accept_loss and error.kind in BEYOND and self._states_loss(kept.checkpoint):
                self.lost = kept
                last = _published(self.ledger, kept.keys)
                kept = KeptHead.after(None, last, "", kept.keys) if last else None
            elif error.kind in ("vault_lost", "vault_older") and self.accept_replaced:
                kept, self.replaced = self._replacing(), True
            else:
                raise
        return version, kept

    def _states_loss(self, head: Checkpoint) -> bool:
        """Whether an entry says that the last entries of ``head`` were lost."""
        losses = map(stated_loss, self.ledger.own_entries())
        return any(loss is not None and (head.size, head.root) in loss.heads for loss in losses)

    def _replacing(self) -> KeptHead | None:
        """Return the head that the ledger itself proves, after verifying all of it, and say so in an entry."""
        known = heads.keys(self.ledger.path)
        self._require_sound()
        last = heads.latest(self.ledger.path, known)
        if last is None and self.ledger.earlier:
            return None  # It was begun and never signed: the frozen segment before it, which was, names its origin.
        if last is None:
            raise LedgerError(f"The lost head is not replaced: {self.ledger.path} has no checkpoint; restore it.")
        self._say_replaced(last)
        return KeptHead.after(None, last, "", known)

    def _replace_frozen(self) -> None:
        """Keep the last heads of frozen segments again where the second place has lost them, and say so in entries."""
        lost = succession.without_final(self.ledger, self.second)
        if lost:
            self._require_sound()
        for segment, version, head in lost:
            self._say_replaced(head.checkpoint, segment.origin)
            self.second.write(segment.origin, head.document(), version)

    def _require_sound(self) -> None:
        report = verify(self.ledger.root)
        if not report.size or any(problem.kind != "not_continued" for problem in report.problems):
            raise LedgerError(f"The lost head is not replaced by this ledger: {report.sentence()}")

    def _say_replaced(self, head: Checkpoint, origin: str = "") -> None:
        """Say in an entry that ``head``, of the segment ``origin`` if that is another one, takes a lost one's place."""
        data = {"size": head.size, "root": base64.b64encode(head.root).decode(), "key": str(head.key)}
        data |= {"origin": origin} if origin else {}
        identity = str(uuid.uuid5(_NAMESPACE, f"{ANCHOR_REPLACED} {head.note} {self.signers[-1][1]}"))
        if not self.ledger.frozen:  # Its successor will tell of its keys.
            self._append(ANCHOR_REPLACED, data, identity)

    def _caught_up(self, kept: KeptHead | None) -> tree.Grown:
        """Return the tree of the kept head, published here as well if a kill came in between."""
        folder = self.ledger.path
        if kept is None:
            return tree.edge(folder, self.ledger.origin, None)
        published = _published(self.ledger, kept.keys)
        try:
            grown = tree.edge(folder, self.ledger.origin, published)
        except tree.EdgeBroken as error:
            if error.kind != "tile":
                raise
            # Tiles are derived: make all of them again from the entries.
            published, grown = None, tree.edge(folder, self.ledger.origin, None)
        if published is None or published.size < kept.checkpoint.size:
            tree.grow(folder, grown, kept.checkpoint.size)
            tree.apply(folder, grown, kept.checkpoint)
        return grown

    def _signers(self, kept: KeptHead | None, frozen: bool) -> list[tuple[int, Key]]:
        """Return the latest version, and after it the one that it replaces: who trusts that one sees the change.

        A frozen ledger can name no other key; its last checkpoint is by one that it named before.
        """
        if frozen and kept is not None:
            named = [signer for signer in self.signers if signer[1] in kept.keys]
            if named or self.replaced:
                return (named or self.signers)[-1:]
            raise LedgerError(f"No key that signed the ledger at {self.ledger.path} is left in Vault; restore Vault.")
        latest = self.signers[-1]
        if kept is None or kept.checkpoint.key == latest[1]:
            return [latest]
        return [latest] + [signer for signer in self.signers if signer[1] == kept.checkpoint.key]

    def _name_keys(self, kept: KeptHead | None, keys: list[Key]) -> None:
        """Have each key named in the ledger before anything is signed with it."""
        for key in keys:
            if kept is None or key not in kept.keys:
                self._append(SIGNING_KEY, {"vkey": str(key)}, str(uuid.uuid5(_NAMESPACE, str(key))))

    def _append(self, event: str, data: dict[str, Any], identity: str) -> None:
        if self.ledger.find(identity) is None:
            self.ledger.append(type="validation", event=event, data=data, metadata=self.metadata, id=identity)

    def _sync(self) -> None:
        # A writer that was killed may have left a whole line that is not on disk yet.
        with store.opened(self.ledger.entries_path) as descriptor:
            os.fsync(descriptor)

    def _signed(self, head: Checkpoint, signers: list[tuple[int, Key]]) -> Checkpoint:
        for version, key in signers:
            head = head.signed(key, self.second.sign(head.body().encode(), version))
        return head


def _result(head: Checkpoint, added: int, key: Key) -> Anchored:
    return Anchored(head.size, head.root, added, bool(added), str(key), head.note)


def _durable(ledger: Ledger) -> int:
    try:
        return ledger.head().size
    except LedgerError:
        return 0  # What is wrong with it is found, and named, when it is compared.


def _claimed(ledger: Ledger) -> int:
    try:
        claimed = heads.latest_claimed(ledger.path)
    except BadCheckpoint:
        return 0
    return claimed.size if claimed else 0


def _signed_meanwhile(ledger: Ledger, wanted: int) -> Anchored | None:
    try:
        published = heads.latest(ledger.path, heads.keys(ledger.path))
    except BadCheckpoint:
        return None
    if published is None or published.key is None or published.size < wanted:
        return None
    return _result(published, 0, published.key)


def _published(ledger: Ledger, keys: Sequence[Key]) -> Checkpoint | None:
    try:
        return heads.latest(ledger.path, keys)
    except BadCheckpoint as error:
        # An exception of ours, which pylint does not see.
        raise AnchorBroken("foreign_key", str(error), None) from error  # pylint: disable=bad-exception-cause
