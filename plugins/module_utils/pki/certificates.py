# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Issue X.509 certificates (RFC 5280): decide whether one is needed, then write key and certificate.

Keys are ECDSA P-256 (FIPS 186-5) in PKCS #8, mode 0600. A certificate is issued again when it is
missing or damaged, says something else than was asked for, was issued by another authority, or has
less than a tenth of its time left.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ..errors import GoldenGooseError
from ..files import make_dirs, write_atomic
from ..imports import require

# A clock that is a little behind on another machine must not refuse a new certificate.
_BACKDATE = timedelta(minutes=5)


@dataclass(frozen=True)
class Request:
    """What a certificate is to say; ``issuer`` None makes it an authority."""

    name: str
    common_name: str
    organization: str | None = None
    issuer: str | None = None
    dns: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()
    usages: tuple[str, ...] = ("server", "client")
    days: int = 365


class Authority:
    """All certificates below one folder: ``<name>.crt`` and ``<name>.key``."""

    def __init__(self, folder: Path, *, check: bool) -> None:
        self._folder = folder
        self._check = check
        self._x509 = require("cryptography.x509", "cryptography")
        self._hashes = require("cryptography.hazmat.primitives.hashes", "cryptography")
        self._serialization = require("cryptography.hazmat.primitives.serialization", "cryptography")
        self._ec = require("cryptography.hazmat.primitives.asymmetric.ec", "cryptography")

    def ensure(self, request: Request) -> bool:
        """Issue what ``request`` asks for unless it is there; return whether it was issued.

        :raises GoldenGooseError: the issuer is not there, or a file cannot be written.
        """
        if self._is_current(request):
            return False
        if not self._check:
            make_dirs(self._folder, 0o755)
            self._issue(request)
        return True

    def ensure_key_pair(self, name: str) -> bool:
        """Write an RSA 2048 key pair ``<name>.key``, ``<name>.pub`` unless it is there.

        A key that is there is kept: what it has signed stays valid. ``<name>.pub`` follows it.

        :raises GoldenGooseError: the key that is there cannot be read, or a file cannot be written.
        """
        key_path, public_path = self._folder / f"{name}.key", self._folder / f"{name}.pub"
        if not key_path.exists():
            if not self._check:
                make_dirs(self._folder, 0o755)
                rsa = require("cryptography.hazmat.primitives.asymmetric.rsa", "cryptography")
                key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
                write_atomic(key_path, self._private_pem(key), 0o600)
                write_atomic(public_path, self._public_pem(key))
            return True
        public = self._public_pem(self._load_key(name))
        if self._check:
            return not public_path.exists() or public_path.read_bytes() != public
        return write_atomic(public_path, public)

    def certificate_pem(self, name: str) -> bytes:
        """Return the PEM text of the certificate ``name``."""
        return self._read(f"{name}.crt")

    def key_pem(self, name: str) -> bytes:
        """Return the PEM text of the private key ``name``."""
        return self._read(f"{name}.key")

    def _read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise GoldenGooseError(f"Cannot read {self._folder / name}: {error.strerror or error}.") from error

    def _load_key(self, name: str) -> Any:
        try:
            return self._serialization.load_pem_private_key(self.key_pem(name), password=None)
        except (ValueError, TypeError) as error:
            raise GoldenGooseError(
                f"{self._folder / name}.key is not a private key in PEM; remove it to have another one made."
            ) from error

    def _is_current(self, request: Request) -> bool:
        try:
            certificate = self._x509.load_pem_x509_certificate(self.certificate_pem(request.name))
            key = self._serialization.load_pem_private_key(self.key_pem(request.name), password=None)
        except (GoldenGooseError, ValueError):
            return False
        left = certificate.not_valid_after_utc - datetime.now(UTC)
        identifiers = (self._x509.SubjectKeyIdentifier, self._x509.AuthorityKeyIdentifier)
        given = [(e.value, e.critical) for e in certificate.extensions if not isinstance(e.value, identifiers)]
        return (
            left > timedelta(days=request.days) / 10
            and certificate.subject == self._subject(request)
            and key.public_key() == certificate.public_key()
            and given == self._extensions(request)
            and self._issued_by(certificate, request)
        )

    def _issued_by(self, certificate: Any, request: Request) -> bool:
        issuer_name = request.issuer or request.name
        try:
            issuer = self._x509.load_pem_x509_certificate(self.certificate_pem(issuer_name))
            certificate.verify_directly_issued_by(issuer)
        except (GoldenGooseError, ValueError, TypeError, require("cryptography.exceptions").InvalidSignature):
            return False
        return True

    def _issue(self, request: Request) -> None:
        key = self._ec.generate_private_key(self._ec.SECP256R1())
        if request.issuer:
            issuer = self._x509.load_pem_x509_certificate(self.certificate_pem(request.issuer))
            issuer_key = self._load_key(request.issuer)
            issuer_name, authority_key = issuer.subject, issuer.public_key()
        else:
            issuer_key, issuer_name, authority_key = key, self._subject(request), key.public_key()
        now = datetime.now(UTC)
        builder = (
            self._x509.CertificateBuilder()
            .subject_name(self._subject(request))
            .issuer_name(issuer_name)
            .public_key(key.public_key())
            .serial_number(self._x509.random_serial_number())
            .not_valid_before(now - _BACKDATE)
            .not_valid_after(now + timedelta(days=request.days))
            .add_extension(self._x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(self._x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key), critical=False)
        )
        for extension, critical in self._extensions(request):
            builder = builder.add_extension(extension, critical=critical)
        certificate = builder.sign(issuer_key, self._hashes.SHA256())
        # The key first: a certificate without its key is seen as missing and issued again.
        write_atomic(self._folder / f"{request.name}.key", self._private_pem(key), 0o600)
        pem = certificate.public_bytes(self._serialization.Encoding.PEM)
        write_atomic(self._folder / f"{request.name}.crt", pem)

    def _subject(self, request: Request) -> Any:
        oid = self._x509.NameOID
        attributes = [self._x509.NameAttribute(oid.COMMON_NAME, request.common_name)]
        if request.organization:
            attributes.insert(0, self._x509.NameAttribute(oid.ORGANIZATION_NAME, request.organization))
        return self._x509.Name(attributes)

    def _extensions(self, request: Request) -> list[tuple[Any, bool]]:
        x509 = self._x509
        is_authority = request.issuer is None
        usage = dict.fromkeys(
            (
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        extensions: list[tuple[Any, bool]] = [
            (x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), True),
            (
                x509.KeyUsage(
                    digital_signature=not is_authority,
                    key_cert_sign=is_authority,
                    crl_sign=is_authority,
                    **usage,
                ),
                True,
            ),
        ]
        if not is_authority:
            oid = x509.ExtendedKeyUsageOID
            known = {"server": oid.SERVER_AUTH, "client": oid.CLIENT_AUTH}
            extensions.append((x509.ExtendedKeyUsage([known[u] for u in request.usages]), False))
        names: list[Any] = [x509.DNSName(name) for name in request.dns]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in request.ip]
        if names:
            extensions.append((x509.SubjectAlternativeName(names), False))
        return extensions

    def _private_pem(self, key: Any) -> bytes:
        s = self._serialization
        pem: bytes = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
        return pem

    def _public_pem(self, key: Any) -> bytes:
        s = self._serialization
        pem: bytes = key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
        return pem


def requests_from(authorities: Sequence[Mapping[str, Any]], certificates: Sequence[Mapping[str, Any]]) -> list[Request]:
    """Return the requests that the module's options describe, authorities first.

    :raises GoldenGooseError: an address is none, or an issuer is not among the authorities.
    """
    known = {item["name"] for item in authorities}
    requests = [Request(item["name"], item["common_name"], days=item["days"]) for item in authorities]
    for item in certificates:
        if item["issuer"] not in known:
            raise GoldenGooseError(
                f"The certificate {item['name']} names the issuer {item['issuer']}, which is not among the "
                f"authorities: {', '.join(sorted(known))}."
            )
        for address in item["ip"]:
            try:
                ipaddress.ip_address(address)
            except ValueError as error:
                raise GoldenGooseError(f"The certificate {item['name']}: {error}.") from error
        requests.append(
            Request(
                name=item["name"],
                common_name=item["common_name"],
                organization=item["organization"],
                issuer=item["issuer"],
                dns=tuple(item["dns"]),
                ip=tuple(item["ip"]),
                usages=tuple(item["usages"]),
                days=item["days"],
            )
        )
    return requests
