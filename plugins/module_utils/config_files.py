# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Folders, links and files of a program's configuration, written or removed in one pass."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import GoldenGooseError
from .files import make_dirs, write_atomic

_READABLE_BY_OTHERS = 0o004

Items = Sequence[Mapping[str, Any]]
Outcome = tuple[list[str], list[dict[str, str]]]


def ensure(directories: Items, links: Items, files: Items, *, check: bool) -> Outcome:
    """Make all of them be there; return the paths that changed and the differences that may be shown.

    :raises GoldenGooseError: a mode or owner is not valid, or something cannot be written.
    """
    changed: list[str] = []
    diff: list[dict[str, str]] = []
    for item in directories:
        if _ensure_directory(Path(item["path"]), _mode(item), item["owner"], check=check):
            changed.append(item["path"])
    for item in files:
        path, content = Path(item["path"]), (item["content"] or "").encode()
        before = _content(path)
        if _ensure_file(path, content, _mode(item), item["owner"], check=check):
            changed.append(item["path"])
            if before != content and _mode(item) & _READABLE_BY_OTHERS:
                diff.append(
                    {
                        "before_header": str(path),
                        "after_header": str(path),
                        "before": (before or b"").decode(errors="replace"),
                        "after": content.decode(errors="replace"),
                    }
                )
    for item in links:
        if _ensure_link(Path(item["path"]), item["target"], check=check):
            changed.append(item["path"])
    return changed, diff


def remove(directories: Items, links: Items, files: Items, *, check: bool) -> Outcome:
    """Remove all of them; return the paths that were there."""
    changed: list[str] = []
    for item in [*links, *files, *directories]:
        path = Path(item["path"])
        if not (path.exists() or path.is_symlink()):
            continue
        changed.append(str(path))
        if check:
            continue
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except OSError as error:
            raise GoldenGooseError(f"Cannot remove {path}: {error}.") from error
    return changed, []


def _mode(item: Mapping[str, Any]) -> int:
    try:
        return int(item["mode"], 8)
    except ValueError as error:
        raise GoldenGooseError(f"{item['path']}: the mode {item['mode']!r} is not an octal number.") from error


def _owner(path: Path, name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError as error:
        raise GoldenGooseError(f"{path} is to belong to {name}, and there is no such user.") from error


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GoldenGooseError(f"Cannot read {path}: {error.strerror or error}.") from error


def _ensure_owner(path: Path, owner: str) -> bool:
    uid = _owner(path, owner)
    if path.stat().st_uid == uid:
        return False
    try:
        os.chown(path, uid, -1)
    except OSError as error:
        raise GoldenGooseError(f"Cannot give {path} to {owner}: {error.strerror or error}.") from error
    return True


def _would_change(path: Path, mode: int, owner: str) -> bool:
    """Return whether permissions or owner of what is at ``path`` are others.

    In check mode the user may not be there yet: a package that would be installed brings it.
    """
    status = path.stat()
    try:
        return status.st_mode & 0o7777 != mode or status.st_uid != pwd.getpwnam(owner).pw_uid
    except KeyError:
        return True


def _ensure_directory(path: Path, mode: int, owner: str, *, check: bool) -> bool:
    there = path.is_dir()
    if check:
        return not there or _would_change(path, mode, owner)
    make_dirs(path, mode)
    wrong = (path.stat().st_mode & 0o7777) != mode
    if wrong:
        path.chmod(mode)
    return _ensure_owner(path, owner) or wrong or not there


def _ensure_file(path: Path, content: bytes, mode: int, owner: str, *, check: bool) -> bool:
    if check:
        return _content(path) != content or _would_change(path, mode, owner)
    make_dirs(path.parent)
    written = write_atomic(path, content, mode)
    return _ensure_owner(path, owner) or written


def _ensure_link(path: Path, target: str, *, check: bool) -> bool:
    if path.is_symlink() and str(path.readlink()) == target:
        return False
    if not check:
        make_dirs(path.parent)
        temporary = path.with_name(f".{path.name}.new")
        try:
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(target)
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise GoldenGooseError(f"Cannot make the link {path}: {error.strerror or error}.") from error
    return True
