# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Files that are never seen half-written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from .errors import GoldenGooseError

_BLOCK = 1 << 20


def sync_directory(path: Path) -> None:
    """Make a rename or a new name in the folder ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_dirs(path: Path, mode: int = 0o755) -> None:
    """Create the folder ``path`` with ``mode``, and missing parents with 0755; one that is there stays as it is.

    :raises GoldenGooseError: the folder cannot be created, or something else has its name.
    """
    if path.exists() and not path.is_dir():
        raise GoldenGooseError(f"Cannot create the folder {path}: something that is none is there.")
    try:
        missing = [p for p in (path, *path.parents) if not p.exists()]
        for folder in reversed(missing):
            # A second run may create the same folder at the same moment.
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                # A parent with a private mode would shut out the users that other daemons run as.
                folder.chmod(mode if folder == path else 0o755)
    except OSError as error:
        raise GoldenGooseError(f"Cannot create the folder {path}: {error.strerror or error}.") from error


def write_atomic(path: Path, data: bytes, mode: int = 0o644, durable_name: bool = True) -> bool:
    """Make ``path`` hold ``data`` with permissions ``mode``; return whether anything changed.

    The bytes are on disk under a temporary name before they take the name of ``path``: a reader,
    a full disk or a power cut sees the old file or the new one.

    :param durable_name: false when the caller does :func:`sync_directory` itself, once for many files of a folder.
    :raises GoldenGooseError: the file cannot be written; the old content is still there.
    """
    try:
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            if path.stat().st_mode & 0o7777 == mode:
                return False
            path.chmod(mode)
            return True
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fchmod(stream.fileno(), mode)
                os.fsync(stream.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        if durable_name:
            sync_directory(path.parent)
    except OSError as error:
        raise GoldenGooseError(
            f"Cannot write {path}: {error.strerror or error}; what was there before is unchanged."
        ) from error
    return True


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of the file's bytes, 64 lower-case hexadecimal digits.

    :raises OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def read_json(path: Path, what: str) -> Any:
    """Return the JSON document in ``path``; ``what`` names it in the error.

    :raises GoldenGooseError: the file is not there, cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise GoldenGooseError(f"{what} is not at {path}.") from error
    except OSError as error:
        raise GoldenGooseError(f"Cannot read {what} at {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise GoldenGooseError(f"{what} at {path} is not JSON: {error}.") from error
