# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When an image is built and when not. What buildah really makes is tested in tests/integration."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.images import build, wheels
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.base import Base, Mirrors
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.build import (
    BuildRequest,
    archive_path,
    build_image,
    context_request,
    find_built,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.context import stage_context
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.recipe import Recipe

from .conftest import write_archive


class FakeBuildah:
    """Makes an archive of the context's file names and counts."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(
        self, image: str, context: Path, containerfile: Path, *, labels: Mapping[str, str], scratch: Path
    ) -> Path:
        self.runs += 1
        names = sorted(str(p.relative_to(context)) for p in context.rglob("*"))
        archive = scratch / "image.tar"
        write_archive(archive, json.dumps([image, names, dict(labels)]).encode())
        return archive


@pytest.fixture
def buildah(monkeypatch: pytest.MonkeyPatch) -> FakeBuildah:
    fake = FakeBuildah()
    monkeypatch.setattr(build, "build_archive", fake)
    return fake


@pytest.fixture
def request_(tmp_path: Path) -> BuildRequest:
    recipe, source = tmp_path / "image", tmp_path / "src"
    recipe.mkdir()
    source.mkdir()
    (recipe / "Containerfile").write_text("FROM scratch\n")
    (source / "main.py").write_text("print(1)\n")
    facts = {"name": "x", "version": "1", "source_sha256": "ab" * 32}
    return BuildRequest("x", "local.test/x", Recipe(recipe), source, facts)


def test_the_same_source_is_built_once(tmp_path: Path, buildah: FakeBuildah, request_: BuildRequest) -> None:
    cache = tmp_path / "cache"
    assert find_built(request_, cache) is None
    assert not cache.exists()
    first, changed = build_image(request_, cache, Mirrors())
    again, changed_again = build_image(request_, cache, Mirrors())
    assert (changed, changed_again, buildah.runs) == (True, False, 1)
    assert again == first == find_built(request_, cache)
    assert first.archive == archive_path(cache, "x", first.digest)
    assert first.archive.is_file()
    assert [p.name for p in (cache / "images").iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize(
    "alter",
    [
        lambda r: (r.source / "main.py").write_text("print(2)\n"),
        lambda r: (r.recipe.folder / "Containerfile").write_text("FROM scratch\nUSER 1\n"),
    ],
)
def test_other_source_is_another_build(
    tmp_path: Path, buildah: FakeBuildah, request_: BuildRequest, alter: Callable
) -> None:
    build_image(request_, tmp_path / "cache", Mirrors())
    alter(request_)
    assert find_built(request_, tmp_path / "cache") is None
    assert build_image(request_, tmp_path / "cache", Mirrors())[1] is True


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:900])])
def test_a_lost_or_spoilt_archive_is_built_again(
    tmp_path: Path, buildah: FakeBuildah, request_: BuildRequest, spoil: Callable
) -> None:
    built, _changed = build_image(request_, tmp_path / "cache", Mirrors())
    spoil(built.archive)
    assert build_image(request_, tmp_path / "cache", Mirrors()) == (built, True)


def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_: BuildRequest) -> None:
    def fail(*arguments: object, **options: object) -> Path:
        raise GoldenGooseError("Building the image local.test/x failed with status 125: no.")

    monkeypatch.setattr(build, "build_archive", fail)
    with pytest.raises(GoldenGooseError, match="status 125"):
        build_image(request_, tmp_path / "cache", Mirrors())
    assert [path.name for path in (tmp_path / "cache" / "images").iterdir()] == ["lock"]


def test_a_context_of_its_own_needs_no_service(tmp_path: Path, buildah: FakeBuildah) -> None:
    folder = tmp_path / "pause"
    folder.mkdir()
    (folder / "Containerfile").write_text("FROM scratch\n")
    (folder / "image.yml").write_text("host_files: {shell: /bin/sh}\n")
    built, _changed = build_image(context_request("local.test/a/pause", folder), tmp_path / "cache", Mirrors())
    assert built.as_dict()["image"] == f"local.test/a/pause@{built.digest}"
    assert built.archive.parent.name == "pause"
    assert built.base is None


def test_the_context_holds_what_was_named_with_level_permissions(tmp_path: Path, request_: BuildRequest) -> None:
    base_tar = tmp_path / "some.tar"
    base_tar.write_bytes(b"base")
    base_tar.chmod(0o600)
    (request_.source / "main.py").chmod(0o600)
    (request_.source / "tool").write_text("#!/bin/sh\n")
    (request_.source / "tool").chmod(0o700)
    (request_.source / "__pycache__").mkdir()
    (request_.source / "__pycache__" / "main.pyc").write_text("")
    wheel = tmp_path / "w-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("w/__init__.py", "")
    context = tmp_path / "context"
    containerfile = stage_context(
        context, request_.recipe, request_.source, request_.build, Base(base_tar, "ab", ()), [wheel]
    )
    assert containerfile == context / "image" / "Containerfile"
    files = {str(p.relative_to(context)): p.stat().st_mode & 0o777 for p in context.rglob("*") if p.is_file()}
    assert files == {
        "base.tar": 0o600,
        "build.json": 0o644,
        "image/Containerfile": 0o644,
        "lib/w/__init__.py": 0o644,
        "src/main.py": 0o644,
        "src/tool": 0o755,
    }
    assert json.loads((context / "build.json").read_text()) == dict(request_.build)


@pytest.mark.parametrize(
    ("name", "member", "accepted"),
    [
        ("x-1-py3-none-any.whl", "x/__init__.py", True),
        ("x-1-cp311-cp311-linux_x86_64.whl", "x/__init__.py", False),
        ("x-1-py3-none-any.whl", "x-1.data/scripts/x", False),
    ],
)
def test_only_pure_wheels_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, member: str, accepted: bool
) -> None:
    commands = []

    def fetch(command: list[str], what: str, timeout: float) -> str:
        commands.append(command)
        target = Path(command[command.index("--dest") + 1])
        target.mkdir()
        with zipfile.ZipFile(target / name, "w") as archive:
            archive.writestr(member, "")
        return ""

    monkeypatch.setattr(wheels, "run", fetch)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("x==1 --hash=sha256:00\n")
    if accepted:
        assert [w.name for w in wheels.ensure_wheels(requirements, tmp_path / "w")] == [name]
        assert [w.name for w in wheels.ensure_wheels(requirements, tmp_path / "w")] == [name]
        assert len(commands) == 1
        assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(commands[0])
    else:
        with pytest.raises(GoldenGooseError, match="is not a plain pure-Python wheel"):
            wheels.ensure_wheels(requirements, tmp_path / "w")
        assert list((tmp_path / "w").iterdir()) == []
