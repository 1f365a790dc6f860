# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The digest of a service's source, the first link between what was tested and what runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import GoldenGooseError
from .model import Service

# What tests, linters and editors leave behind; none of it is source.
_IGNORED_FOLDERS = frozenset(
    {"__pycache__", ".git", ".cache", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".venv", "htmlcov"}
)
_IGNORED_FILES = frozenset({".coverage", ".DS_Store"})
_IGNORED_SUFFIXES = (".pyc", ".swp", "~")


def source_files(folder: Path) -> Iterator[Path]:
    """Yield the files and symbolic links of ``folder`` that are source, sorted by relative path."""
    found: list[Path] = []
    for current, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _IGNORED_FOLDERS]
        links = [name for name in folders if (Path(current) / name).is_symlink()]
        names = [n for n in files if n not in _IGNORED_FILES and not n.endswith(_IGNORED_SUFFIXES)]
        found += [Path(current) / name for name in (*names, *links)]
    yield from sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def folder_digest(folder: Path) -> str:
    """Return the SHA-256 (64 hexadecimal digits) of the source files in ``folder``.

    One record per file: relative path, kind ("file", "executable" or "link") and SHA-256 of the
    content or target, separated by NUL and ended by a line feed. Only the executable bit of the mode
    counts, as in git: the digest must not depend on the umask of a checkout.

    :raises GoldenGooseError: a file cannot be read.
    """
    total = hashlib.sha256()
    try:
        for path in source_files(folder):
            kind, content = _content(path)
            name = path.relative_to(folder).as_posix()
            total.update(f"{name}\0{kind}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    except OSError as error:
        raise GoldenGooseError(
            f"Cannot read {error.filename or folder} for the source digest: {error.strerror or error}."
        ) from error
    return total.hexdigest()


def source_digest(service: Service) -> str:
    """Return ``folder_digest`` of the whole folder of ``service``: code, tests, recipe and manifests.

    :raises GoldenGooseError: a file cannot be read.
    """
    return folder_digest(service.folder)


def _content(path: Path) -> tuple[str, bytes]:
    if path.is_symlink():
        return "link", os.fsencode(path.readlink())
    return ("executable" if path.stat().st_mode & 0o100 else "file"), path.read_bytes()
