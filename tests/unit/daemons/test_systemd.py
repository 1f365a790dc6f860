# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of unit files; scenarios of Molecule run them under a real systemd."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons.systemd import quote, unit_text

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
