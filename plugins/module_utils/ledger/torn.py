# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""An unfinished last line: what a killed writer or a full disk left behind.

It was never acknowledged, so it is no evidence; it is set aside under ``torn/`` and an entry says so. The
file keeps the suffix ``.pending`` until that entry is durable: a repair that is killed is finished later.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from ..files import make_dirs, sync_directory, write_atomic
from . import attributes
from .errors import LedgerError

_PENDING = ".pending"
_NAMESPACE = uuid.UUID("7b3f6c1e-0a55-5e0c-9d57-4b8f6a2f9c11")


@dataclass(frozen=True, slots=True)
class Torn:
    """Bytes set aside and not yet spoken of by an entry."""

    path: Path
    name: str

    @property
    def id(self) -> str:
        """The id of the ``repair`` entry: one for one set-aside file."""
        return str(uuid.uuid5(_NAMESPACE, self.name))

    def data(self) -> dict[str, object]:
        """Return the data of the ``repair`` entry."""
        data = self.path.read_bytes()
        return {
            "event": "repair",
            "set_aside": f"torn/{self.name}",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }

    def done(self) -> None:
        """The ``repair`` entry is durable: drop the suffix."""
        self.path.replace(self.path.with_name(self.name))
        sync_directory(self.path.parent)


def set_aside(descriptor: int, size: int, folder: Path) -> None:
    """Move everything after the first ``size`` bytes into ``folder`` and cut the file there.

    :raises LedgerError: it cannot be set aside; the file is as it was.
    """
    end = os.fstat(descriptor).st_size
    if end == size:
        return
    tail = os.pread(descriptor, end - size, size)
    make_dirs(folder, 0o750)
    name = f"{size}-{hashlib.sha256(tail).hexdigest()[:16]}.part"
    write_atomic(folder / (name + _PENDING), tail, 0o640)
    try:
        with attributes.lifted(descriptor, folder.parent / "entries.jsonl"):
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
    except OSError as error:
        raise LedgerError(f"Cannot repair the end of the ledger beside {folder}: {error.strerror or error}.") from error


def pending(folder: Path) -> list[Torn]:
    """Return what is set aside in ``folder`` and not yet spoken of, oldest place first."""
    if not os.access(folder, os.F_OK):
        return []
    found = [Torn(path, path.name.removesuffix(_PENDING)) for path in folder.glob(f"*{_PENDING}")]
    return sorted(found, key=lambda torn: (int(torn.name.partition("-")[0]), torn.name))
