# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small OCI archives, made by hand."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def write_archive(path: Path, layer: bytes, images: int = 1, damage: bytes | None = None) -> str:
    """Write an archive with one layer and return its digest; ``damage`` replaces the layer's bytes."""
    blobs: dict[str, bytes] = {}

    def blob(content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return f"sha256:{digest}"

    config = blob(b"{}")
    layer_digest = blob(layer)
    manifest = blob(json.dumps({"config": {"digest": config}, "layers": [{"digest": layer_digest}]}).encode())
    if damage is not None:
        blobs[f"blobs/sha256/{layer_digest[7:]}"] = damage
    index = {"schemaVersion": 2, "manifests": [{"mediaType": MANIFEST, "digest": manifest}] * images}
    with tarfile.open(path, "w") as archive:
        for name, content in {**blobs, "index.json": json.dumps(index).encode()}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return manifest


@pytest.fixture
def make_archive(tmp_path: Path) -> Callable[..., tuple[Path, str]]:
    """Return a function that writes an archive and gives its path and digest."""

    def make(layer: bytes = b"layer", **options: object) -> tuple[Path, str]:
        path = tmp_path / "image.tar"
        return path, write_archive(path, layer, **options)

    return make
