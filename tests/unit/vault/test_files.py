# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The files of a server: closed, made once, and never a new key for old storage."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.vault import VaultError
from ansible_collections.golden_goose.compliance.plugins.module_utils.vault_files import ServerFiles


@pytest.fixture
def files(tmp_path: Path) -> ServerFiles:
    return ServerFiles(tmp_path / "etc", tmp_path / "lib", tmp_path / "log")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_all_is_laid_out_closed_and_once(files: ServerFiles) -> None:
    assert len(files.lay_out("ui = false\n")) == 5
    assert {mode(folder) for folder in (files.config_dir, files.state_dir, files.log_dir)} == {0o700}
    assert mode(files.seal_key) == mode(files.config) == 0o600
    key = files.seal_key.read_bytes()
    assert len(bytes.fromhex(key.decode())) == 32
    assert files.lay_out("ui = false\n") == []
    assert files.seal_key.read_bytes() == key


def test_two_servers_have_two_keys(files: ServerFiles, tmp_path: Path) -> None:
    other = ServerFiles(tmp_path / "a", tmp_path / "b", tmp_path / "c")
    files.lay_out("")
    other.lay_out("")
    assert files.seal_key.read_bytes() != other.seal_key.read_bytes()


def test_checking_writes_nothing(files: ServerFiles, tmp_path: Path) -> None:
    assert len(files.lay_out("x", check=True)) == 5
    assert list(tmp_path.iterdir()) == []


def test_opened_permissions_are_closed_again(files: ServerFiles) -> None:
    files.lay_out("x")
    files.config_dir.chmod(0o755)
    files.config.chmod(0o644)
    assert files.lay_out("x", check=True) == [str(files.config_dir), str(files.config)]
    assert files.lay_out("x") == [str(files.config_dir), str(files.config)]
    assert mode(files.config) == 0o600


def test_a_lost_seal_key_is_never_replaced(files: ServerFiles) -> None:
    files.lay_out("x")
    (files.state_dir / "vault.db").touch()
    files.seal_key.unlink()
    with pytest.raises(VaultError, match=r"seal key .* is not; restore the key"):
        files.lay_out("x")
    assert not files.seal_key.exists()
