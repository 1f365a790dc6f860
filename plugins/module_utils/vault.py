# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Signatures with a key that never leaves Vault, made with an AppRole and no root token.

Works with OpenBao and HashiCorp Vault: only the AppRole and transit APIs that both have are used.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import GoldenGooseError
from .files import read_json
from .imports import require

TIMEOUT_SECONDS = 10
# Transit writes "vault:v<key version>:<base64>".
_SIGNATURE_PREFIX = "vault"
_TEXT_KEYS = ("address", "role_id", "secret_id", "kv_mount", "transit_mount", "key")


class VaultError(GoldenGooseError):
    """Vault did not do what was asked; the sentence says where and what to do."""


class VaultDown(VaultError):
    """Nothing that can serve requests answers at the address: not running, sealed or not initialised."""


class VaultDenied(VaultError):
    """Vault answered and refused the credentials, or the credentials are not allowed to do this."""


@dataclass(frozen=True)
class Signature:
    """One ed25519 signature: ``signature`` is the base64 of its 64 bytes, ``key_version`` counts from 1.

    ``public_key`` is the base64 of the 32 bytes (RFC 8032) of that version, so that what is signed can
    be checked when Vault is long gone.
    """

    signature: str
    key: str
    key_version: int
    public_key: str


def is_loopback(address: str) -> bool:
    """Return whether the URL ``address`` names this machine's loopback."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def client(address: str, ca_cert: str | None = None, token: str = "") -> Any:
    """Return an ``hvac.Client`` that takes nothing from the caller's environment or home folder.

    Proxies are for other machines: requests to loopback never go through one.

    :raises VaultError: ``address`` is not an http(s) URL; hvac is missing.
    """
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
        raise VaultError(
            f"The Vault address {address!r} is not a URL; give it as https://host:8200 or http://127.0.0.1:8200."
        )
    hvac = require("hvac")
    session = require("requests").Session()
    if is_loopback(address):
        session.trust_env = False
    session.verify = ca_cert or True
    # An empty token, not None: hvac would read VAULT_TOKEN or ~/.vault-token for None.
    return hvac.Client(url=address, token=token, session=session, timeout=TIMEOUT_SECONDS)


_RENEW = "run playbooks/vault.yml to renew the policy and the promoter's credentials"


@contextmanager
def explained(address: str, doing: str, cure: str = _RENEW) -> Iterator[None]:
    """Turn the failures of hvac and requests in the block into one sentence each.

    :param doing: what was attempted, as in "Vault at X refused <doing>".
    :param cure: what to do where the credentials do not suffice.
    :raises VaultDown: no connection, sealed, not initialised, or not able to serve requests now.
    :raises VaultDenied: the credentials were refused.
    :raises VaultError: anything else that Vault refused.
    """
    exceptions, requests = require("hvac").exceptions, require("requests").exceptions
    try:
        yield
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise VaultDenied(f"Vault at {address} refused {doing} (permission denied); {cure}.") from error
    except (exceptions.VaultDown, exceptions.VaultNotInitialized) as error:
        raise VaultDown(
            f"Vault at {address} is sealed or not initialised, so it cannot do {doing}; run playbooks/vault.yml."
        ) from error
    except (exceptions.InternalServerError, exceptions.BadGateway, exceptions.RateLimitExceeded) as error:
        raise VaultDown(f"Vault at {address} is not able to do {doing} now: {_reason(error)}.") from error
    except exceptions.VaultError as error:
        raise VaultError(f"Vault at {address} refused {doing}: {_reason(error)}.") from error
    except requests.SSLError as error:
        raise VaultError(
            f"The certificate of Vault at {address} is not trusted; "
            "set vault_ca_cert to the file of the CA that signed it."
        ) from error
    except requests.RequestException as error:
        raise VaultDown(
            f"Vault at {address} does not answer ({type(error).__name__}), so it cannot do {doing}; "
            "start it with playbooks/vault.yml, or correct the address."
        ) from error


def _reason(error: Any) -> str:
    reasons = error.errors or [error.args[0] or type(error).__name__]
    return "; ".join(str(reason) for reason in reasons).strip().rstrip(".")


@dataclass(frozen=True)
class PromoterVault:
    """What the promoter may do in Vault: sign and verify with the evidence key, nothing else.

    Every call logs in with the AppRole and revokes its token when done, calls within ``lasting`` once for all of them:
    no token outlives what it was for.
    """

    address: str
    role_id: str
    secret_id: str = field(repr=False)
    kv_mount: str = "golden-goose"
    transit_mount: str = "transit"
    key: str = "evidence"
    ca_cert: str | None = None
    # Within ``lasting``: the client that is logged in, once it is.
    _kept: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    @classmethod
    def from_approle_file(cls, path: Path | str) -> PromoterVault:
        """Read the credentials that ``vault_bootstrap`` wrote (JSON, 0600).

        :raises VaultError: the file is missing, not readable, or lacks a value.
        """
        where = Path(path)
        if not where.is_file():
            raise VaultError(
                f"The promoter's Vault credentials are not at {where}; run playbooks/vault.yml, "
                "or set the path to where they are."
            )
        document = read_json(where, "The promoter's Vault credentials file")
        return cls._from_document(document, where)

    @classmethod
    def _from_document(cls, document: object, where: Path) -> PromoterVault:
        values = document if isinstance(document, Mapping) else {}
        wrong = [name for name in _TEXT_KEYS if not isinstance(values.get(name), str) or not values[name]]
        if wrong:
            raise VaultError(
                f"The promoter's Vault credentials at {where} lack {', '.join(wrong)}; "
                "remove the file and run playbooks/vault.yml to have it written again."
            )
        ca_cert = values.get("ca_cert")
        return cls(ca_cert=str(ca_cert) if ca_cert else None, **{name: str(values[name]) for name in _TEXT_KEYS})

    def document(self) -> dict[str, str | None]:
        """Return what ``from_approle_file`` reads; it contains the secret."""
        names = (*_TEXT_KEYS, "ca_cert")
        return {name: getattr(self, name) for name in names}

    def sign(self, data: bytes) -> Signature:
        """Sign ``data`` (any length; ed25519 takes the message itself, not a digest).

        :raises VaultDown: Vault does not answer or is sealed.
        :raises VaultDenied: the credentials are no longer good.
        """
        with self.session("a signature") as vault:
            answer = vault.secrets.transit.sign_data(
                name=self.key, hash_input=_base64(data), mount_point=self.transit_mount
            )
            keys = vault.secrets.transit.read_key(name=self.key, mount_point=self.transit_mount)
        return self._parse(answer["data"]["signature"], keys["data"]["keys"])

    def verify(self, data: bytes, signature: Signature) -> bool:
        """Return whether Vault finds ``signature`` to be its own for ``data``.

        What Vault cannot even read as a signature, or with a key that it does not have, is not its own.

        :raises VaultError: Vault does not answer, or the credentials are no longer good.
        """
        with self.session("a verification") as vault:
            return verified(vault, data, signature, self.transit_mount)

    def public_key(self, version: int | None = None) -> tuple[int, str]:
        """Return ``(version, public key)`` of the evidence key: base64 of the 32 bytes of RFC 8032.

        :param version: the latest one when not given.
        :raises VaultError: Vault does not answer, or has no such version.
        """
        with self.session("the public key") as vault:
            answer = vault.secrets.transit.read_key(name=self.key, mount_point=self.transit_mount)["data"]
        wanted = version or int(answer["latest_version"])
        found = answer["keys"].get(str(wanted))
        if found is None:
            raise VaultError(
                f"Vault at {self.address} has no version {wanted} of the key {self.key!r}; "
                f"it has {', '.join(sorted(answer['keys']))}."
            )
        return wanted, str(found["public_key"])

    @contextmanager
    def session(self, doing: str) -> Iterator[Any]:
        """Log in, hand out the ``hvac.Client``, and revoke the token afterwards."""
        if self._kept:
            with explained(self.address, doing):
                yield self._kept_client()
            return
        vault = client(self.address, self.ca_cert)
        with explained(self.address, doing):
            self._log_in(vault)
            try:
                yield vault
            finally:
                vault.auth.token.revoke_self()

    @contextmanager
    def lasting(self) -> Iterator[None]:
        """Log in at most once for all sessions in the block, which is short: a token lasts for minutes."""
        self._kept.append(None)
        try:
            yield
        finally:
            vault = self._kept.pop()
            if vault is not None:
                # What was asked for is done; a token that cannot be revoked now expires by itself.
                with suppress(VaultError), explained(self.address, "the end of a session"):
                    vault.auth.token.revoke_self()

    def _kept_client(self) -> Any:
        if self._kept[-1] is None:
            vault = client(self.address, self.ca_cert)
            self._log_in(vault)
            self._kept[-1] = vault
        return self._kept[-1]

    def _log_in(self, vault: Any) -> None:
        invalid = require("hvac").exceptions.InvalidRequest
        try:
            vault.auth.approle.login(role_id=self.role_id, secret_id=self.secret_id)
        except invalid as error:
            raise VaultDenied(
                f"Vault at {self.address} does not accept the promoter's AppRole credentials; "
                "run playbooks/vault.yml to renew them."
            ) from error

    def _parse(self, text: str, keys: Mapping[str, Mapping[str, Any]]) -> Signature:
        prefix, rest = text.partition(":v")[::2]
        version, signature = rest.partition(":")[::2]
        try:
            complete = len(base64.b64decode(signature, validate=True)) == 64
        except binascii.Error:
            complete = False
        public_key = keys.get(version, {}).get("public_key")
        if prefix != _SIGNATURE_PREFIX or not version.isdigit() or not complete or not public_key:
            raise VaultError(
                f"Vault at {self.address} answered with something that is not an ed25519 signature; "
                f"check that the key {self.key!r} is of type ed25519."
            )
        return Signature(signature, self.key, int(version), str(public_key))


def verified(vault: Any, data: bytes, signature: Signature, mount: str) -> bool:
    """Return whether ``vault``, an ``hvac.Client`` that may verify, finds ``signature`` to be its own for ``data``."""
    text = f"{_SIGNATURE_PREFIX}:v{signature.key_version}:{signature.signature}"
    try:
        answer = vault.secrets.transit.verify_signed_data(
            name=signature.key, hash_input=_base64(data), signature=text, mount_point=mount
        )
    except require("hvac").exceptions.InvalidRequest:
        return False
    return bool(answer["data"]["valid"])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
