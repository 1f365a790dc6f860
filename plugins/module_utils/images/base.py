# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Debian base systems made by mmdebstrap, kept in the cache and reused by every image that asks for the same.

Packages are unpacked, not configured (mmdebstrap's variant "extract"): no shell, no package manager, no
maintainer scripts. A mirror's content changes between days, so "the same base" means the same file: its SHA-256
and package versions are recorded beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..commands import run
from ..errors import GoldenGooseError
from ..files import make_dirs, read_json, sha256_file, write_atomic
from .recipe import BaseRecipe

# 2025-01-01T00:00:00Z: the date of every file and of every image; a constant, or nothing would be reproducible.
EPOCH = 1735689600
_FORMAT = 1
_MINUTES_TEN = 600.0
_STATUS = "./var/lib/dpkg/status.d/"
# dpkg's database is not filled by unpacking; status.d is where image scanners look in shell-less images.
_HOOK = """set -eu
mkdir -p "$1/var/lib/dpkg/status.d"
for deb in "$1"/var/cache/apt/archives/*.deb; do
  dpkg-deb --field "$deb" > "$1/var/lib/dpkg/status.d/$(dpkg-deb --field "$deb" Package)"
done
cd "$1"
find usr/share/doc -type f ! -name copyright -delete
"""


@dataclass(frozen=True)
class Base:
    """A base system as a tar file, its SHA-256 and its packages (name, version, architecture)."""

    tar: Path
    sha256: str
    packages: tuple[dict[str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the base with plain values."""
        return {"tar": str(self.tar), "sha256": self.sha256, "packages": list(self.packages)}


@dataclass(frozen=True)
class Mirrors:
    """Where Debian comes from; ``security`` may be empty."""

    main: str = "http://deb.debian.org/debian"
    security: str = "http://deb.debian.org/debian-security"

    def sources(self, suite: str) -> list[str]:
        """Return one-line apt sources for ``suite``."""
        lines = [f"deb {self.main} {suite} main"]
        if self.security:
            lines.append(f"deb {self.security} {suite}-security main")
        return lines


def base_key(recipe: BaseRecipe) -> str:
    """Return the cache key (64 hexadecimal digits) of what ``recipe`` asks for on this architecture.

    The mirror is not part of it: another mirror of Debian holds the same packages.
    """
    wanted = {
        "format": _FORMAT,
        "architecture": platform.machine(),
        "epoch": EPOCH,
        "suite": recipe.suite,
        "packages": recipe.packages,
        "remove": recipe.remove,
    }
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()


def cached_base(recipe: BaseRecipe, folder: Path) -> Base | None:
    """Return the base in ``folder`` when it is there and complete, else None.

    :raises GoldenGooseError: the record beside it is not readable.
    """
    key = base_key(recipe)
    tar, record = folder / f"{key}.tar", folder / f"{key}.json"
    if not record.is_file() or not tar.is_file():
        return None
    data = read_json(record, "The record of a base system")
    if tar.stat().st_size != data["size"]:
        return None
    return Base(tar, data["sha256"], tuple(data["packages"]))


def ensure_base(recipe: BaseRecipe, folder: Path, mirrors: Mirrors) -> Base:
    """Return the base for ``recipe``, made now if ``folder`` does not hold it.

    :raises GoldenGooseError: mmdebstrap is not installed or fails.
    """
    found = cached_base(recipe, folder)
    if found is not None:
        return found
    make_dirs(folder)
    key = base_key(recipe)
    with tempfile.TemporaryDirectory(prefix=".base-", dir=folder) as scratch:
        tar = Path(scratch) / "base.tar"
        run(
            _command(recipe, tar, mirrors),
            f"Making the {recipe.suite} base system",
            timeout=_MINUTES_TEN,
            environment=_environment(scratch),
        )
        base = Base(folder / f"{key}.tar", sha256_file(tar), tuple(_packages(tar)))
        size = tar.stat().st_size
        tar.replace(base.tar)
    record = {"sha256": base.sha256, "size": size, "packages": base.packages, "sources": mirrors.sources(recipe.suite)}
    write_atomic(folder / f"{key}.json", json.dumps(record, indent=2, sort_keys=True).encode() + b"\n")
    return base


def _command(recipe: BaseRecipe, tar: Path, mirrors: Mirrors) -> list[str]:
    hook = _HOOK
    if recipe.remove:
        hook += "rm -rf -- " + shlex.join(recipe.remove) + "\n"
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=extract",
        "--mode=root",
        f"--include={','.join(recipe.packages)}",
        f"--extract-hook={hook}",
        recipe.suite,
        str(tar),
        *mirrors.sources(recipe.suite),
    ]


def _environment(scratch: str) -> dict[str, str]:
    return {**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH), "TMPDIR": scratch, "LC_ALL": "C.UTF-8"}


def _packages(tar: Path) -> list[dict[str, str]]:
    packages = []
    with tarfile.open(tar) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name.startswith((_STATUS, _STATUS[2:])) else None
            if stream is not None:
                packages.append(_fields(stream.read().decode("utf-8", "replace")))
    if not packages:
        raise GoldenGooseError(f"The base system {tar.name} holds no packages; look at what mmdebstrap printed.")
    return sorted(packages, key=lambda package: package["name"])


def _fields(text: str) -> dict[str, str]:
    fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line and line[0] != " ")
    return {
        "name": fields["Package"],
        "version": fields["Version"],
        "architecture": fields["Architecture"],
    }
