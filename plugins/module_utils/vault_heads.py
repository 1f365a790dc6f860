# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The head of a ledger, kept in Vault's KV (version 2) by check-and-set and signed by its transit engine."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .imports import require
from .ledger import HeadMoved
from .vault import PromoterVault, VaultError

_CAS_REFUSED = "check-and-set"


@dataclass(frozen=True)
class VaultHeads:
    """The second place of :mod:`ledger.anchor`, with the promoter's credentials."""

    vault: PromoterVault

    def public_keys(self) -> Sequence[tuple[int, bytes]]:
        """Return (version, public key) of every version of the key, ascending.

        :raises VaultError: Vault does not answer, or the key is not of type ed25519.
        """
        with self.vault.session("the public keys") as client:
            keys = client.secrets.transit.read_key(name=self.vault.key, mount_point=self.vault.transit_mount)
        found = [(int(version), _bytes(str(key.get("public_key")))) for version, key in keys["data"]["keys"].items()]
        if not found or any(len(public) != 32 for _version, public in found):
            raise VaultError(
                f"The key {self.vault.key!r} of Vault at {self.vault.address} cannot sign a head; it has to be of the "
                "type ed25519."
            )
        return sorted(found)

    def sign(self, data: bytes, version: int) -> bytes:
        """Return the signature over ``data`` by that version of the key, which stays in Vault.

        :raises VaultError: Vault does not answer or refuses.
        """
        with self.vault.session("a signature") as client:
            answer = client.secrets.transit.sign_data(
                name=self.vault.key,
                hash_input=base64.b64encode(data).decode(),
                key_version=str(version),
                mount_point=self.vault.transit_mount,
            )
        return _bytes(str(answer["data"]["signature"]).rpartition(":")[2])

    def read(self, origin: str) -> tuple[int, Mapping[str, Any] | None]:
        """Return (version, document) of what is kept; (0, None) when nothing ever was, (n, None) when it was deleted.

        :raises VaultError: Vault does not answer or refuses.
        """
        absent = require("hvac").exceptions.InvalidPath
        with self.vault.session("the ledger's head") as client:
            try:
                answer = client.secrets.kv.v2.read_secret_version(
                    path=_path(origin), mount_point=self.vault.kv_mount, raise_on_deleted_version=True
                )
            except absent as error:
                deleted = ((error.json or {}).get("data") or {}).get("metadata") or {}
                return int(deleted.get("version", 0)), None
        return int(answer["data"]["metadata"]["version"]), answer["data"]["data"]

    def write(self, origin: str, document: Mapping[str, Any], version: int) -> None:
        """Keep ``document`` in the place of ``version``.

        :raises HeadMoved: another version is there.
        :raises VaultError: Vault does not answer or refuses.
        """
        refused = require("hvac").exceptions.InvalidRequest
        with self.vault.session("keeping the ledger's head") as client:
            try:
                client.secrets.kv.v2.create_or_update_secret(
                    path=_path(origin), secret=dict(document), cas=version, mount_point=self.vault.kv_mount
                )
            except refused as error:
                if _CAS_REFUSED not in str(error):
                    raise
                raise HeadMoved(
                    f"Another run moved the head of '{origin}' in Vault at {self.vault.address} at the same time; "
                    "run evidence_checkpoint again. If it happens every time, another copy of the ledger is in use."
                ) from error


def _path(origin: str) -> str:
    """Return where the head is kept; the policy allows ledger/*, and an origin may have any printable character."""
    return f"ledger/{hashlib.sha256(origin.encode()).hexdigest()[:32]}"


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
