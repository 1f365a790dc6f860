# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""image.yml: what it gives, and one sentence for everything that is wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.base import Mirrors, base_key, cached_base
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.recipe import (
    BaseRecipe,
    Recipe,
    load_recipe,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Containerfile").write_text("FROM scratch\n")
    (tmp_path / "requirements.txt").write_text("")
    return tmp_path


def test_without_image_yml_the_folder_is_all(folder: Path) -> None:
    assert load_recipe(folder) == Recipe(folder)


def test_everything_it_may_say(folder: Path) -> None:
    (folder / "image.yml").write_text(
        "base: {suite: bookworm, packages: [b, a, a], remove: [usr/share/man]}\n"
        "wheels: requirements.txt\nhost_files: {shell: /bin/sh}\n"
    )
    recipe = load_recipe(folder)
    assert recipe.base == BaseRecipe("bookworm", ("a", "b"), ("usr/share/man",))
    assert recipe.wheels == folder / "requirements.txt"
    assert recipe.host_files == {"shell": Path("/bin/sh")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "expected a mapping with base, wheels or host_files"),
        ("base: {", "this is not YAML"),
        ("bases: {}", "bases is not a known key; expected one of base, host_files, wheels"),
        ("base: bookworm", "base is 'bookworm'; expected a mapping"),
        ("base: {packages: [a]}", "base.suite is None; expected a Debian suite"),
        ("base: {suite: 'x; reboot', packages: [a]}", "base.suite is 'x; reboot'"),
        ("base: {suite: bookworm}", "base.packages is None; expected a list of Debian packages"),
        ("base: {suite: bookworm, packages: []}", r"base.packages is \[\]"),
        ("base: {suite: bookworm, packages: ['a,b']}", "base.packages holds 'a,b'"),
        ("base: {suite: bookworm, packages: [a], remove: [/etc]}", "base.remove holds '/etc'"),
        ("base: {suite: bookworm, packages: [a], remove: [../etc]}", "base.remove holds '../etc'"),
        ("base: {suite: bookworm, packages: [a], remove: ['x $(y)']}", "base.remove holds"),
        ("wheels: other.txt", "wheels is 'other.txt'; expected the name of a requirements file"),
        ("wheels: ../x", "wheels is '../x'"),
        ("host_files: [x]", r"host_files is \['x'\]"),
        ("host_files: {x: relative}", "host_files.x is 'relative'; expected a plain name and an absolute path"),
        ("host_files: {a/b: /bin/sh}", "host_files.a/b is '/bin/sh'"),
        ("host_files: {x: /not/there}", "host_files.x names /not/there, which is not on this machine"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, text: str, said: str) -> None:
    (folder / "image.yml").write_text(text)
    with pytest.raises(GoldenGooseError, match=said):
        load_recipe(folder)


def test_a_containerfile_is_needed(tmp_path: Path) -> None:
    with pytest.raises(GoldenGooseError, match="Containerfile is not there"):
        load_recipe(tmp_path)


def test_the_key_of_a_base_follows_what_is_asked_for() -> None:
    recipe = BaseRecipe("bookworm", ("a", "b"))
    others = [
        BaseRecipe("trixie", ("a", "b")),
        BaseRecipe("bookworm", ("a",)),
        BaseRecipe("bookworm", ("a", "b"), ("x",)),
    ]
    assert base_key(recipe) == base_key(BaseRecipe("bookworm", ("a", "b")))
    assert len({base_key(r) for r in (recipe, *others)}) == 4


def test_a_base_cut_short_is_not_used(tmp_path: Path) -> None:
    recipe = BaseRecipe("bookworm", ("a",))
    tar, record = tmp_path / f"{base_key(recipe)}.tar", tmp_path / f"{base_key(recipe)}.json"
    tar.write_bytes(b"12345")
    assert cached_base(recipe, tmp_path) is None
    record.write_text('{"size": 5, "sha256": "ab", "packages": []}')
    assert cached_base(recipe, tmp_path) is not None
    tar.write_bytes(b"1234")
    assert cached_base(recipe, tmp_path) is None


def test_a_suite_without_security_updates() -> None:
    assert Mirrors("http://m", "").sources("sid") == ["deb http://m sid main"]
    assert Mirrors("http://m", "http://s").sources("x") == ["deb http://m x main", "deb http://s x-security main"]
