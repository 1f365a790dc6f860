# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates: when they are issued anew, and whether OpenSSL takes them."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.pki import certificates
from ansible_collections.golden_goose.compliance.plugins.module_utils.pki.certificates import (
    Authority,
    Request,
    requests_from,
)
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

CA = Request("ca", "test-ca", days=3650)
WEB = Request("web", "web", organization="group", issuer="ca", dns=("web.test",), ip=("127.0.0.1", "::1"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path / "pki", check=False)
    assert authority.ensure(CA) and authority.ensure(WEB)
    return authority


def load(authority: Authority, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.certificate_pem(name))


def test_they_say_what_was_asked_for(authority: Authority, tmp_path: Path) -> None:
    web = load(authority, "web")
    assert web.subject.rfc4514_string() == "CN=web,O=group"
    assert web.issuer.rfc4514_string() == "CN=test-ca"
    names = web.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["web.test"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    left = web.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=364) < left <= timedelta(days=365)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "pki").iterdir()}
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "web.crt": 0o644, "web.key": 0o600}


def test_a_second_run_issues_nothing(authority: Authority, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in (tmp_path / "pki").iterdir()}
    assert not authority.ensure(CA) and not authority.ensure(WEB)
    assert {path: path.read_bytes() for path in (tmp_path / "pki").iterdir()} == before


@pytest.mark.parametrize(
    "changes",
    [
        {"common_name": "other"},
        {"organization": None},
        {"dns": ("web.test", "more.test")},
        {"dns": ()},
        {"dns": (), "ip": ()},
        {"usages": ("client",)},
    ],
)
def test_another_wish_issues_anew(authority: Authority, changes: dict[str, Any]) -> None:
    serial, key = load(authority, "web").serial_number, authority.key_pem("web")
    wish = dataclasses.replace(WEB, **changes)
    assert authority.ensure(wish) and not authority.ensure(wish)
    assert load(authority, "web").serial_number != serial and authority.key_pem("web") != key


@pytest.mark.parametrize(("days_gone", "renewed"), [(320, False), (330, True), (400, True)])
def test_less_than_a_tenth_of_the_time_left_issues_anew(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, days_gone: int, renewed: bool
) -> None:
    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(days=days_gone)

    monkeypatch.setattr(certificates, "datetime", Later)
    assert authority.ensure(WEB) is renewed


def damage_certificate(folder: Path) -> None:
    (folder / "web.crt").write_text("damaged")


def cut_key(folder: Path) -> None:
    (folder / "web.key").write_bytes((folder / "web.key").read_bytes()[:80])


def take_another_key(folder: Path) -> None:
    shutil.copy(folder / "ca.key", folder / "web.key")


def lose_key(folder: Path) -> None:
    (folder / "web.key").unlink()


def replace_authority(folder: Path) -> None:
    """Same name, another key: what the old one signed is worthless."""
    (folder / "ca.crt").unlink()
    assert Authority(folder, check=False).ensure(CA)


@pytest.mark.parametrize(
    "damage", [damage_certificate, cut_key, take_another_key, lose_key, replace_authority], ids=lambda f: f.__name__
)
def test_damage_issues_anew(authority: Authority, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    damage(tmp_path / "pki")
    assert authority.ensure(WEB) and not authority.ensure(WEB)
    assert_trusted(authority, "web", "ca")


def assert_trusted(authority: Authority, name: str, issuer: str) -> None:
    store = Store([load(authority, issuer)])
    verifier = PolicyBuilder().store(store).build_server_verifier(x509.DNSName("web.test"))
    assert len(verifier.verify(load(authority, name), [])) == 2


def test_another_issuer_issues_anew(authority: Authority) -> None:
    authority.ensure(Request("other-ca", "other-ca"))
    with pytest.raises(VerificationError):
        assert_trusted(authority, "web", "other-ca")
    wish = dataclasses.replace(WEB, issuer="other-ca")
    assert authority.ensure(wish) and not authority.ensure(wish)
    assert_trusted(authority, "web", "other-ca")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize(
    ("options", "fine"),
    [
        (["-purpose", "sslserver", "-verify_hostname", "web.test"], True),
        (["-purpose", "sslserver", "-verify_ip", "127.0.0.1"], True),
        (["-purpose", "sslclient"], True),
        (["-purpose", "sslserver", "-verify_hostname", "other.test"], False),
        (["-purpose", "crlsign"], False),
    ],
)
def test_openssl_takes_the_chain(authority: Authority, tmp_path: Path, options: list[str], fine: bool) -> None:
    pki = tmp_path / "pki"
    command = ["openssl", "verify", "-x509_strict", "-CAfile", str(pki / "ca.crt"), *options, str(pki / "web.crt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is fine, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_clients_certificate_is_none_for_a_server(authority: Authority, tmp_path: Path) -> None:
    authority.ensure(Request("user", "user", issuer="ca", usages=("client",)))
    pki = tmp_path / "pki"
    command = ["openssl", "verify", "-CAfile", str(pki / "ca.crt"), "-purpose", "sslserver", str(pki / "user.crt")]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki", check=True)
    assert authority.ensure(CA) and authority.ensure(WEB) and authority.ensure_key_pair("sa")
    assert not (tmp_path / "pki").exists()


def test_key_pair(authority: Authority, tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    assert authority.ensure_key_pair("sa") and not authority.ensure_key_pair("sa")
    key, public = (folder / "sa.key").read_bytes(), (folder / "sa.pub").read_bytes()
    assert (folder / "sa.key").stat().st_mode & 0o777 == 0o600
    assert load_pem_public_key(public).key_size == 2048  # type: ignore[union-attr]
    # What the key has signed stays valid when only its public half is lost.
    (folder / "sa.pub").unlink()
    assert Authority(folder, check=True).ensure_key_pair("sa")
    assert authority.ensure_key_pair("sa") and not authority.ensure_key_pair("sa")
    assert ((folder / "sa.key").read_bytes(), (folder / "sa.pub").read_bytes()) == (key, public)


def test_a_key_that_is_none_is_named(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "pki/sa.key").write_text("damaged")
    with pytest.raises(GoldenGooseError, match=r"sa\.key is not a private key in PEM; remove it"):
        authority.ensure_key_pair("sa")


def test_an_issuer_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(GoldenGooseError, match=f"Cannot read {tmp_path}/ca.crt: No such file"):
        Authority(tmp_path, check=False).ensure(WEB)


OPTIONS: dict[str, Any] = {
    "name": "web",
    "issuer": "ca",
    "common_name": "web",
    "organization": None,
    "dns": [],
    "ip": ["127.0.0.1"],
    "usages": ["server"],
    "days": 30,
}


def test_requests() -> None:
    authorities = [{"name": "ca", "common_name": "test-ca", "days": 10}]
    assert requests_from(authorities, [OPTIONS]) == [
        Request("ca", "test-ca", days=10),
        Request("web", "web", issuer="ca", ip=("127.0.0.1",), usages=("server",), days=30),
    ]
    with pytest.raises(GoldenGooseError, match=r"web names the issuer other, .* not among the authorities: ca\.$"):
        requests_from(authorities, [OPTIONS | {"issuer": "other"}])
    with pytest.raises(GoldenGooseError, match=r"certificate web: '127\.0\.0\.256' does not appear to be"):
        requests_from(authorities, [OPTIONS | {"ip": ["127.0.0.256"]}])
