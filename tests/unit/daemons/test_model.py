# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a daemon is, and when it counts as another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons.model import Ready, daemons_from
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError

from .conftest import daemon

SERVICE: dict[str, Any] = {"name": "web", "user": "root", "stop_timeout": 20, "kill_mode": "mixed"}


@pytest.mark.parametrize(
    "other",
    [
        {"command": ("/bin/sleep", "61")},
        {"environment": {"A": "1"}},
        {"user": "nobody"},
        {"prepare": (("true",),)},
        {"restart_on": ("/nonexistent",)},
    ],
)
def test_the_fingerprint_tells_what_a_process_is_started_with(other: dict[str, Any]) -> None:
    assert daemon().fingerprint({}) == daemon().fingerprint({})
    assert daemon(**other).fingerprint({}) != daemon().fingerprint({})


@pytest.mark.parametrize("other", [{"stop_timeout": 5}, {"kill_mode": "process"}, {"ready": Ready(tcp="a:1")}])
def test_what_does_not_concern_the_process_does_not_restart_it(other: dict[str, Any]) -> None:
    assert daemon(**other).fingerprint({}) == daemon().fingerprint({})


def test_the_fingerprint_follows_the_content_of_files(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    web = daemon(restart_on=(str(path),))
    absent = web.fingerprint({})
    path.write_text("one")
    one = web.fingerprint({})
    path.write_text("two")
    assert len({absent, one, web.fingerprint({})}) == 3
    path.write_text("one")
    assert web.fingerprint({}) == one


def test_a_shared_file_is_read_once(tmp_path: Path) -> None:
    program, link = tmp_path / "program", tmp_path / "link"
    program.write_text("x")
    link.symlink_to(program)
    digests: dict[str, str] = {}
    first = daemon(restart_on=(str(program),)).fingerprint(digests)
    daemon(restart_on=(str(link),)).fingerprint(digests)
    assert list(digests) == [str(program)]
    program.write_text("y")
    assert daemon(restart_on=(str(program),)).fingerprint(digests) == first


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GoldenGooseError, match=f"Cannot read {tmp_path}: Is a directory"):
        daemon(restart_on=(str(tmp_path),)).fingerprint({})


def test_options_become_a_daemon() -> None:
    given = SERVICE | {
        "command": ["/bin/x", "-v"],
        "environment": {"PORT": 80},
        "prepare": [["mkdir", "-p", "/x"]],
        "ready": {"http": "http://127.0.0.1:1/x", "tcp": None, "status": None, "timeout": 5.0},
    }
    (web,) = daemons_from("gg", [given])
    assert (web.unit, web.command, web.environment) == ("gg-web", ("/bin/x", "-v"), {"PORT": "80"})
    assert web.prepare == (("mkdir", "-p", "/x"),)
    assert web.ready == Ready(http="http://127.0.0.1:1/x", status=(200,), timeout=5.0)


@pytest.mark.parametrize(
    "ready",
    [
        {"tcp": "127.0.0.1"},
        {"tcp": "127.0.0.1:http"},
        {"tcp": ":80"},
        {"tcp": "a:70000"},
        {"http": "localhost:80/x"},
        {"http": "http://:80/"},
        {"http": "https://a:x/"},
        {"http": "ftp://a/"},
    ],
)
def test_an_address_that_is_none_is_refused(ready: dict[str, Any]) -> None:
    with pytest.raises(GoldenGooseError, match=r"^web is ready at .* has to be .*\.$"):
        daemons_from("gg", [SERVICE | {"ready": ready}])
