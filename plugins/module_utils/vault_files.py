# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The files that an OpenBao server needs before its first start."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from .files import make_dirs, write_atomic
from .vault import VaultError

SEAL_KEY_FILE = "seal.key"
CONFIG_FILE = "openbao.hcl"
# AES-256-GCM, written as hexadecimal: https://openbao.org/docs/configuration/seal/static
_SEAL_KEY_BYTES = 32
# OpenBao creates it in the raft folder with its first start.
_STORAGE_FILE = "vault.db"


@dataclass(frozen=True)
class ServerFiles:
    """Where one server keeps its configuration and seal key, its storage, and its audit log."""

    config_dir: Path
    state_dir: Path
    log_dir: Path

    @property
    def seal_key(self) -> Path:
        """The key that unseals the storage; without it the storage cannot be read again."""
        return self.config_dir / SEAL_KEY_FILE

    @property
    def config(self) -> Path:
        """The server's configuration."""
        return self.config_dir / CONFIG_FILE

    def lay_out(self, content: str, check: bool = False) -> list[str]:
        """Create folders (0700), seal key and configuration (0600); return the paths that changed.

        The seal key is made once and never replaced.

        :raises VaultError: there is storage, but the key that it was sealed with is gone.
        """
        self._refuse_lost_key()
        folders = [f for f in (self.config_dir, self.state_dir, self.log_dir) if _open_or_missing(f)]
        new_key = not self.seal_key.exists()
        changed = [str(folder) for folder in folders] + [str(self.seal_key)] * new_key
        if check:
            return changed + [str(self.config)] * (not _holds(self.config, content))
        for folder in folders:
            make_dirs(folder)
            folder.chmod(0o700)
        if new_key:
            write_atomic(self.seal_key, secrets.token_hex(_SEAL_KEY_BYTES).encode(), 0o600)
        return changed + [str(self.config)] * write_atomic(self.config, content.encode(), 0o600)

    def _refuse_lost_key(self) -> None:
        storage = self.state_dir / _STORAGE_FILE
        if storage.exists() and not self.seal_key.exists():
            raise VaultError(
                f"Vault's storage {storage} is there but its seal key {self.seal_key} is not; restore the key, "
                f"or remove {self.state_dir} to start anew with a new evidence key."
            )


def _open_or_missing(folder: Path) -> bool:
    return not folder.is_dir() or folder.stat().st_mode & 0o777 != 0o700


def _holds(path: Path, content: str) -> bool:
    return path.is_file() and path.read_bytes() == content.encode() and path.stat().st_mode & 0o777 == 0o600
