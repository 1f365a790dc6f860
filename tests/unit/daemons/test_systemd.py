# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of unit files; scenarios of Molecule run them under a real systemd."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons import engine, systemd
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons.systemd import (
    Systemd,
    quote,
    unit_text,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError

from .conftest import AWKWARD, daemon


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("two words", '"two words"'),
        ("", '""'),
        ("50% $x", '"50%% $$x"'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("two\nlines", r'"two\nlines"'),
    ],
)
def test_quote(text: str, word: str) -> None:
    assert quote(text) == word


def test_unit_text() -> None:
    web = daemon(
        environment={"B": "$x", "A": 'a "b" 5%\n'},
        prepare=(("/bin/mkdir", "-p", "/a b"), ("/bin/true",)),
        user="nobody",
        stop_timeout=7,
        kill_mode="process",
    )
    lines = unit_text(web, "f" * 64).splitlines()
    service = lines[lines.index("[Service]") + 1 : lines.index("[Install]") - 1]
    assert service == [
        'ExecStartPre="/bin/mkdir" "-p" "/a b"',
        'ExecStartPre="/bin/true"',
        'ExecStart="/bin/sleep" "60"',
        r'Environment="A=a \"b\" 5%%\n"',
        'Environment="B=$x"',
        'Environment="GOLDEN_GOOSE_DAEMON=gg-web"',
        f'Environment="GOLDEN_GOOSE_FINGERPRINT={"f" * 64}"',
        "User=nobody",
        "Restart=always",
        "RestartSec=1",
        "TimeoutStopSec=7",
        "KillMode=process",
        "LimitNOFILE=65536",
        "Delegate=yes",
    ]
    assert "StartLimitIntervalSec=0" in lines and "WantedBy=multi-user.target" in lines


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    web = daemon(
        command=("/bin/echo", *AWKWARD, "two\nlines"),
        environment={f"V{number}": text for number, text in enumerate(AWKWARD)},
        prepare=(("/bin/true",),),
    )
    path = tmp_path / "gg-web.service"

    def verify(text: str) -> str:
        path.write_text(text)
        command = ["systemd-analyze", "verify", "--man=no", "--generators=no", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return "\n".join(line for line in (done.stdout + done.stderr).splitlines() if path.name in line)

    text = unit_text(web, "f" * 64)
    assert verify(text) == ""
    # It does look: the same with a broken quote is refused.
    assert verify(text.replace('ExecStart="', 'ExecStart="\\"', 1)) != ""


# Remembers what it is asked; a unit that was started runs as the shell that asked.
_SYSTEMCTL = """#!/bin/sh
echo "$*" >> {folder}/asked
case "$*" in
  restart*) echo $PPID > {folder}/pid; [ ! -e {folder}/broken ] || {{ echo "Job failed." >&2; exit 1; }} ;;
  disable*) rm -f {folder}/pid ;;
  *MainPID*) cat {folder}/pid 2>/dev/null || echo 0 ;;
  *ActiveState*) if [ -e {folder}/pid ]; then echo active; else echo failed; fi ;;
esac
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl of the test; what it was asked is in the file."""
    program = tmp_path / "systemctl"
    program.write_text(_SYSTEMCTL.format(folder=tmp_path))
    program.chmod(0o755)
    (tmp_path / "units").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(systemd, "_UNITS", tmp_path / "units")
    return tmp_path / "asked"


def actions(asked: Path) -> list[str]:
    """Return what systemd was told to do since the last call."""
    lines = [line for line in asked.read_text().splitlines() if not line.startswith("show")]
    asked.write_text("")
    return lines


def test_a_unit_is_written_enabled_started_and_removed(asked: Path, tmp_path: Path) -> None:
    manager, web, path = Systemd(), daemon(), tmp_path / "units/gg-web.service"
    assert engine.apply(manager, [web], check=True)["changed"] and not path.exists()
    assert actions(asked) == []
    assert engine.apply(manager, [web], check=False)["services"][0]["state"] == "started"
    assert path.read_text() == unit_text(web, web.fingerprint({}))
    assert actions(asked) == ["daemon-reload", "enable --quiet gg-web", "restart gg-web"]
    assert manager.known(web) and manager.alive(web) and manager.pid(web) == os.getpid()
    assert manager.log_hint(web) == "journalctl -u gg-web"
    assert not manager.write(web, web.fingerprint({}), check=False) and actions(asked) == []
    assert engine.remove(manager, [web], check=False)["changed"]
    assert actions(asked) == ["disable --quiet --now gg-web", "daemon-reload"]
    assert not path.exists() and not manager.known(web) and not manager.alive(web) and manager.pid(web) is None
    assert not engine.remove(manager, [web], check=False)["changed"] and actions(asked) == []


def test_what_systemd_says_when_it_fails(asked: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with pytest.raises(GoldenGooseError, match=r"^Starting gg-web failed with status 1: Job failed\.$"):
        engine.apply(Systemd(), [daemon()], check=False)
