# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Daemons under a real supervisord, which is what keeps them where systemd is not PID 1."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons import engine, processes
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons.model import Daemon, Ready
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons.supervisor import Supervisor
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError

from .programs import free_port

# Tells who it is and what it was started with; listens late, as real servers do.
SERVER = """
import http.server, json, os, sys, time
class Tell(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        told = {"pid": os.getpid(), "words": sys.argv[2:], "variable": os.environ.get("VARIABLE")}
        self.wfile.write(json.dumps(told).encode())
    def log_message(self, *_arguments):
        pass
time.sleep(0.3)
print("listening", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Tell).serve_forever()
"""


def eventually(what: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@dataclass
class Setup:
    """An instance of its own below ``folder``, with one server on ``port``."""

    folder: Path
    instance: str = field(default_factory=lambda: f"test{os.getpid()}")
    port: int = field(default_factory=free_port)

    @property
    def manager(self) -> Supervisor:
        program = Path(sys.executable).with_name("supervisord")
        return Supervisor(self.instance, self.folder / "etc", self.folder / "log", self.folder / "run", program)

    def web(self, *words: str, **more: Any) -> Daemon:
        program = self.folder / "server.py"
        program.write_text(SERVER)
        return Daemon(
            self.instance,
            more.pop("name", "web"),
            (sys.executable, str(program), str(more.pop("port", self.port)), *words),
            ready=Ready(http=f"http://127.0.0.1:{more.pop('ready_port', self.port)}/", timeout=15),
            stop_timeout=5,
            **more,
        )

    def apply(self, *daemons: Daemon, check: bool = False) -> list[str]:
        return [item["state"] for item in engine.apply(self.manager, daemons, check=check)["services"]]

    def told(self) -> dict[str, Any]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.port}/", timeout=5) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    def answers_with(self, pid: int) -> bool:
        """Return whether a process other than ``pid`` answers."""
        try:
            return bool(self.told()["pid"] != pid)
        except (urllib.error.URLError, OSError):
            return False

    def supervisord(self) -> int:
        return int((self.folder / "run/supervisord.pid").read_text())


@pytest.fixture
def setup() -> Iterator[Setup]:
    # The path of a socket has at most 107 characters, and those of pytest are long.
    with tempfile.TemporaryDirectory(prefix="gg-") as folder:
        setup = Setup(Path(folder))
        yield setup
        engine.remove(setup.manager, [Daemon(setup.instance, "web"), Daemon(setup.instance, "second")], check=False)


def test_four_times(setup: Setup) -> None:
    """Check, real, check again, real again."""
    states = [setup.apply(setup.web(), check=check) for check in (True, False, True, False)]
    assert states == [["started"], ["started"], ["unchanged"], ["unchanged"]]
    assert (setup.folder / "log/web.log").read_text() == "listening\n"
    assert (setup.folder / "run/supervisor.sock").stat().st_mode & 0o777 == 0o700


def test_words_and_variables_arrive(setup: Setup) -> None:
    words = ("50%", "a ; b # c", "it's", '"$HOME"', "")
    setup.apply(setup.web(*words, environment={"VARIABLE": "it's 50% $x,y"}, prepare=(("true",),)))
    told = setup.told()
    assert (tuple(told["words"]), told["variable"]) == (words, "it's 50% $x,y")
    # The shell that prepares it has become the program: supervisor's signals reach it.
    assert setup.manager.pid(setup.web()) == told["pid"]


def test_a_change_restarts_and_nothing_else_does(setup: Setup) -> None:
    second_port = free_port()
    second = setup.web(name="second", port=second_port, ready_port=second_port)
    assert setup.apply(setup.web(), second) == ["started", "started"]
    first, other = setup.told()["pid"], setup.manager.pid(second)
    assert setup.apply(setup.web("changed"), second) == ["restarted", "unchanged"]
    assert setup.told()["words"] == ["changed"] and setup.told()["pid"] != first
    assert not processes.runs(first)
    assert setup.manager.pid(second) == other


def test_a_killed_daemon_comes_back(setup: Setup) -> None:
    setup.apply(setup.web())
    for _time in range(3):
        killed = setup.told()["pid"]
        os.kill(killed, signal.SIGKILL)
        eventually(lambda killed=killed: setup.answers_with(killed))
    assert setup.apply(setup.web()) == ["unchanged"]


def test_after_a_killed_supervisord_there_is_one_of_each(setup: Setup) -> None:
    setup.apply(setup.web())
    lost, supervisord = setup.told()["pid"], setup.supervisord()
    os.kill(supervisord, signal.SIGKILL)
    eventually(lambda: not processes.runs(supervisord))
    assert setup.told()["pid"] == lost
    assert setup.apply(setup.web(), check=True) == ["started"]
    assert setup.apply(setup.web()) == ["started"]
    assert not processes.runs(lost)
    assert list(processes.orphans(setup.web())) == [setup.told()["pid"]]
    assert setup.apply(setup.web()) == ["unchanged"]


def test_absent_leaves_nothing(setup: Setup) -> None:
    setup.apply(setup.web())
    pid, supervisord = setup.told()["pid"], setup.supervisord()
    by_name = [Daemon(setup.instance, "web")]
    results = [engine.remove(setup.manager, by_name, check=check) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert not processes.runs(pid)
    eventually(lambda: not processes.runs(supervisord))
    left = sorted(str(path.relative_to(setup.folder)) for path in setup.folder.rglob("*") if not path.is_dir())
    assert left == ["etc/supervisord.conf", "server.py"]


def test_absent_ends_what_a_killed_supervisord_left(setup: Setup) -> None:
    setup.apply(setup.web())
    pid, supervisord = setup.told()["pid"], setup.supervisord()
    os.kill(supervisord, signal.SIGKILL)
    eventually(lambda: not processes.runs(supervisord))
    assert engine.remove(setup.manager, [Daemon(setup.instance, "web")], check=False)["changed"]
    assert not processes.runs(pid)


def test_one_of_two_goes_and_the_other_stays(setup: Setup) -> None:
    second_port = free_port()
    second = setup.web(name="second", port=second_port, ready_port=second_port)
    setup.apply(setup.web(), second)
    engine.remove(setup.manager, [second], check=False)
    assert setup.apply(setup.web()) == ["unchanged"]
    assert not (setup.folder / "log/second.log").exists()


def test_a_program_that_does_not_stay_up_is_said(setup: Setup) -> None:
    broken = Daemon(
        setup.instance, "web", ("/bin/false",), ready=Ready(tcp=f"127.0.0.1:{setup.port}", timeout=1), stop_timeout=1
    )
    with pytest.raises(GoldenGooseError) as caught:
        setup.apply(broken)
    said = str(caught.value)
    assert said.startswith(f"{setup.instance}-web was not ready after 1 s; last seen: 127.0.0.1:{setup.port}: ")
    assert said.endswith(f"Read its log: {setup.folder}/log/web.log")
    # The mended one starts.
    assert setup.apply(setup.web()) in (["started"], ["restarted"])


def test_a_command_that_is_not_there_is_said(setup: Setup) -> None:
    missing = Daemon(setup.instance, "web", ("/nonexistent/program",))
    with pytest.raises(GoldenGooseError, match=r"supervisord at .*supervisor\.sock refused: .*/nonexistent/program"):
        setup.apply(missing)
