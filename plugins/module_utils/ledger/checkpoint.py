# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Signed heads: https://c2sp.org/tlog-checkpoint in https://c2sp.org/signed-note, with ed25519.

A verifier is given the public keys that it trusts, as "vkeys" (name+key id+base64). Signatures by other keys are
ignored, so that a key can be rotated: for a while both sign, or both are known.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..imports import require
from .errors import LedgerError
from .merkle import HASH_BYTES

# The signature type of ed25519 in signed-note.
_ED25519 = b"\x01"
_SIGNATURE_BYTES = 64
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_MARK = "\u2014 "
# As Go's note package: more than anybody needs, and no way to keep a verifier busy.
_MAX_BYTES = 1_000_000
_MAX_SIGNATURES = 100


class BadCheckpoint(LedgerError):
    """The text is not a checkpoint, is of another origin, or is not signed by a known key."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key: ``name`` (the origin of the ledger), ``public`` 32 bytes as in RFC 8032."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """The first four bytes of SHA-256 of name, line feed, type and key."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> Key:
        """Return the key that the vkey ``text`` is.

        :raises BadCheckpoint: it is none, or its id does not fit.
        """
        name, _plus, rest = text.strip().partition("+")
        digits, _plus, encoded = rest.partition("+")
        data = _decoded(encoded)
        if data is None or len(data) != 1 + HASH_BYTES or data[:1] != _ED25519 or not usable_name(name):
            raise BadCheckpoint(f"'{text.strip()[:80]}' is not an ed25519 key of a signed note (<name>+<id>+<base64>).")
        key = cls(name, data[1:])
        if key.id.hex() != digits:
            raise BadCheckpoint(f"The key of '{name}' was altered: its id should be {key.id.hex()}, not {digits[:16]}.")
        return key

    def of(self, name: str) -> Key:
        """Return the same public key under another name: that of another segment of the ledger."""
        return Key(name, self.public)

    def signs(self, text: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is by this key over ``text``."""
        ed25519 = require("cryptography.hazmat.primitives.asymmetric.ed25519", "cryptography")
        invalid = require("cryptography.exceptions", "cryptography").InvalidSignature
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (invalid, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a tree; ``note`` is the whole text with its signatures, ``key`` the one that vouches for it."""

    origin: str
    size: int
    root: bytes
    note: str = ""
    key: Key | None = None

    def body(self) -> str:
        """Return what is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def signed(self, key: Key, signature: bytes) -> Checkpoint:
        """Return it with the ``signature`` (64 bytes) that ``key`` made over :meth:`body`; ``key`` vouches for it.

        :raises BadCheckpoint: the signature is not that.
        """
        line = f"{_MARK}{key.name} {base64.b64encode(key.id + signature).decode()}\n"
        return parse((self.note or f"{self.body()}\n") + line, (key,))


def usable_name(name: str) -> bool:
    """Return whether ``name`` can be the name of a key: it has neither blanks nor a plus sign."""
    return bool(name) and "+" not in name and not any(character.isspace() for character in name)


def parse(note: str, keys: Iterable[Key]) -> Checkpoint:
    """Return the checkpoint that ``note`` is, after checking it.

    :raises BadCheckpoint: its form is wrong, no known key signed it, or one that is known did not sign this.
    """
    text, signatures = _split(note)
    found = _body(text)
    known = {(key.name, key.id): key for key in keys if key.name == found.origin}
    vouching: Key | None = None
    for name, identity, signature in signatures:
        key = known.get((name, identity))
        if key is None:
            continue
        if len(signature) != _SIGNATURE_BYTES or not key.signs(text.encode(), signature):
            raise BadCheckpoint(f"The checkpoint of {found.size} entries was altered: it is not what was signed.")
        vouching = vouching or key
    if vouching is None:
        ids = ", ".join(sorted({identity.hex() for _name, identity, _signature in signatures}))
        raise BadCheckpoint(
            f"The checkpoint of {found.size} entries of '{found.origin}' is signed by no known key (it names {ids})."
        )
    return Checkpoint(found.origin, found.size, found.root, note, vouching)


def unverified(note: str) -> Checkpoint:
    """Return what ``note`` claims, its signatures unchecked.

    :raises BadCheckpoint: its form is wrong.
    """
    text, _signatures = _split(note)
    found = _body(text)
    return Checkpoint(found.origin, found.size, found.root, note)


def _split(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """Return the signed text, and (name, key id, signature) of each signature line."""
    if len(note) > _MAX_BYTES or any((c < " " and c != "\n") or c == "\ufffd" for c in note):
        raise BadCheckpoint("This is no checkpoint: it is too long or has control characters.")
    text, separator, block = note.rpartition("\n\n")
    if not separator or not block.endswith("\n"):
        raise BadCheckpoint("This is no checkpoint: it has no signatures.")
    lines = block[:-1].split("\n")
    if len(lines) > _MAX_SIGNATURES:
        raise BadCheckpoint(f"This is no checkpoint: it has more than {_MAX_SIGNATURES} signatures.")
    return text + "\n", [_signature(line) for line in lines]


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, _blank, encoded = line.removeprefix(_MARK).partition(" ")
    data = _decoded(encoded)
    if not line.startswith(_MARK) or not usable_name(name) or data is None or len(data) < 5:
        raise BadCheckpoint("This is no checkpoint: a line after the blank one is not a signature.")
    return name, data[:4], data[4:]


def _body(text: str) -> Checkpoint:
    lines = text[:-1].split("\n")
    root = _decoded(lines[2]) if len(lines) >= 3 else None
    if root is None or len(root) != HASH_BYTES or not lines[0] or not all(lines) or not _NUMBER.fullmatch(lines[1]):
        raise BadCheckpoint("This is no checkpoint: its text is not an origin, a size and a root, each on a line.")
    return Checkpoint(lines[0], int(lines[1]), root)


def _decoded(text: str) -> bytes | None:
    """Return the bytes of standard base64 in its one form, else None."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None
