# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The folder that buildah gets: only what the recipe names, with the same permissions on every machine."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ..errors import GoldenGooseError
from ..services.source import source_files
from .base import Base
from .recipe import CONTAINERFILE, Recipe
from .wheels import unpack_wheels


def stage_context(
    context: Path,
    recipe: Recipe,
    source: Path | None,
    build: Mapping[str, str],
    base: Base | None,
    wheels: list[Path] | None,
) -> Path:
    """Fill the new folder ``context`` and return the Containerfile in it.

    With a source: ``src/``, ``image/`` (the recipe's folder) and ``build.json``; without one the recipe's
    folder is the context itself. Both: ``base.tar``, ``lib/`` and the files of this machine.

    :raises GoldenGooseError: a file cannot be copied.
    """
    try:
        context.mkdir()
        recipe_folder = context
        if source is not None:
            recipe_folder = context / "image"
            recipe_folder.mkdir()
            _copy_tree(source, context / "src")
            text = json.dumps(dict(build), indent=2, sort_keys=True) + "\n"
            (context / "build.json").write_text(text, encoding="utf-8")
        _copy_tree(recipe.folder, recipe_folder)
        for name, path in recipe.host_files.items():
            shutil.copyfile(path, context / name)
            (context / name).chmod(path.stat().st_mode & 0o755)
        if base is not None:
            _link(base.tar, context / "base.tar")
        if wheels is not None:
            unpack_wheels(wheels, context / "lib")
        _level_permissions(context)
    except OSError as error:
        raise GoldenGooseError(
            f"Cannot prepare the build of {recipe.folder}: {error.filename}: {error.strerror or error}."
        ) from error
    return recipe_folder / CONTAINERFILE


def _copy_tree(origin: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for path in source_files(origin):
        copy = target / path.relative_to(origin)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy, follow_symlinks=False)


def _link(origin: Path, target: Path) -> None:
    try:
        target.hardlink_to(origin)
    except OSError:
        # Another file system, or one without hard links.
        shutil.copyfile(origin, target)


def _level_permissions(context: Path) -> None:
    """Folders and executables 0755, files 0644: not what the umask of a checkout made of them."""
    for current, folders, files in os.walk(context):
        for name in (*folders, *files):
            path = Path(current) / name
            # base.tar is a second name of a file in the cache; its permissions do not reach the image.
            if path.is_symlink() or path == context / "base.tar":
                continue
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
