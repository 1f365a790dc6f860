# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A service, as the file ``service.yml`` in its folder describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import GoldenGooseError
from ..imports import require
from .schema import check

DESCRIPTION = "service.yml"


@dataclass(frozen=True)
class Health:
    """HTTP paths that answer 200: alive, ready to serve, and name/version/source as JSON."""

    path: str
    ready: str
    version: str


@dataclass(frozen=True)
class Gates:
    """Thresholds of the promotion gates: findings, per cent of lines, known vulnerabilities, ready replicas.

    ``soak_seconds`` is how long an artifact has to have been in sandbox; ``query`` is PromQL that has to give a
    sample (empty: none is asked).
    """

    max_high: int
    max_medium: int
    min_percent: float
    min_ready: int
    max_vulnerabilities: int = 0
    soak_seconds: int = 0
    query: str = ""


@dataclass(frozen=True)
class Service:
    """One service; the folders are absolute and exist."""

    name: str
    version: str
    image: str
    port: int
    replicas: int
    dependencies: tuple[str, ...]
    folder: Path
    source: Path
    tests: Path
    manifests: Path
    recipe: Path
    health: Health
    gates: Gates

    def pinned_image(self, digest: str) -> str:
        """Return ``<image>@<digest>``, the only form in which an artifact is named."""
        return f"{self.image}@{digest}"

    def as_dict(self) -> dict[str, Any]:
        """Return the model with plain values, as modules return it."""
        plain = asdict(self)
        return {key: str(value) if isinstance(value, Path) else value for key, value in plain.items()} | {
            "dependencies": list(self.dependencies)
        }


def load_service(folder: Path) -> Service:
    """Return the service that ``folder/service.yml`` describes.

    :raises GoldenGooseError: the file is absent or malformed (the sentence names the file, the key and
        what is expected there), or a folder that it names is not there.
    """
    file = folder / DESCRIPTION
    data = check(_read_yaml(file), str(file))
    paths = {key: _subfolder(folder, file, key, value) for key, value in data["paths"].items()}
    gates = data["gates"]
    return Service(
        name=data["name"],
        version=data["version"],
        image=data["image"],
        port=data["port"],
        replicas=data["replicas"],
        dependencies=tuple(data["dependencies"]),
        folder=folder.resolve(),
        source=paths["source"],
        tests=paths["tests"],
        manifests=paths["manifests"],
        recipe=paths["image"],
        health=Health(**data["health"]),
        gates=Gates(**gates["sast"], **gates["coverage"], **gates["sbom"], **gates["health"]),
    )


def find_service(services_dir: Path, name: str) -> Service:
    """Return the service called ``name`` under ``services_dir``.

    :raises GoldenGooseError: no folder has this name, or its service.yml is malformed or names another.
    """
    require_known(services_dir, name)
    folder = services_dir / name
    service = load_service(folder)
    if service.name != name:
        raise GoldenGooseError(
            f"{folder / DESCRIPTION}: name is '{service.name}', but the folder is called '{name}'; make them the same."
        )
    return service


def require_known(services_dir: Path, name: str) -> None:
    """Refuse a name that no folder has, whatever its service.yml says.

    :raises GoldenGooseError: naming those that are known.
    """
    # A name such as ../x would leave the folder; compared with the listing, it is merely unknown.
    known = known_services(services_dir)
    if name not in known:
        listing = ", ".join(known) if known else "none"
        raise GoldenGooseError(f"There is no service '{name}' in {services_dir}; known are: {listing}.")


def known_services(services_dir: Path) -> list[str]:
    """Return the sorted names of the folders under ``services_dir`` that hold a service.yml."""
    if not services_dir.is_dir():
        return []
    return sorted(entry.name for entry in services_dir.iterdir() if (entry / DESCRIPTION).is_file())


def find_tests(service: Service) -> list[Path]:
    """Return the files that pytest would collect, sorted.

    :raises GoldenGooseError: there is none; a service without tests cannot become compliant.
    """
    found = sorted({*service.tests.rglob("test_*.py"), *service.tests.rglob("*_test.py")})
    if not found:
        raise GoldenGooseError(
            f"Service {service.name} has no tests: {service.tests} holds no test_*.py; write some first."
        )
    return found


def _read_yaml(file: Path) -> Mapping[Any, Any]:
    yaml = require("yaml", "pyyaml")
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise GoldenGooseError(f"{file} is not there; a service needs one.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise GoldenGooseError(f"Cannot read {file}: {error}.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise GoldenGooseError(f"{file}{where}: this is not YAML: {problem}.") from error
    if not isinstance(data, Mapping):
        raise GoldenGooseError(f"{file}: expected a mapping with name, image and port at the top.")
    return data


def _subfolder(folder: Path, file: Path, key: str, value: str) -> Path:
    path = (folder / value).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise GoldenGooseError(f"{file}: paths.{key} is '{value}'; expected a folder inside {folder}.")
    if not path.is_dir():
        raise GoldenGooseError(f"{file}: paths.{key} is '{value}', but there is no folder {path}.")
    return path
