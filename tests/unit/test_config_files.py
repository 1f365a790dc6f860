# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders, links and files of a program, in one pass."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.config_files import ensure, remove
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError


def directory(path: Path, mode: str = "0755", owner: str = "root") -> dict[str, Any]:
    return {"path": str(path), "mode": mode, "owner": owner}


def file(path: Path, content: str | None = "x", mode: str = "0644", owner: str = "root") -> dict[str, Any]:
    return {"path": str(path), "content": content, "mode": mode, "owner": owner}


def link(path: Path, target: str) -> dict[str, Any]:
    return {"path": str(path), "target": target}


@pytest.fixture(autouse=True)
def as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("files belong to root")


def test_four_times(tmp_path: Path) -> None:
    """Check, real, check again, real again."""
    conf, secret, here = tmp_path / "etc/x.conf", tmp_path / "etc/secret", tmp_path / "bin/x"
    wanted = (
        [directory(tmp_path / "etc", "0750"), directory(tmp_path / "lib", owner="nobody")],
        [link(here, "/bin/true")],
        [file(conf, "a = ü\n"), file(secret, "s", "0600")],
    )
    paths = [str(path) for path in (tmp_path / "etc", tmp_path / "lib", conf, secret, here)]
    for check in (True, False):
        changed, diff = ensure(*wanted, check=check)
        assert changed == paths
        # What others may not read is not shown.
        assert [item["after"] for item in diff] == ["a = ü\n"]
        assert (tmp_path / "etc").exists() is not check
    for check in (True, False):
        assert ensure(*wanted, check=check) == ([], [])
    assert (conf.read_text(), secret.stat().st_mode & 0o7777) == ("a = ü\n", 0o600)
    assert (tmp_path / "etc").stat().st_mode & 0o7777 == 0o750
    assert (tmp_path / "lib").owner() == "nobody"
    assert str(here.readlink()) == "/bin/true"


@pytest.mark.parametrize(
    "change",
    [
        {"content": "y"},
        {"content": None},
        {"mode": "0640"},
        {"owner": "nobody"},
    ],
)
def test_a_file_that_is_otherwise(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "x"
    ensure([], [], [file(path)], check=False)
    wanted = [file(path) | change]
    assert ensure([], [], wanted, check=True)[0] == ensure([], [], wanted, check=False)[0] == [str(path)]
    assert ensure([], [], wanted, check=True)[0] == ensure([], [], wanted, check=False)[0] == []


@pytest.mark.parametrize("change", [{"mode": "0700"}, {"owner": "nobody"}])
def test_a_folder_that_is_otherwise(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "x"
    ensure([directory(path)], [], [], check=False)
    wanted = [directory(path) | change]
    assert ensure(wanted, [], [], check=True)[0] == ensure(wanted, [], [], check=False)[0] == [str(path)]
    assert ensure(wanted, [], [], check=True)[0] == ensure(wanted, [], [], check=False)[0] == []


def test_a_link_that_points_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.symlink_to("/nonexistent")
    assert ensure([], [link(path, "/bin/true")], [], check=True)[0] == [str(path)]
    assert str(path.readlink()) == "/nonexistent"
    assert ensure([], [link(path, "/bin/true")], [], check=False)[0] == [str(path)]
    assert str(path.readlink()) == "/bin/true"
    assert list(tmp_path.iterdir()) == [path]


def test_the_difference_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old\n")
    _changed, diff = ensure([], [], [file(path, "new\n")], check=True)
    assert diff == [{"before_header": str(path), "after_header": str(path), "before": "old\n", "after": "new\n"}]
    assert path.read_text() == "old\n"
    assert ensure([], [], [file(path, "new\n", "0600")], check=True) == ([str(path)], [])


def test_check_mode_takes_a_user_that_a_package_would_bring(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("x")
    wanted = [file(path, owner="nosuchuser")]
    assert ensure([], [], wanted, check=True)[0] == [str(path)]
    with pytest.raises(GoldenGooseError, match=f"{path} is to belong to nosuchuser, and there is no such user"):
        ensure([], [], wanted, check=False)


@pytest.mark.parametrize("check", [True, False])
def test_a_mode_that_is_none_is_named(tmp_path: Path, check: bool) -> None:
    with pytest.raises(GoldenGooseError, match=f"{tmp_path}/x: the mode 'rw' is not an octal number"):
        ensure([], [], [file(tmp_path / "x", mode="rw")], check=check)


def test_what_is_in_the_way_is_named_and_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    with pytest.raises(GoldenGooseError, match=f"Cannot create the folder {tmp_path}/file: something that is none"):
        ensure([directory(tmp_path / "file")], [], [], check=False)
    with pytest.raises(GoldenGooseError, match=f"Cannot read {tmp_path}/folder: Is a directory"):
        ensure([], [], [file(tmp_path / "folder")], check=False)
    with pytest.raises(GoldenGooseError, match=f"Cannot make the link {tmp_path}/folder: Is a directory"):
        ensure([], [link(tmp_path / "folder", "/x")], [], check=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "kept"


def test_remove_four_times(tmp_path: Path) -> None:
    """Links go and what they point to stays."""
    kept = tmp_path / "kept"
    kept.write_text("x")
    wanted = (
        [directory(tmp_path / "etc")],
        [link(tmp_path / "link", str(kept)), link(tmp_path / "dangling", "/nonexistent")],
        [file(tmp_path / "etc/x.conf")],
    )
    ensure(*wanted, check=False)
    (tmp_path / "etc/more").write_text("of the program itself")
    gone = [str(tmp_path / name) for name in ("link", "dangling", "etc/x.conf", "etc")]
    assert remove(*wanted, check=True) == (gone, [])
    assert (tmp_path / "etc/x.conf").exists()
    assert remove(*wanted, check=False) == (gone, [])
    assert remove(*wanted, check=True) == remove(*wanted, check=False) == ([], [])
    assert list(tmp_path.iterdir()) == [kept]
