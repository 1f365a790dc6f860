# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""OCI image archives: which image is in one.

Layout: https://github.com/opencontainers/image-spec/blob/v1.0.2/image-layout.md, in a tar file.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

from ..errors import GoldenGooseError

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_BLOCK = 1 << 20


def archive_digest(path: Path) -> str:
    """Return the manifest digest (``sha256:…``) of the one image in the archive ``path``.

    The manifest and its configuration and layers must be in the archive and have the digests that
    name them: a truncated or altered archive is refused here, not by a pod that does not start.

    :raises GoldenGooseError: it is not such an archive, or it is damaged.
    """
    try:
        with tarfile.open(path) as archive:
            descriptor = _only_image(archive, path)
            manifest = json.loads(_blob(archive, descriptor["digest"], path))
            for part in (manifest["config"], *manifest["layers"]):
                _check(archive, part["digest"], path)
    except FileNotFoundError as error:
        raise GoldenGooseError(f"There is no image archive {path}.") from error
    except (tarfile.TarError, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        raise GoldenGooseError(f"{path} is not an intact OCI image archive: {error}.") from error
    return str(descriptor["digest"])


def _only_image(archive: tarfile.TarFile, path: Path) -> dict[str, Any]:
    index = json.loads(_read(archive, "index.json"))
    images = [entry for entry in index["manifests"] if entry["mediaType"] == _MANIFEST]
    if len(images) != 1:
        raise GoldenGooseError(f"{path} holds {len(images)} images; expected exactly one.")
    return dict(images[0])


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    if stream is None:
        raise ValueError(f"{name} is not a file")
    return stream.read()


def _name(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/', 1)}"


def _blob(archive: tarfile.TarFile, digest: str, path: Path) -> bytes:
    _check(archive, digest, path)
    return _read(archive, _name(digest))


def _check(archive: tarfile.TarFile, digest: str, path: Path) -> None:
    stream = archive.extractfile(_name(digest))
    if stream is None:
        raise ValueError(f"{digest} is not a file")
    hashed = hashlib.sha256()
    while block := stream.read(_BLOCK):
        hashed.update(block)
    found = f"sha256:{hashed.hexdigest()}"
    if found != digest:
        raise GoldenGooseError(f"{path} is damaged: {digest} has the content of {found}.")
