# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Bring a Vault from "just started" to "the promoter can sign evidence", and keep it there.

Every step looks first and acts only on a difference, so a run that was killed is finished by the next.
"""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .files import make_dirs, read_json, write_atomic
from .vault import PromoterVault, VaultDown, VaultError, client, explained

ROOT_FILE = "root.json"
APPROLE_FILE = "promoter-approle.json"
KEY_TYPE = "ed25519"
_POLL_SECONDS = 0.2
_TOKEN_SECONDS = 600


def _policy_text(rules: Mapping[str, tuple[str, ...]]) -> str:
    return "".join(
        f'path "{path}" {{\n  capabilities = {json.dumps(list(capabilities))}\n}}\n'
        for path, capabilities in rules.items()
    )


@dataclass(frozen=True)
class Wanted:
    """What Vault should hold. ``token`` is an administrator's, for a Vault that we did not initialise."""

    address: str
    config_dir: Path
    ca_cert: str | None = None
    token: str | None = field(default=None, repr=False)
    kv_mount: str = "golden-goose"
    transit_mount: str = "transit"
    key: str = "evidence"
    policy: str = "golden-goose-promoter"
    approver_policy: str = "golden-goose-approver"
    requester_policy: str = "golden-goose-requester"
    approle: str = "golden-goose-promoter"
    bound_cidrs: tuple[str, ...] = ()
    wait_seconds: float = 60.0

    def policy_text(self) -> str:
        """Return the promoter's policy: sign, verify, read the public key, keep the ledger's head."""
        rules = {
            f"{self.transit_mount}/sign/{self.key}": ("update",),
            f"{self.transit_mount}/verify/{self.key}": ("update",),
            f"{self.transit_mount}/keys/{self.key}": ("read",),
            # Whether an approval is of the person that it names; see promotion/identity.py.
            f"{self.transit_mount}/verify/approver-*": ("update",),
            f"{self.transit_mount}/verify/requester-*": ("update",),
            f"{self.kv_mount}/data/ledger/*": ("create", "read", "update"),
            # The role's tokens come without the default policy, and revoke themselves after each use.
            "auth/token/revoke-self": ("update",),
        }
        return _policy_text(rules)

    def people_policy_text(self, right: str) -> str:
        """Return the policy of people who may approve, or ask: sign and verify with a key that has their own id.

        :param right: ``approver`` or ``requester``, with which the key's name begins.
        """
        own = right + "-{{identity.entity.id}}"
        return _policy_text(
            {
                f"{self.transit_mount}/keys/{own}": ("create", "read", "update"),
                f"{self.transit_mount}/sign/{own}": ("update",),
                f"{self.transit_mount}/verify/{own}": ("update",),
                "auth/token/lookup-self": ("read",),
                "auth/token/revoke-self": ("update",),
            }
        )

    def role_settings(self) -> dict[str, Any]:
        """Return the AppRole's settings as Vault reports them: durations in seconds."""
        return {
            "bind_secret_id": True,
            "secret_id_bound_cidrs": list(self.bound_cidrs),
            "token_bound_cidrs": list(self.bound_cidrs),
            "token_policies": [self.policy],
            "token_no_default_policy": True,
            "token_ttl": _TOKEN_SECONDS,
            "token_max_ttl": _TOKEN_SECONDS,
            "token_type": "service",
        }


@dataclass(frozen=True)
class Outcome:
    """``changes`` says in words what was done, or would be; empty when all was as wanted."""

    changes: list[str]
    public_key: str | None
    key_version: int | None


def bootstrap(wanted: Wanted, check: bool = False) -> Outcome:
    """Make Vault hold what ``wanted`` says; with ``check`` only say what would change.

    :raises VaultError: Vault does not answer in time, holds something that contradicts ``wanted``, or the
        root file does not fit it.
    """
    if check and wanted.token is None and not _answers(wanted):
        return Outcome(["initialise Vault and set up the promoter"], None, None)
    return _Bootstrap(wanted, check).run()


def _answers(wanted: Wanted) -> bool:
    """Return whether an initialised Vault answers: in check mode on a bare host there is none."""
    try:
        with explained(wanted.address, "a status request"):
            return bool(client(wanted.address, wanted.ca_cert).sys.is_initialized())
    except VaultDown:
        return False


class _Bootstrap:
    def __init__(self, wanted: Wanted, check: bool) -> None:
        self._wanted = wanted
        self._check = check
        self._vault = client(wanted.address, wanted.ca_cert)
        self._changes: list[str] = []

    def run(self) -> Outcome:
        wanted = self._wanted
        if not self._check:
            make_dirs(wanted.config_dir, 0o700)
        self._vault.token = wanted.token or self._root_token()
        self._wait_active()
        with explained(wanted.address, "the set-up of the promoter"):
            self._mounts()
            self._key()
            self._policy()
            self._approle()
            promoter = self._promoter()
        return self._outcome(promoter)

    def _outcome(self, promoter: PromoterVault | None) -> Outcome:
        if promoter is None:
            return Outcome(self._changes, None, None)
        version, public_key = promoter.public_key()
        return Outcome(self._changes, public_key, version)

    def _change(self, what: str) -> bool:
        """Note a change; return whether to make it."""
        self._changes.append(what)
        return not self._check

    def _root_token(self) -> str:
        """Return the root token: from the root file, or from initialising a new Vault."""
        root_file = self._wanted.config_dir / ROOT_FILE
        if root_file.exists():
            self._wait_initialised(root_file)
            return _token_in(root_file)
        if self._initialised():
            raise VaultError(
                f"Vault at {self._wanted.address} is initialised but {root_file} is not there; restore that "
                "file, or give an administrator's token as vault_token."
            )
        return self._initialise(root_file)

    def _wait_initialised(self, root_file: Path) -> None:
        """Wait until the Vault that the root file is of has opened its storage.

        Before that, and for ever with a wrong seal key, it calls itself not initialised; it must not be
        initialised anew then.
        """
        deadline = time.monotonic() + self._wanted.wait_seconds
        while not self._initialised():
            if time.monotonic() >= deadline:
                raise VaultDown(
                    f"Vault at {self._wanted.address} says that it is not initialised, but {root_file} is of an "
                    "earlier initialisation; restore its storage and seal key, or remove that file to start "
                    "anew with a new evidence key."
                )
            time.sleep(_POLL_SECONDS)

    def _initialise(self, root_file: Path) -> str:
        # One recovery share: the seal key on disk unseals, the share only serves to make a new root token.
        with explained(self._wanted.address, "initialisation"):
            answer = self._vault.sys.initialize(recovery_shares=1, recovery_threshold=1)
        document = {"root_token": answer["root_token"], "recovery_keys": answer["recovery_keys_base64"]}
        write_atomic(root_file, _json(document), 0o600)
        self._changes.append("initialised Vault")
        return str(answer["root_token"])

    def _initialised(self) -> bool:
        """Ask until Vault answers: it may have been started a moment ago."""
        deadline = time.monotonic() + self._wanted.wait_seconds
        while True:
            try:
                with explained(self._wanted.address, "a status request"):
                    return bool(self._vault.sys.is_initialized())
            except VaultDown:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_POLL_SECONDS)

    def _wait_active(self) -> None:
        """Wait until Vault is unsealed and has become active (after unsealing it elects itself first)."""
        deadline = time.monotonic() + self._wanted.wait_seconds
        while True:
            with explained(self._wanted.address, "a status request"):
                answer = self._vault.sys.read_health_status(method="GET", standby_ok=True)
                state = answer if isinstance(answer, dict) else answer.json()
            if state["initialized"] and not state["sealed"] and not state["standby"]:
                return
            if time.monotonic() >= deadline:
                raise VaultDown(
                    f"Vault at {self._wanted.address} is still {_state_in_words(state)} after "
                    f"{self._wanted.wait_seconds:.0f} s; look into its log, and check that its seal key is "
                    "the one it was initialised with."
                )
            time.sleep(_POLL_SECONDS)

    def _mounts(self) -> None:
        wanted = self._wanted
        mounts = self._vault.sys.list_mounted_secrets_engines()["data"]
        for path, kind, options in (
            (wanted.kv_mount, "kv", {"version": "2"}),
            (wanted.transit_mount, "transit", None),
        ):
            found = mounts.get(f"{path}/")
            if found is None:
                if self._change(f"mounted {kind} at {path}"):
                    self._vault.sys.enable_secrets_engine(backend_type=kind, path=path, options=options)
            elif found["type"] != kind or (options and (found["options"] or {}).get("version") != "2"):
                raise VaultError(
                    f"Vault at {wanted.address} has something else than {kind} "
                    f"{'version 2 ' if options else ''}mounted at {path}; "
                    "choose another mount with vault_kv_mount or vault_transit_mount."
                )

    def _key(self) -> None:
        wanted = self._wanted
        found = self._read(f"{wanted.transit_mount}/keys/{wanted.key}")
        if found is None:
            if self._change(f"created the {KEY_TYPE} key {wanted.key}"):
                self._vault.secrets.transit.create_key(
                    name=wanted.key,
                    key_type=KEY_TYPE,
                    exportable=False,
                    allow_plaintext_backup=False,
                    mount_point=wanted.transit_mount,
                )
        elif found["type"] != KEY_TYPE or found["exportable"] or found["allow_plaintext_backup"]:
            raise VaultError(
                f"The key {wanted.key!r} in Vault at {wanted.address} is of type {found['type']} or can be "
                f"exported; evidence needs an {KEY_TYPE} key that cannot: choose another name with vault_key."
            )

    def _policy(self) -> None:
        wanted = self._wanted
        texts = {
            wanted.policy: wanted.policy_text(),
            wanted.approver_policy: wanted.people_policy_text("approver"),
            wanted.requester_policy: wanted.people_policy_text("requester"),
        }
        for name, text in texts.items():
            found = self._read(f"sys/policies/acl/{name}")
            if (found is None or found["policy"] != text) and self._change(f"wrote the policy {name}"):
                self._vault.sys.create_or_update_acl_policy(name=name, policy=text, pretty_print=False)

    def _approle(self) -> None:
        wanted = self._wanted
        if "approle/" not in self._vault.sys.list_auth_methods()["data"]:
            if not self._change("enabled AppRole"):
                return
            self._vault.sys.enable_auth_method(method_type="approle")
        settings = wanted.role_settings()
        found = self._read(f"auth/approle/role/{wanted.approle}")
        if found is not None and all(_same(found.get(name), value) for name, value in settings.items()):
            return
        if self._change(f"wrote the AppRole {wanted.approle}"):
            self._vault.write_data(f"auth/approle/role/{wanted.approle}", data=settings)

    def _promoter(self) -> PromoterVault | None:
        """Return the promoter with credentials that were seen to work, issuing new ones if need be."""
        wanted = self._wanted
        path = wanted.config_dir / APPROLE_FILE
        current = self._current_promoter(path)
        if current is not None:
            return current
        if not self._change(f"issued the promoter's credentials {path}"):
            return None
        role = f"auth/approle/role/{wanted.approle}"
        promoter = PromoterVault(
            address=wanted.address,
            role_id=self._vault.read(f"{role}/role-id")["data"]["role_id"],
            secret_id=self._vault.write_data(f"{role}/secret-id", data={})["data"]["secret_id"],
            kv_mount=wanted.kv_mount,
            transit_mount=wanted.transit_mount,
            key=wanted.key,
            ca_cert=wanted.ca_cert,
        )
        write_atomic(path, _json(promoter.document()), 0o600)
        return promoter

    def _current_promoter(self, path: Path) -> PromoterVault | None:
        try:
            found = PromoterVault.from_approle_file(path)
            if found.document() != {**found.document(), **self._expected()}:
                return None
            found.public_key()
        except VaultDown:
            raise
        except VaultError:
            # Missing, damaged or withdrawn: new credentials replace them.
            return None
        mode_changed = path.stat().st_mode & 0o777 != 0o600
        if mode_changed and self._change(f"closed the permissions of {path}"):
            path.chmod(0o600)
        return found

    def _expected(self) -> dict[str, str | None]:
        names = ("address", "kv_mount", "transit_mount", "key", "ca_cert")
        return {name: getattr(self._wanted, name) for name in names}

    def _read(self, path: str) -> dict[str, Any] | None:
        """Return the data at ``path``, None when there is none."""
        answer = self._vault.read(path)
        return None if answer is None else answer["data"]


def _same(found: object, value: object) -> bool:
    """Compare a setting as Vault reports it: null for an empty list, an address for a network of one."""
    if isinstance(value, list):
        items = found if isinstance(found, list) else []
        return sorted(map(_network, items)) == sorted(map(_network, value))
    return found == value


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return text


def _token_in(root_file: Path) -> str:
    document = read_json(root_file, "Vault's root file")
    token = document.get("root_token") if isinstance(document, dict) else None
    if not isinstance(token, str) or not token:
        raise VaultError(f"Vault's root file {root_file} has no root_token; restore it from a backup.")
    return token


def _state_in_words(state: dict[str, Any]) -> str:
    if not state["initialized"]:
        return "not initialised"
    return "sealed" if state["sealed"] else "not active"


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()
