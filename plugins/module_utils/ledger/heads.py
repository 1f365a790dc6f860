# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The signed heads that a ledger keeps beside its entries.

``checkpoint`` is the latest, where C2SP tlog-tiles has it; ``checkpoints/<size>`` are all of them; ``keys`` has the
public keys that signed them, one vkey a line. The keys are a convenience: whoever can write to the folder can
write other ones, so a stranger is told the right one by another way.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..files import make_dirs, write_atomic
from . import checkpoint
from .checkpoint import BadCheckpoint, Checkpoint, Key
from .errors import LedgerError

LATEST = "checkpoint"
STAGED = "checkpoint.staged"
_ALL = "checkpoints"
_KEYS = "keys"
_FILE_MODE = 0o640


def keys(folder: Path) -> tuple[Key, ...]:
    """Return the keys that the ledger in ``folder`` names; none before its first checkpoint.

    :raises BadCheckpoint: a line is no key, or not written as one.
    """
    text = _text(folder / _KEYS)
    found = tuple(Key.parse(line) for line in text.splitlines()) if text else ()
    if text and text != "".join(f"{key}\n" for key in found):
        raise BadCheckpoint(f"{folder / _KEYS} was altered: it has more than its keys, one a line.")
    return found


def add_key(folder: Path, key: Key) -> bool:
    """Name ``key`` among the ledger's; return whether it is new there."""
    known = keys(folder)
    if key in known:
        return False
    write_atomic(folder / _KEYS, "".join(f"{item}\n" for item in (*known, key)).encode(), _FILE_MODE)
    return True


def latest(folder: Path, known: Iterable[Key]) -> Checkpoint | None:
    """Return the latest checkpoint of the ledger in ``folder``, signed by one of ``known``; None when there is none.

    :raises BadCheckpoint: it is not one, or not signed by a known key.
    """
    text = _text(folder / LATEST)
    return None if text is None else checkpoint.parse(text, known)


def latest_claimed(folder: Path) -> Checkpoint | None:
    """Return what the latest checkpoint says, its signature unchecked; None when there is none.

    :raises BadCheckpoint: it is not in the form of one.
    """
    text = _text(folder / LATEST)
    return None if text is None else checkpoint.unverified(text)


def covering(folder: Path, sequence: int, known: Iterable[Key]) -> Checkpoint | None:
    """Return the first checkpoint that has the entry ``sequence``, or None: it is not anchored yet.

    :raises BadCheckpoint: it is not signed by a known key.
    """
    first = next((size for size in sizes(folder) if size > sequence), None)
    return None if first is None else of_size(folder, first, known)


def of_size(folder: Path, size: int, known: Iterable[Key]) -> Checkpoint | None:
    """Return the checkpoint of just ``size`` entries, or None.

    :raises BadCheckpoint: it is not signed by a known key.
    """
    text = _text(folder / _ALL / str(size))
    return None if text is None else checkpoint.parse(text, known)


def sizes(folder: Path) -> list[int]:
    """Return the sizes of all checkpoints that are kept, ascending."""
    return sorted(int(path.name) for path in (folder / _ALL).glob("*") if path.name.isdecimal())


def notes(folder: Path) -> list[tuple[Path, str]]:
    """Return (path, text) of every checkpoint that is kept, by size, the latest one last."""
    paths = [folder / _ALL / str(size) for size in sizes(folder)]
    found = [(path, _text(path)) for path in (*paths, folder / LATEST)]
    return [(path, text) for path, text in found if text is not None]


def publish(folder: Path, head: Checkpoint) -> None:
    """Make ``head`` the latest checkpoint; its tiles are on disk already."""
    keep(folder, head)
    write_atomic(folder / LATEST, head.note.encode(), _FILE_MODE)


def keep(folder: Path, head: Checkpoint) -> bool:
    """Keep ``head`` among all checkpoints; return whether it is new there."""
    make_dirs(folder / _ALL, 0o750)
    return write_atomic(folder / _ALL / str(head.size), head.note.encode(), _FILE_MODE)


def stage(folder: Path, head: Checkpoint) -> None:
    """Keep ``head`` until it is known whether it became the head."""
    write_atomic(folder / STAGED, head.note.encode(), _FILE_MODE)


def unstage(folder: Path) -> None:
    """Forget what was staged: it is published, or never became the head."""
    (folder / STAGED).unlink(missing_ok=True)


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise BadCheckpoint(f"{path} is not text; restore it from the backup.") from error
    except OSError as error:
        raise LedgerError(f"Cannot read {path}: {error.strerror or error}.") from error
