# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sections for supervisord, read back with supervisor's own parser; a real one is in tests/integration."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons.model import Daemon
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons.supervisor import (
    Supervisor,
    program_text,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from supervisor.options import ServerOptions

from .conftest import AWKWARD, daemon


def read_back(web: Daemon, folder: Path) -> Any:
    """Return the program as supervisord would start it."""
    path = folder / "supervisord.conf"
    path.write_text(f"[supervisord]\nlogfile={folder}/log\n{program_text(web, 'f' * 64, folder)}")
    options = ServerOptions()
    options.realize(["-n", "-c", str(path)])
    (group,) = options.process_group_configs
    (program,) = group.process_configs
    return program


@pytest.mark.parametrize("text", AWKWARD)
def test_words_reach_the_program_as_they_are(text: str, tmp_path: Path) -> None:
    program = read_back(daemon(command=("/bin/echo", text, "end")), tmp_path)
    assert shlex.split(program.command) == ["/bin/echo", text, "end"]


def test_prepared_programs_get_their_words_too(tmp_path: Path) -> None:
    prepare = tuple(("printf", "%s\\n", text) for text in AWKWARD)
    program = read_back(daemon(command=("printf", "%s.", *AWKWARD), prepare=prepare), tmp_path)
    done = subprocess.run(shlex.split(program.command), capture_output=True, text=True, check=True)
    assert done.stdout == "".join(f"{text}\n" for text in AWKWARD) + "".join(f"{text}." for text in AWKWARD)


def test_the_program_is_executed_in_place_of_the_shell(tmp_path: Path) -> None:
    program = read_back(daemon(command=("/bin/cat", "/proc/self/comm"), prepare=(("true",),)), tmp_path)
    done = subprocess.run(shlex.split(program.command), capture_output=True, text=True, check=True)
    assert done.stdout == "cat\n"


@pytest.mark.parametrize("text", [t for t in AWKWARD if t not in ("a ; b", "a # b", 'it\'s ; "so"', 'say "hi"')])
def test_variables_reach_the_program_as_they_are(text: str, tmp_path: Path) -> None:
    program = read_back(daemon(environment={"A": text, "B": "x"}), tmp_path)
    marks = {"GOLDEN_GOOSE_DAEMON": "gg-web", "GOLDEN_GOOSE_FINGERPRINT": "f" * 64}
    assert program.environment == {"A": text, "B": "x", **marks}


@pytest.mark.parametrize("text", ["two\nlines", 'it\'s "so"', "a ; b", "a # b", 'say "hi"', "'quoted'"])
def test_variables_that_supervisor_would_change_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(GoldenGooseError, match=r"value of A for gg-web.*put it into a file"):
        program_text(daemon(environment={"A": text}), "f", tmp_path)


def test_a_line_break_in_a_command_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GoldenGooseError, match="command of gg-web has a line break"):
        program_text(daemon(command=("sh", "-c", "a\nb")), "f", tmp_path)


@pytest.mark.parametrize(("kill_mode", "as_group"), [("mixed", True), ("process", False)])
def test_how_it_is_kept_and_stopped(kill_mode: str, as_group: bool, tmp_path: Path) -> None:
    program = read_back(daemon(kill_mode=kill_mode, stop_timeout=7), tmp_path)
    assert (program.name, program.autostart, program.autorestart.__name__) == (
        "gg-web",
        False,
        "RestartUnconditionally",
    )
    assert (program.stopwaitsecs, program.stopasgroup, program.killasgroup) == (7, as_group, as_group)
    assert program.stdout_logfile == str(tmp_path / "web.log")


def test_a_supervisord_that_is_not_installed_is_named(tmp_path: Path) -> None:
    supervisor = Supervisor("gg", tmp_path / "etc", tmp_path / "log", tmp_path / "run", tmp_path / "nothing")
    web = daemon()
    assert supervisor.write(web, "f", check=False) and not supervisor.write(web, "f", check=True)
    assert (tmp_path / "etc/conf.d/web.conf").stat().st_mode & 0o777 == 0o600
    assert supervisor.known(web) and supervisor.pid(web) is None and not supervisor.alive(web)
    with pytest.raises(GoldenGooseError, match=f"needs the program {tmp_path}/nothing, which is not installed"):
        supervisor.restart(web)
    supervisor.remove(web)
    assert not supervisor.known(web)
