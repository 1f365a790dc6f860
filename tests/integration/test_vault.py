# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The promoter's Vault, in a real OpenBao on a disk."""

from __future__ import annotations

import base64
import dataclasses
import json
import stat
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac
import jinja2
import pytest
import yaml
from ansible_collections.golden_goose.compliance.plugins.module_utils.vault import (
    PromoterVault,
    Signature,
    VaultDenied,
    VaultDown,
    VaultError,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.vault_bootstrap import Wanted, bootstrap
from ansible_collections.golden_goose.compliance.plugins.module_utils.vault_files import ServerFiles
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .programs import REPOSITORY, bao, free_port, running

MESSAGE = b"the canonical bytes of an entry"


@dataclass
class Server:
    """One OpenBao that was laid out like the role does it, with the role's own template."""

    folder: Path
    port: int
    cluster_port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def files(self) -> ServerFiles:
        return ServerFiles(self.folder / "etc", self.folder / "lib", self.folder / "log")

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.address, self.files.config_dir, bound_cidrs=("127.0.0.1/32",), wait_seconds=20)

    @property
    def approle_file(self) -> Path:
        return self.files.config_dir / "promoter-approle.json"

    def promoter(self) -> PromoterVault:
        return PromoterVault.from_approle_file(self.approle_file)

    def root(self) -> Any:
        token = json.loads((self.files.config_dir / "root.json").read_text())["root_token"]
        return hvac.Client(url=self.address, token=token)

    def lay_out(self) -> None:
        template = (REPOSITORY / "roles/vault/templates/openbao.hcl.j2").read_text()
        content = jinja2.Template(template, undefined=jinja2.StrictUndefined).render(
            vault_address=self.address,
            vault_host="127.0.0.1",
            vault_port=self.port,
            vault_cluster_port=self.cluster_port,
            vault_instance="test",
            vault_config_dir=self.files.config_dir,
            vault_state_dir=self.files.state_dir,
            vault_log_dir=self.files.log_dir,
        )
        self.files.lay_out(content)

    def run(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        return running(
            [bao(), "server", f"-config={self.files.config}"],
            self.folder / "server.log",
            f"{self.address}/v1/sys/health?standbyok=true&uninitcode=200&sealedcode=200",
        )


def new_server(folder: Path) -> Server:
    server = Server(folder, free_port(), free_port())
    server.lay_out()
    return server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that is running and set up; tests leave it as they found it."""
    server = new_server(tmp_path_factory.mktemp("vault"))
    with server.run():
        assert bootstrap(server.wanted).changes
        yield server


def test_a_second_bootstrap_changes_nothing(server: Server) -> None:
    before = server.approle_file.read_bytes()
    assert bootstrap(server.wanted).changes == []
    assert bootstrap(server.wanted, check=True).changes == []
    assert server.approle_file.read_bytes() == before


def test_a_stranger_can_check_the_signature(server: Server) -> None:
    promoter = server.promoter()
    signature = promoter.sign(MESSAGE)
    version, public_key = promoter.public_key()
    assert (signature.key, signature.key_version) == ("evidence", version)
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key))
    key.verify(base64.b64decode(signature.signature), MESSAGE)
    with pytest.raises(InvalidSignature):
        key.verify(base64.b64decode(signature.signature), MESSAGE + b"!")


def test_vault_checks_it_too(server: Server) -> None:
    promoter = server.promoter()
    signature = promoter.sign(MESSAGE)
    assert promoter.verify(MESSAGE, signature)
    assert not promoter.verify(MESSAGE + b"!", signature)
    assert not promoter.verify(MESSAGE, promoter.sign(b"other"))


def test_an_unknown_version_of_the_key_is_refused(server: Server) -> None:
    with pytest.raises(VaultError, match="has no version 9"):
        server.promoter().public_key(9)


@pytest.mark.parametrize(
    "change", [{"key_version": 9}, {"key_version": -1}, {"signature": "invented"}, {"key": "approver-nobody"}]
)
def test_what_vault_cannot_read_as_a_signature_is_none(server: Server, change: dict[str, Any]) -> None:
    signature = dataclasses.replace(server.promoter().sign(MESSAGE), **change)
    assert server.promoter().verify(MESSAGE, signature) is False


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("read", "golden-goose/data/other"),
        ("list", "golden-goose/metadata"),
        ("read", "transit/export/signing-key/evidence"),
        ("read", "transit/backup/evidence"),
        ("write_data", "transit/keys/evidence/rotate"),
        ("write_data", "transit/keys/evidence/config"),
        ("write_data", "transit/keys/another"),
        ("delete", "transit/keys/evidence"),
        ("delete", "golden-goose/metadata/ledger/head"),
        ("read", "sys/policies/acl/golden-goose-promoter"),
        ("list", "sys/mounts"),
        ("read", "sys/audit"),
        ("write_data", "auth/approle/role/golden-goose-promoter/secret-id"),
        ("write_data", "auth/token/create"),
    ],
)
def test_the_promoter_may_do_nothing_else(server: Server, method: str, path: str) -> None:
    with pytest.raises(VaultDenied, match="permission denied"), server.promoter().session("this") as vault:
        getattr(vault, method)(path)


def test_the_promoter_keeps_the_ledgers_head_by_check_and_set(server: Server) -> None:
    def put(cas: int) -> None:
        with server.promoter().session("keeping the head") as vault:
            vault.secrets.kv.v2.create_or_update_secret("ledger/head", {"size": 1}, cas=cas, mount_point="golden-goose")

    put(0)
    with pytest.raises(VaultError, match="check-and-set"):
        put(0)


def test_the_key_cannot_be_taken_out_even_by_root(server: Server) -> None:
    key = server.root().secrets.transit.read_key("evidence")["data"]
    assert (key["type"], key["exportable"], key["allow_plaintext_backup"]) == ("ed25519", False, False)
    with pytest.raises(hvac.exceptions.InvalidRequest):
        server.root().secrets.transit.export_key("evidence", "signing-key")


def test_no_token_outlives_a_call(server: Server) -> None:
    def tokens() -> set[str]:
        return set(server.root().list("auth/token/accessors")["data"]["keys"])

    before = tokens()
    server.promoter().sign(MESSAGE)
    with pytest.raises(VaultError), server.promoter().session("this") as vault:
        vault.read("sys/audit")
    assert tokens() == before


def test_one_token_lasts_for_a_block_and_not_longer(server: Server) -> None:
    def tokens() -> set[str]:
        return set(server.root().list("auth/token/accessors")["data"]["keys"])

    before, promoter = tokens(), server.promoter()
    with promoter.lasting():
        assert tokens() == before
        assert promoter.verify(MESSAGE, promoter.sign(MESSAGE))
        with pytest.raises(VaultDenied, match="permission denied"), promoter.session("this") as vault:
            vault.read("sys/audit")
        assert promoter.public_key(1)[0] == 1
        assert len(tokens() - before) == 1
    assert tokens() == before


def test_secrets_are_closed_and_nowhere_in_the_clear(server: Server) -> None:
    for path in server.files.config_dir.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    server.promoter().sign(MESSAGE)
    audit = (server.files.log_dir / "audit.log").read_text()
    assert "transit/sign/evidence" in audit
    secrets = [
        json.loads(server.approle_file.read_text())["secret_id"],
        *json.loads((server.files.config_dir / "root.json").read_text())["recovery_keys"],
        json.loads((server.files.config_dir / "root.json").read_text())["root_token"],
    ]
    for log in (audit, (server.folder / "server.log").read_text()):
        assert not [secret for secret in secrets if secret in log]


def test_withdrawn_credentials_are_refused_and_renewed(server: Server) -> None:
    withdrawn = server.promoter()
    role = "auth/approle/role/golden-goose-promoter"
    server.root().write_data(f"{role}/secret-id/destroy", data={"secret_id": withdrawn.secret_id})
    with pytest.raises(VaultDenied, match="does not accept the promoter's AppRole credentials"):
        withdrawn.sign(MESSAGE)
    planned = bootstrap(server.wanted, check=True).changes
    assert bootstrap(server.wanted).changes == planned
    assert len(planned) == 1 and "credentials" in planned[0]
    assert server.promoter().sign(MESSAGE)


def test_a_policy_that_someone_widened_is_put_back(server: Server) -> None:
    server.root().sys.create_or_update_acl_policy("golden-goose-promoter", 'path "*" {capabilities=["read"]}')
    assert bootstrap(server.wanted).changes == ["wrote the policy golden-goose-promoter"]


def test_what_contradicts_is_refused(server: Server) -> None:
    with pytest.raises(VaultError, match="something else than kv version 2 mounted at transit"):
        bootstrap(dataclasses.replace(server.wanted, kv_mount="transit"))
    server.root().secrets.transit.create_key("weak", key_type="aes256-gcm96")
    with pytest.raises(VaultError, match="needs an ed25519 key"):
        bootstrap(dataclasses.replace(server.wanted, key="weak"))


def test_a_lost_root_file_is_one_sentence_and_a_token_helps(server: Server, tmp_path: Path) -> None:
    elsewhere = dataclasses.replace(server.wanted, config_dir=tmp_path / "etc")
    with pytest.raises(VaultError, match=r"is initialised but .*root.json is not there"):
        bootstrap(elsewhere)
    with_token = dataclasses.replace(elsewhere, token=server.root().token)
    assert "issued the promoter's credentials" in bootstrap(with_token).changes[0]
    assert not (tmp_path / "etc" / "root.json").exists()
    assert bootstrap(with_token).changes == []


def test_key_and_signatures_survive_a_restart(tmp_path: Path) -> None:
    server = new_server(tmp_path)
    with server.run() as process:
        first = bootstrap(server.wanted)
        signature = server.promoter().sign(MESSAGE)
        process.kill()
    with pytest.raises(VaultDown, match="does not answer"):
        server.promoter().sign(MESSAGE)
    assert bootstrap(server.wanted, check=True).changes == ["initialise Vault and set up the promoter"]
    with server.run():
        again = bootstrap(server.wanted)
        assert again.changes == []
        assert (again.key_version, again.public_key) == (first.key_version, first.public_key)
        assert isinstance(signature, Signature) and server.promoter().verify(MESSAGE, signature)


def test_a_wrong_seal_key_is_one_sentence_and_harms_nothing(tmp_path: Path) -> None:
    server = new_server(tmp_path)
    with server.run():
        first = bootstrap(server.wanted)
    key = server.files.seal_key.read_text()
    server.files.seal_key.write_text("00" * 32)
    with server.run(), pytest.raises(VaultDown, match="seal key"):
        bootstrap(dataclasses.replace(server.wanted, wait_seconds=2))
    server.files.seal_key.write_text(key)
    with server.run():
        assert bootstrap(server.wanted).public_key == first.public_key


def test_the_version_under_test_is_the_one_that_the_role_installs() -> None:
    defaults = yaml.safe_load((REPOSITORY / "roles/vault/defaults/main.yml").read_text())
    done = subprocess.run([bao(), "version"], capture_output=True, text=True, check=True)
    assert f"v{defaults['vault_version']} " in done.stdout
