# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What ``image.yml`` beside a Containerfile asks for: a base system, wheels, files of the building machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import GoldenGooseError
from ..imports import require

CONTAINERFILE = "Containerfile"
RECIPE = "image.yml"
_WORD = re.compile(r"[a-z0-9][a-z0-9.+-]*")
# No shell characters: these go into a command line of mmdebstrap's hook.
_TREE_PATH = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*(?:/[A-Za-z0-9_+-][A-Za-z0-9._+-]*)*")


@dataclass(frozen=True)
class BaseRecipe:
    """A Debian base: suite, packages (dependencies follow) and paths that are removed again."""

    suite: str
    packages: tuple[str, ...]
    remove: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """How the build context is put together around ``folder/Containerfile``."""

    folder: Path
    base: BaseRecipe | None = None
    wheels: Path | None = None
    host_files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def containerfile(self) -> Path:
        """Return the Containerfile."""
        return self.folder / CONTAINERFILE


def load_recipe(folder: Path) -> Recipe:
    """Return the recipe in ``folder``; without an image.yml the context is the folder alone.

    :raises GoldenGooseError: the Containerfile is absent or image.yml is malformed.
    """
    if not (folder / CONTAINERFILE).is_file():
        raise GoldenGooseError(f"{folder / CONTAINERFILE} is not there; an image recipe needs one.")
    file = folder / RECIPE
    if not file.is_file():
        return Recipe(folder)
    data = _read(file)
    _known(data, {"base", "wheels", "host_files"}, file, "")
    return Recipe(
        folder=folder,
        base=_base(data["base"], file) if "base" in data else None,
        wheels=_wheels(data["wheels"], file) if "wheels" in data else None,
        host_files=_host_files(data.get("host_files", {}), file),
    )


def _read(file: Path) -> Mapping[str, Any]:
    yaml = require("yaml", "pyyaml")
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise GoldenGooseError(f"Cannot read {file}: {error}.") from error
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise GoldenGooseError(f"{file}: this is not YAML: {problem}.") from error
    if not isinstance(data, Mapping):
        raise GoldenGooseError(f"{file}: expected a mapping with base, wheels or host_files.")
    return data


def _known(data: Mapping[str, Any], keys: set[str], file: Path, prefix: str) -> None:
    for key in data:
        if key not in keys:
            raise GoldenGooseError(
                f"{file}: {prefix}{key} is not a known key; expected one of {', '.join(sorted(keys))}."
            )


def _base(data: Any, file: Path) -> BaseRecipe:
    if not isinstance(data, Mapping):
        raise GoldenGooseError(f"{file}: base is {data!r}; expected a mapping with suite and packages.")
    _known(data, {"suite", "packages", "remove"}, file, "base.")
    suite = data.get("suite")
    if not isinstance(suite, str) or not _WORD.fullmatch(suite):
        raise GoldenGooseError(f"{file}: base.suite is {suite!r}; expected a Debian suite such as bookworm.")
    return BaseRecipe(
        suite=suite,
        packages=_words(data.get("packages"), _WORD, file, "base.packages", "a list of Debian packages"),
        remove=_words(data.get("remove", []), _TREE_PATH, file, "base.remove", "a list of relative paths"),
    )


def _words(value: Any, pattern: re.Pattern[str], file: Path, key: str, expected: str) -> tuple[str, ...]:
    if not isinstance(value, list) or (key == "base.packages" and not value):
        raise GoldenGooseError(f"{file}: {key} is {value!r}; expected {expected}.")
    for word in value:
        if not isinstance(word, str) or not pattern.fullmatch(word):
            raise GoldenGooseError(f"{file}: {key} holds {word!r}; expected {expected}.")
    return tuple(sorted(set(value)))


def _wheels(value: Any, file: Path) -> Path:
    path = file.parent / str(value)
    if not isinstance(value, str) or "/" in value or not path.is_file():
        raise GoldenGooseError(
            f"{file}: wheels is {value!r}; expected the name of a requirements file with hashes in {file.parent}."
        )
    return path


def _host_files(value: Any, file: Path) -> dict[str, Path]:
    if not isinstance(value, Mapping):
        raise GoldenGooseError(f"{file}: host_files is {value!r}; expected a mapping of name to absolute path.")
    found = {}
    for name, source in value.items():
        if not isinstance(source, str) or not source.startswith("/") or "/" in str(name):
            raise GoldenGooseError(
                f"{file}: host_files.{name} is {source!r}; expected a plain name and an absolute path."
            )
        if not Path(source).is_file():
            raise GoldenGooseError(
                f"{file}: host_files.{name} names {source}, which is not on this machine; "
                "install the package that holds it."
            )
        found[str(name)] = Path(source)
    return found
