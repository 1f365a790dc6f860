# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Who someone is, proven to Vault with credentials of their own, and what they say, signed by their own key.

Each person has a transit key ``approver-<entity id>``, and one to ask with, ``requester-<entity id>``. Vault's policies
let nobody else sign with them (their paths hold ``{{identity.entity.id}}``). An entry that someone wrote past the
modules has no such signature.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from ..imports import require
from ..ledger import Entry, canonical
from ..vault import Signature, VaultDenied, VaultError, client, explained, verified
from .ports import Signer

_APPROVER, _REQUESTER = "approver-", "requester-"
# Takes event, data and id of an entry; returns its {signature, key, key_version}.
Sign = Callable[[str, Mapping[str, Any], str], dict[str, Any]]
# Ids of Vault are UUIDs; anything else would lead to another path there, as in "x/../approver-<another's id>".
_ENTITY = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True)
class Identity:
    """A person: ``name`` as people know it, ``entity`` as Vault does (empty where it is only a login)."""

    name: str
    entity: str = ""
    method: str = "login"

    def as_dict(self) -> dict[str, str]:
        """Return the identity as it stands in entries, under ``by``."""
        return asdict(self)


def key_of(event: str, entity: str) -> str:
    """Return the name of the key that ``entity`` signs such an entry with: to ask is another right than to approve."""
    return (_REQUESTER if event == "planned" else _APPROVER) + entity


def statement(event: str, data: Mapping[str, Any], id: str) -> bytes:
    """Return the bytes that a person signs: RFC 8785 of the entry's data without the signature, with event and id.

    A ledger holds an id once, so what was signed cannot be said again: not after it was withdrawn or used up.
    """
    said = {key: value for key, value in data.items() if key != "signed"}
    return canonical.encode(said | {"event": event, "id": id})


def signature_of(entry: Entry) -> Signature | None:
    """Return the signature that an entry carries, by the very person it names, for Vault to check; None without one."""
    signed, by = entry.data.get("signed"), entry.data.get("by")
    if not isinstance(signed, Mapping) or not isinstance(by, Mapping):
        return None
    entity, key = str(by.get("entity", "")), signed.get("key")
    signature, version = signed.get("signature"), signed.get("key_version")
    if not _ENTITY.fullmatch(entity) or key != key_of(str(entry.data["event"]), entity):
        return None
    if not isinstance(signature, str) or not isinstance(version, int):
        return None
    return Signature(signature, key, version, "")


def looks_signed(entry: Entry) -> bool:
    """Return whether an entry carries what could be the signature of the person it names; Vault is not asked."""
    return signature_of(entry) is not None


def trusted_by(signer: Callable[[], Signer], ledger: str) -> Callable[[Entry], bool]:
    """Return the function that tells whether what an entry says was signed by the person it names, for this ledger.

    :param signer: Vault, as the promoter sees it; it is asked only when there is a signature to check.
    :param ledger: the ledger's name; two can share a Vault, and what was said in one does not count in the other.
    """

    def trusted(entry: Entry) -> bool:
        signature = signature_of(entry)
        if signature is None or entry.data.get("ledger") != ledger:
            return False
        return signer().verify(statement(str(entry.data["event"]), entry.data, entry.id), signature)

    return trusted


class Person:
    """One person at Vault, from the moment of logging in until the session ends."""

    def __init__(self, vault: Any, identity: Identity, address: str, mount: str) -> None:
        self.identity = identity
        self._vault, self._address, self._mount = vault, address, mount

    def sign(self, event: str, data: Mapping[str, Any], id: str) -> dict[str, Any]:
        """Return {signature, key, key_version} over the statement; the key is made when this is the first time.

        :raises VaultDenied: the person's policy does not let them say such a thing.
        """
        key, name = key_of(event, self.identity.entity), self.identity.name
        policy = "golden-goose-requester" if event == "planned" else "golden-goose-approver"
        invalid = require("hvac").exceptions.InvalidPath
        cure = f"what {name} says counts once Vault gives {name} the policy {policy} (docs/operations.md, People)"
        with explained(self._address, f"a signature with the key {key}", cure):
            try:
                self._vault.secrets.transit.read_key(name=key, mount_point=self._mount)
            except invalid:
                self._vault.secrets.transit.create_key(name=key, key_type="ed25519", mount_point=self._mount)
            answer = self._vault.secrets.transit.sign_data(
                name=key,
                hash_input=base64.b64encode(statement(event, data, id)).decode("ascii"),
                mount_point=self._mount,
            )
        version, signature = str(answer["data"]["signature"]).partition(":v")[2].partition(":")[::2]
        return {"signature": signature, "key": key, "key_version": int(version)}

    def has_signed(self, entry: Entry) -> bool:
        """Return whether this person has signed the entry; one that only looks so keeps nobody from saying it."""
        signature = signature_of(entry)
        if signature is None or signature.key != key_of(str(entry.data["event"]), self.identity.entity):
            return False
        said = statement(str(entry.data["event"]), entry.data, entry.id)
        with explained(self._address, "a verification", "run playbooks/vault.yml to renew the policies of people"):
            return verified(self._vault, said, signature, self._mount)


@contextmanager
def logged_in(options: Mapping[str, Any]) -> Iterator[Person]:
    """Log in with what ``options`` hold, and end a token that was made for it.

    :param options: address, and one of token, role_id with secret_id, username with password; ca_cert, mount
        (of the auth method), transit_mount.
    :raises VaultError: no way to log in is given, or the token is of nobody in particular.
    """
    address = str(options["address"])
    vault = client(address, options.get("ca_cert"), options.get("token") or "")
    cure = "the token has expired or was revoked, or may not look itself up: log in again"
    with explained(address, "a login", cure):
        method = _log_in(vault, options, address)
        try:
            said = vault.auth.token.lookup_self()["data"]
            yield Person(vault, _identity(said, method, address), address, options.get("transit_mount") or "transit")
        finally:
            if method != "token":
                vault.auth.token.revoke_self()


def _log_in(vault: Any, options: Mapping[str, Any], address: str) -> str:
    invalid = require("hvac").exceptions.InvalidRequest
    try:
        if options.get("token"):
            return "token"
        if options.get("username") and options.get("password"):
            vault.auth.userpass.login(
                username=options["username"],
                password=options["password"],
                mount_point=options.get("mount") or "userpass",
            )
            return "userpass"
        if options.get("role_id") and options.get("secret_id"):
            vault.auth.approle.login(
                role_id=options["role_id"],
                secret_id=options["secret_id"],
                mount_point=options.get("mount") or "approle",
            )
            return "approle"
    except invalid as error:
        raise VaultDenied(f"Vault at {address} does not accept these credentials; check name and password.") from error
    raise VaultError(
        f"Nothing says who you are at Vault {address}; give a token, username and password, or role_id and secret_id."
    )


def _identity(said: Mapping[str, Any], method: str, address: str) -> Identity:
    entity, meta = str(said.get("entity_id") or ""), said.get("meta") or {}
    if not entity:
        raise VaultError(
            f"The token for Vault at {address} belongs to nobody (it has no entity, as root tokens have none); "
            "log in as a person."
        )
    name = meta.get("username") or meta.get("role_name") or said.get("display_name") or entity
    return Identity(str(name), entity, method)
