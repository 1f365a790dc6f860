# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Do to a copy of a sound ledger what bad-segments.json says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parent
BAD_SEGMENTS: list[dict[str, Any]] = json.loads((VECTORS / "bad-segments.json").read_text())


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _put(source: Path, target: Path) -> None:
    shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)


def _keep(path: Path, count: int) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:count]))


def _replace(path: Path, find: str, replace: str) -> None:
    data = path.read_bytes()
    assert find.encode() in data, find
    path.write_bytes(data.replace(find.encode(), replace.encode(), 1))


def _append(path: Path, text: str) -> None:
    path.write_bytes(path.read_bytes() + text.encode())


def _swap(folder: Path, one: str, other: str) -> None:
    aside = folder / "aside"
    for source, target in ((folder / one, aside), (folder / other, folder / one), (aside, folder / other)):
        if source.exists():
            source.rename(target)


def damaged(vector: dict[str, Any], folder: Path) -> Path:
    """Return ``folder``, which has the ledger that ``vector`` describes."""
    shutil.copytree(VECTORS / vector["of"], folder)
    for verb, *words in vector["do"]:
        if verb == "copy":
            _put(VECTORS / words[0], folder / words[1])
        elif verb == "swap":
            _swap(folder, *words)
        else:
            do = {"remove": _remove, "keep": _keep, "replace": _replace, "append": _append}[verb]
            do(folder / words[0], *words[1:])  # type: ignore[operator]
    return folder
