# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that fail and libraries that are missing, each in one sentence."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.commands import run
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.imports import require


def test_output(tmp_path: Path) -> None:
    script = 'read line; echo "$line $WORD $PWD"; echo aside >&2'
    said = run(["/bin/sh", "-c", script], "Telling", stdin="hello\n", environment={"WORD": "x"}, cwd=str(tmp_path))
    assert said == f"hello x {tmp_path}\n"


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo out; echo one >&2; echo two >&2; exit 3", "Telling failed with status 3: one / two"),
        ("echo out; exit 1", "Telling failed with status 1: out"),
        ("exit 1", "Telling failed with status 1: it said nothing"),
        ("kill -9 $$", "Telling failed with status -9: it said nothing"),
        ("seq 9 >&2; exit 1", "Telling failed with status 1: 5 / 6 / 7 / 8 / 9"),
        ("sleep 60", "Telling did not end within 0 s (/bin/sh)."),
    ],
)
def test_failure(script: str, sentence: str) -> None:
    with pytest.raises(GoldenGooseError) as caught:
        run(["/bin/sh", "-c", script], "Telling", timeout=0.4 if "sleep" in script else 20)
    assert str(caught.value) == sentence


def test_a_program_that_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(
        GoldenGooseError, match=r"^Telling needs the program no-such-program, which is not installed\.$"
    ):
        run(["no-such-program"], "Telling")
    (tmp_path / "x").write_text("")
    with pytest.raises(GoldenGooseError, match=rf"^Telling failed: {tmp_path}/x: Permission denied\.$"):
        run([str(tmp_path / "x")], "Telling")


def test_require() -> None:
    assert require("json") is json
    with pytest.raises(GoldenGooseError) as caught:
        require("no_such_library.part", "no-such-library")
    assert str(caught.value).startswith(f"The Python library no-such-library is missing for {sys.executable} (")
    with pytest.raises(GoldenGooseError, match="library no_such_library is missing"):
        require("no_such_library.part")


def test_a_library_that_fails_itself_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "half_installed", ModuleType("half_installed"))
    with pytest.raises(GoldenGooseError, match="library half_installed is missing"):
        require("half_installed.part")
