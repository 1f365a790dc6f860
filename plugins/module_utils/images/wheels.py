# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Python libraries for an image: pure-Python wheels, pinned by hash, unpacked into a folder."""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

from ..commands import run
from ..errors import GoldenGooseError
from ..files import make_dirs, sha256_file


def ensure_wheels(requirements: Path, folder: Path) -> list[Path]:
    """Return the wheels that ``requirements`` pins, fetched into ``folder/<SHA-256 of the file>`` once.

    pip checks the hashes; a requirement without one is refused by it.

    :raises GoldenGooseError: pip fails, or a wheel is not pure Python.
    """
    target = folder / sha256_file(requirements)
    if not target.is_dir():
        make_dirs(folder)
        with tempfile.TemporaryDirectory(prefix=".wheels-", dir=folder) as scratch:
            fetched = Path(scratch) / "wheels"
            run(_command(requirements, fetched), f"Fetching the wheels of {requirements}", timeout=300.0)
            _require_pure(fetched)
            fetched.replace(target)
    return sorted(target.glob("*.whl"))


def unpack_wheels(wheels: list[Path], target: Path) -> None:
    """Unpack ``wheels`` side by side into the new folder ``target``.

    A pure wheel is a zip of importable files (PEP 427); pip would add files of its own, which differ
    between its versions.
    """
    target.mkdir()
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)


def _command(requirements: Path, target: Path) -> list[str]:
    return [
        sys.executable,
        *("-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"),
        *("--only-binary=:all:", "--dest", str(target), "--requirement", str(requirements)),
    ]


def _require_pure(folder: Path) -> None:
    for wheel in folder.iterdir():
        with zipfile.ZipFile(wheel) as archive:
            split = any(name.split("/")[0].endswith(".data") for name in archive.namelist())
        if not wheel.name.endswith("-none-any.whl") or split:
            raise GoldenGooseError(
                f"{wheel.name} is not a plain pure-Python wheel; take Debian's package of it in base.packages instead."
            )
