# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Folders that appear whole, SHA256SUMS, and links that switch at once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from ..errors import GoldenGooseError
from ..files import make_dirs, sha256_file, sync_directory

SUMS = "SHA256SUMS"
# Bytes of a file, or the file to copy.
Content: TypeAlias = "bytes | Path"


def place_folder(folder: Path, content: Mapping[str, Content], dry_run: bool = False) -> bool:
    """Make ``folder`` hold exactly ``content`` (file name → bytes or file); return whether it changed.

    :raises GoldenGooseError: it cannot be written; no part of the new content is left there.
    """
    try:
        if _holds(folder, content):
            return False
        if not dry_run:
            _replace(folder, content)
    except OSError as error:
        raise GoldenGooseError(f"Cannot write the folder {folder}: {error.strerror or error}.") from error
    return True


def _holds(folder: Path, content: Mapping[str, Content]) -> bool:
    if not folder.is_dir() or {path.name for path in folder.iterdir()} != content.keys():
        return False
    return all(_same(folder / name, wanted) for name, wanted in content.items())


def _same(path: Path, wanted: Content) -> bool:
    if not path.is_file() or path.is_symlink():
        return False
    if isinstance(wanted, bytes):
        return path.stat().st_size == len(wanted) and path.read_bytes() == wanted
    return path.stat().st_size == wanted.stat().st_size and sha256_file(path) == sha256_file(wanted)


def _replace(folder: Path, content: Mapping[str, Content]) -> None:
    make_dirs(folder.parent)
    remove_leftovers(folder.parent)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        for name, wanted in content.items():
            _write(new / name, wanted)
        new.chmod(0o755)
        sync_directory(new)
        if folder.exists():
            folder.rename(new.with_name(new.name.replace(".new-", ".old-")))
        new.rename(folder)
    except BaseException:
        with suppress(OSError):
            shutil.rmtree(new)
        raise
    sync_directory(folder.parent)
    remove_leftovers(folder.parent)


def remove_leftovers(parent: Path) -> None:
    """Remove what a killed build left in ``parent``. The caller holds the lock of the packages."""
    for pattern in (".new-*", ".old-*"):
        for leftover in parent.glob(pattern):
            shutil.rmtree(leftover)


def _write(path: Path, wanted: Content) -> None:
    with path.open("wb") as stream:
        if isinstance(wanted, bytes):
            stream.write(wanted)
        else:
            with wanted.open("rb") as source:
                shutil.copyfileobj(source, stream, 1 << 20)
        stream.flush()
        os.fchmod(stream.fileno(), 0o644)
        os.fsync(stream.fileno())


def sums(package: Path) -> bytes:
    """Return the content of SHA256SUMS, as ``sha256sum --check`` reads it, for all files of ``package``."""
    lines = [f"{sha256_file(package / name)}  {name}\n" for name in names(package)]
    return "".join(lines).encode()


def altered(package: Path) -> str | None:
    """Return what of ``package`` is not as its SHA256SUMS says, or None when all is."""
    try:
        stated = _parsed((package / SUMS).read_text())
        found = _parsed(sums(package).decode())
    except (OSError, ValueError) as error:
        return f"{SUMS} cannot be checked ({error})"
    for name in sorted(stated.keys() | found.keys()):
        if stated.get(name) != found.get(name):
            return f"{name} is {'altered' if name in stated and name in found else 'missing or was added'}"
    return None


def _parsed(text: str) -> dict[str, str]:
    """Return file name → SHA-256 of the lines of a SHA256SUMS."""
    pairs = [line.split("  ", 1) for line in text.splitlines()]
    return {name: sha256 for sha256, name in pairs}


def names(package: Path) -> list[str]:
    """Return the relative names of all files of ``package`` but SHA256SUMS, sorted."""
    files = (path for path in package.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(name for path in files if (name := path.relative_to(package).as_posix()) != SUMS)


def remove_others(package: Path, keep: Collection[str]) -> None:
    """Remove from the top of ``package`` everything that is not named in ``keep``."""
    for path in package.iterdir():
        if path.name in keep:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def link(path: Path, target: str) -> bool:
    """Make the symbolic link ``path`` point to ``target`` in one step; return whether it changed.

    :raises GoldenGooseError: it cannot be made; the old link is still there.
    """
    with suppress(OSError):
        if path.readlink() == Path(target):
            return False
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise GoldenGooseError(f"Cannot make the link {path}: {error.strerror or error}.") from error
    return True
