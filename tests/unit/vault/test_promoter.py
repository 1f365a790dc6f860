# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The promoter's side of Vault, without a Vault: what it reads, refuses and says."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.vault import (
    PromoterVault,
    Signature,
    VaultDenied,
    VaultDown,
    VaultError,
    client,
    explained,
    is_loopback,
)

DOCUMENT: dict[str, Any] = {
    "address": "http://127.0.0.1:8200",
    "role_id": "role",
    "secret_id": "the-secret",
    "ca_cert": None,
    "kv_mount": "golden-goose",
    "transit_mount": "transit",
    "key": "evidence",
}


def written(tmp_path: Path, document: object) -> Path:
    path = tmp_path / "promoter-approle.json"
    path.write_text(json.dumps(document))
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_the_file_is_read_and_written_back_the_same(tmp_path: Path) -> None:
    promoter = PromoterVault.from_approle_file(written(tmp_path, DOCUMENT))
    assert promoter.document() == DOCUMENT


def test_the_secret_is_not_shown(tmp_path: Path) -> None:
    assert "the-secret" not in repr(PromoterVault.from_approle_file(written(tmp_path, DOCUMENT)))


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match=r"are not at .*nowhere.json; run playbooks/vault.yml"):
        PromoterVault.from_approle_file(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("document", "lacks"),
    [
        ({**DOCUMENT, "role_id": ""}, "role_id"),
        ({**DOCUMENT, "key": 7}, "key"),
        ({key: value for key, value in DOCUMENT.items() if key != "secret_id"}, "secret_id"),
        ([], "address, role_id"),
        (None, "address, role_id"),
    ],
)
def test_a_damaged_file_says_what_it_lacks(tmp_path: Path, document: object, lacks: str) -> None:
    with pytest.raises(VaultError, match=f"lack .*{lacks}"):
        PromoterVault.from_approle_file(written(tmp_path, document))


def test_a_file_that_is_not_json_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{")
    with pytest.raises(GoldenGooseError, match="is not JSON"):
        PromoterVault.from_approle_file(path)


@pytest.mark.parametrize("address", ["", "127.0.0.1:8200", "ftp://x", "http://", "vault.example.com"])
def test_an_address_that_is_no_url_is_refused(address: str) -> None:
    with pytest.raises(VaultError, match="is not a URL"):
        client(address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://127.0.0.1:8200", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:8200", True),
        ("http://localhost:8200", True),
        ("https://vault.example.com", False),
        ("http://10.0.0.1:8200", False),
    ],
)
def test_loopback_is_recognised(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


def test_nothing_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "stray")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:1")
    vault = client("http://127.0.0.1:8200")
    assert vault.token == ""
    assert vault.session.trust_env is False


def test_vault_down_names_the_address_and_what_to_do() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    promoter = PromoterVault(address=address, role_id="r", secret_id="s")
    with pytest.raises(VaultDown) as caught:
        promoter.sign(b"x")
    assert str(caught.value).startswith(f"Vault at {address} does not answer")
    assert "playbooks/vault.yml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("raised", "expected", "says"),
    [
        ("Forbidden", VaultDenied, "permission denied"),
        ("VaultDown", VaultDown, "sealed"),
        ("VaultNotInitialized", VaultDown, "not initialised"),
        ("InvalidRequest", VaultError, "no such thing"),
    ],
)
def test_each_answer_becomes_its_sentence(raised: str, expected: type[VaultError], says: str) -> None:
    import hvac

    with pytest.raises(expected, match=says), explained("http://v:1", "a signature"):
        raise getattr(hvac.exceptions, raised)(errors=["no such thing"])


@pytest.mark.parametrize(
    "answer",
    ["", "vault:v1:", "vault:v1:AAAA", "vault:vx:" + "A" * 86 + "==", "other:v1:" + "A" * 86 + "==", "vault:v1:%%"],
)
def test_what_is_no_ed25519_signature_is_refused(answer: str) -> None:
    promoter = PromoterVault(address="http://127.0.0.1:8200", role_id="r", secret_id="s")
    with pytest.raises(VaultError, match="not an ed25519 signature"):
        promoter._parse(answer, {"1": {"public_key": "cHVibGlj"}})


def test_a_signature_is_taken_apart() -> None:
    promoter = PromoterVault(address="http://127.0.0.1:8200", role_id="r", secret_id="s")
    text = "A" * 86 + "=="
    found = promoter._parse(f"vault:v12:{text}", {"12": {"public_key": "cHVibGlj"}})
    assert found == Signature(text, "evidence", 12, "cHVibGlj")


def test_a_signature_by_a_version_that_vault_does_not_show_is_refused() -> None:
    promoter = PromoterVault(address="http://127.0.0.1:8200", role_id="r", secret_id="s")
    with pytest.raises(VaultError, match="not an ed25519 signature"):
        promoter._parse("vault:v12:" + "A" * 86 + "==", {"11": {"public_key": "cHVibGlj"}})
