# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Build one image with buildah and keep it as an OCI archive named by its digest."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import GoldenGooseError
from ..files import make_dirs, read_json, sha256_file, write_atomic
from ..locks import hold
from ..services.model import Service
from ..services.source import folder_digest, source_digest
from .archive import archive_digest
from .base import Base, Mirrors, cached_base, ensure_base
from .buildah import build_archive
from .context import stage_context
from .recipe import Recipe, load_recipe
from .wheels import ensure_wheels

# Part of the key of every build: raise it when the same inputs would give other bytes.
_FORMAT = 1
_LOCK_SECONDS = 900.0


@dataclass(frozen=True)
class BuildRequest:
    """What to build: an image name, its recipe and, for a service, the source and what build.json says."""

    name: str
    image: str
    recipe: Recipe
    source: Path | None = None
    build: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Built:
    """An image that lies in the cache. ``digest`` is that of its manifest, ``sha256:…``."""

    image: str
    digest: str
    archive: Path
    key: str
    source_sha256: str
    base: Base | None

    def as_dict(self) -> dict[str, Any]:
        """Return the image with plain values, as the module returns it."""
        return {
            "name": self.image,
            "digest": self.digest,
            "image": f"{self.image}@{self.digest}",
            "archive": str(self.archive),
            "key": self.key,
            "source_sha256": self.source_sha256,
            "base": self.base.as_dict() if self.base else None,
        }


def service_request(service: Service) -> BuildRequest:
    """Return the request for the image of ``service``.

    :raises GoldenGooseError: its recipe is malformed or its source cannot be read.
    """
    build = {"name": service.name, "version": service.version, "source_sha256": source_digest(service)}
    return BuildRequest(service.name, service.image, load_recipe(service.recipe), service.source, build)


def context_request(image: str, folder: Path) -> BuildRequest:
    """Return the request for ``folder``, which holds a Containerfile, as the image ``image``.

    :raises GoldenGooseError: the recipe is malformed.
    """
    return BuildRequest(image.rpartition("/")[2], image, load_recipe(folder))


def archive_path(cache: Path, name: str, digest: str) -> Path:
    """Return where the archive of an image lies: ``<cache>/images/<name>/<64 hexadecimal digits>.tar``."""
    return cache / "images" / name / f"{digest.removeprefix('sha256:')}.tar"


def find_built(request: BuildRequest, cache: Path) -> Built | None:
    """Return the image for ``request`` when the cache holds it, whole, else None. Writes nothing.

    :raises GoldenGooseError: the source cannot be read.
    """
    base = None
    if request.recipe.base is not None:
        base = cached_base(request.recipe.base, _bases(cache))
        if base is None:
            return None
    key = _key(request, base)
    record = _record(cache, request, key)
    if not record.is_file():
        return None
    digest = str(read_json(record, "The record of an image build")["digest"])
    archive = archive_path(cache, request.name, digest)
    if not _intact(archive, digest):
        return None
    return Built(request.image, digest, archive, key, _source_sha256(request), base)


def build_image(request: BuildRequest, cache: Path, mirrors: Mirrors) -> tuple[Built, bool]:
    """Return the image for ``request`` and whether it was built now.

    The same source on the same base is built once; a second run waits for a first one.

    :raises GoldenGooseError: a program is missing or fails, or what it needs cannot be fetched.
    """
    images = cache / "images"
    make_dirs(images)
    with hold(images / "lock", f"the build of {request.image}", wait_seconds=_LOCK_SECONDS):
        found = find_built(request, cache)
        if found is not None:
            return found, False
        return _build(request, cache, mirrors), True


def _build(request: BuildRequest, cache: Path, mirrors: Mirrors) -> Built:
    recipe = request.recipe
    images = cache / "images"
    base = ensure_base(recipe.base, _bases(cache), mirrors) if recipe.base else None
    wheels = ensure_wheels(recipe.wheels, images / "wheels") if recipe.wheels else None
    key = _key(request, base)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=images) as scratch:
        context = Path(scratch) / "context"
        containerfile = stage_context(context, recipe, request.source, request.build, base, wheels)
        fresh = build_archive(
            request.image, context, containerfile, labels=_labels(request, base), scratch=Path(scratch)
        )
        digest = archive_digest(fresh)
        archive = archive_path(cache, request.name, digest)
        make_dirs(archive.parent)
        fresh.replace(archive)
    built = Built(request.image, digest, archive, key, _source_sha256(request), base)
    make_dirs(_record(cache, request, key).parent)
    record = json.dumps(built.as_dict(), indent=2, sort_keys=True)
    write_atomic(_record(cache, request, key), record.encode() + b"\n")
    return built


def _intact(archive: Path, digest: str) -> bool:
    try:
        return archive_digest(archive) == digest
    except GoldenGooseError:
        # A cache may lose or spoil what it holds: building again gives the same image.
        return False


def _bases(cache: Path) -> Path:
    return cache / "images" / "base"


def _record(cache: Path, request: BuildRequest, key: str) -> Path:
    return cache / "images" / request.name / "builds" / f"{key}.json"


def _source_sha256(request: BuildRequest) -> str:
    return request.build.get("source_sha256") or folder_digest(request.recipe.folder)


def _labels(request: BuildRequest, base: Base | None) -> dict[str, str]:
    labels = {
        "org.opencontainers.image.title": request.name,
        "golden-goose.local/source-sha256": _source_sha256(request),
    }
    if "version" in request.build:
        labels["org.opencontainers.image.version"] = request.build["version"]
    if base is not None:
        labels["golden-goose.local/base-sha256"] = base.sha256
    return labels


def _key(request: BuildRequest, base: Base | None) -> str:
    """Everything that the bytes of the image depend on."""
    inputs = {
        "format": _FORMAT,
        "image": request.image,
        "recipe": folder_digest(request.recipe.folder),
        "source": folder_digest(request.source) if request.source else None,
        "build": dict(request.build),
        "base": base.sha256 if base else None,
        "host_files": {name: sha256_file(path) for name, path in request.recipe.host_files.items()},
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
