# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The digest of an archive is believed only after its content was looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.archive import archive_digest


def test_digest_of_the_manifest(make_archive: Callable) -> None:
    path, digest = make_archive()
    assert archive_digest(path) == digest


def test_a_damaged_layer_is_refused(make_archive: Callable) -> None:
    path, _digest = make_archive(damage=b"other")
    with pytest.raises(GoldenGooseError, match="is damaged: sha256:"):
        archive_digest(path)


@pytest.mark.parametrize("images", [0, 2])
def test_exactly_one_image(make_archive: Callable, images: int) -> None:
    path, _digest = make_archive(images=images)
    with pytest.raises(GoldenGooseError, match=f"holds {images} images; expected exactly one"):
        archive_digest(path)


@pytest.mark.parametrize("keep", [0, 100, 2000])
def test_a_cut_archive_is_refused(make_archive: Callable, keep: int) -> None:
    path, _digest = make_archive()
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(GoldenGooseError, match="is not an intact OCI image archive"):
        archive_digest(path)


def test_an_absent_archive_is_said(tmp_path: Path) -> None:
    with pytest.raises(GoldenGooseError, match="There is no image archive"):
        archive_digest(tmp_path / "none.tar")
