# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source digest: the same for the same source, another for any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.services import find_service, source_digest
from ansible_collections.golden_goose.compliance.plugins.module_utils.services.source import folder_digest


def _digest(services_dir: Path) -> str:
    return source_digest(find_service(services_dir, "service-a"))


def _rename(folder: Path) -> None:
    (folder / "README.md").rename(folder / "LIESMICH.md")


@pytest.mark.parametrize(
    "alter",
    [
        lambda folder: (folder / "src" / "new.py").write_text(""),
        lambda folder: (folder / "tests" / "test_main.py").unlink(),
        lambda folder: (folder / "README.md").write_text("x"),
        lambda folder: (folder / "README.md").chmod(0o755),
        lambda folder: (folder / "link").symlink_to("README.md"),
        lambda folder: (folder / "folder").symlink_to("src"),
        _rename,
    ],
)
def test_any_change_of_source_changes_it(services_dir: Path, alter: Callable[[Path], object]) -> None:
    before = _digest(services_dir)
    alter(services_dir / "service-a")
    assert _digest(services_dir) != before


def test_caches_umask_and_dates_do_not(services_dir: Path) -> None:
    before = _digest(services_dir)
    folder = services_dir / "service-a"
    (folder / "src" / "__pycache__").mkdir(exist_ok=True)
    (folder / "src" / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"x")
    (folder / ".coverage").write_text("x")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "y").write_text("y")
    (folder / "README.md").chmod(0o600)
    (folder / "README.md").touch()
    assert _digest(services_dir) == before


def test_content_cannot_pose_as_another_file(tmp_path: Path) -> None:
    """Two folders whose names and contents run together must differ."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    (one / "a").write_text("b")
    (other / "ab").write_text("")
    assert folder_digest(one) != folder_digest(other)
