# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a daemon is started, restarted or left alone: real processes, and a manager that only keeps a list."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons import engine, processes
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons.model import (
    FINGERPRINT_VARIABLE,
    Daemon,
    Ready,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons.supervisor import Supervisor
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons.systemd import Systemd
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError

from .conftest import daemon as a_daemon


class FakeManager:
    """Starts processes and remembers what it was told; units are texts in a dictionary."""

    name = "fake"

    def __init__(self) -> None:
        self.units: dict[str, str] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.fingerprints: dict[str, str] = {}
        self.calls: list[str] = []
        self.given_up: set[str] = set()

    def pid(self, daemon: Daemon) -> int | None:
        process = self.processes.get(daemon.unit)
        return process.pid if process and process.poll() is None else None

    def known(self, daemon: Daemon) -> bool:
        return daemon.unit in self.units

    def write(self, daemon: Daemon, fingerprint: str, *, check: bool) -> bool:
        text = f"{daemon} {fingerprint}"
        changed = self.units.get(daemon.unit) != text
        if check:
            return changed
        self.units[daemon.unit] = text
        self.fingerprints[daemon.unit] = fingerprint
        self.calls += [f"write {daemon.name}"] if changed else []
        return changed

    def restart(self, daemon: Daemon) -> None:
        self.calls.append(f"restart {daemon.name}")
        self._stop(daemon)
        environment = daemon.environment_with(self.fingerprints[daemon.unit])
        self.processes[daemon.unit] = process = subprocess.Popen(daemon.command, env=environment)
        # Until execve(2) is over, nobody can tell what the process is.
        assert processes.fingerprint_of(process.pid) == self.fingerprints[daemon.unit]

    def remove(self, daemon: Daemon) -> None:
        self.calls.append(f"remove {daemon.name}")
        self._stop(daemon)
        del self.units[daemon.unit]

    def alive(self, daemon: Daemon) -> bool:
        return daemon.unit not in self.given_up

    def log_hint(self, daemon: Daemon) -> str:
        return f"log of {daemon.name}"

    def forget(self) -> None:
        """Lose everything but the processes, as a manager does that is killed."""
        self.processes.clear()

    def _stop(self, daemon: Daemon) -> None:
        if process := self.processes.pop(daemon.unit, None):
            process.kill()
            process.wait()


# Processes of another test run on this machine are not ours.
INSTANCE = f"test{os.getpid()}"


def daemon(name: str = "web", **more: object) -> Daemon:
    return a_daemon(instance=INSTANCE, name=name, **more)


@pytest.fixture
def manager() -> Iterator[FakeManager]:
    manager = FakeManager()
    yield manager
    for process in manager.processes.values():
        process.kill()
        process.wait()


def states(manager: FakeManager, *daemons: Daemon, check: bool = False) -> list[str]:
    return [item["state"] for item in engine.apply(manager, daemons, check=check)["services"]]


def test_four_times(manager: FakeManager) -> None:
    """Check, real, check again, real again."""
    results = [engine.apply(manager, [daemon()], check=check) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert [result["services"][0]["state"] for result in results] == ["started", "started", "unchanged", "unchanged"]
    assert manager.calls == ["write web", "restart web"]


def test_check_mode_touches_nothing(manager: FakeManager) -> None:
    assert states(manager, daemon(ready=Ready(unix="/nonexistent", timeout=0)), check=True) == ["started"]
    assert manager.calls == []


def test_another_command_restarts(manager: FakeManager) -> None:
    states(manager, daemon())
    first = manager.pid(daemon())
    other = daemon(command=("/bin/sleep", "61"))
    assert states(manager, other, check=True) == ["restarted"]
    assert states(manager, other) == ["restarted"]
    assert manager.pid(other) not in (None, first)


def test_a_changed_file_restarts_those_that_name_it(manager: FakeManager, tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_text("one")
    reader, other = daemon("reader", restart_on=(str(path),)), daemon("other")
    assert states(manager, reader, other) == ["started", "started"]
    path.write_text("two")
    assert states(manager, reader, other) == ["restarted", "unchanged"]


def test_a_unit_that_was_written_and_not_started_is_noticed(manager: FakeManager) -> None:
    """A run killed between writing and restarting leaves the old process under the new unit."""
    states(manager, daemon())
    other = daemon(command=("/bin/sleep", "61"))
    manager.write(other, other.fingerprint({}), check=False)
    assert states(manager, other) == ["restarted"]


def test_what_only_the_manager_needs_is_written_without_a_restart(manager: FakeManager) -> None:
    states(manager, daemon())
    manager.calls.clear()
    for check in (True, False):
        result = engine.apply(manager, [daemon(stop_timeout=3)], check=check)
        assert (result["changed"], result["services"][0]["state"]) == (True, "rewritten")
    assert manager.calls == ["write web"]
    assert states(manager, daemon(stop_timeout=3), check=True) == ["unchanged"]


def test_each_is_ready_before_the_next_starts(manager: FakeManager) -> None:
    first = daemon("first", ready=Ready(unix="/nonexistent", timeout=0.1))
    with pytest.raises(GoldenGooseError) as caught:
        engine.apply(manager, [first, daemon("second")], check=False)
    assert str(caught.value).startswith(f"{INSTANCE}-first was not ready after 0 s; last seen: /nonexistent: ")
    assert str(caught.value).endswith("Read its log: log of first")
    assert manager.calls == ["write first", "restart first"]


def test_one_that_was_given_up_is_not_waited_for(manager: FakeManager) -> None:
    manager.given_up.add(f"{INSTANCE}-web")
    with pytest.raises(GoldenGooseError, match="does not stay up"):
        states(manager, daemon(ready=Ready(unix="/nonexistent", timeout=60)))


def test_one_that_runs_has_to_be_ready_too(manager: FakeManager) -> None:
    states(manager, daemon())
    with pytest.raises(GoldenGooseError, match="was not ready"):
        states(manager, daemon(ready=Ready(unix="/nonexistent", timeout=0.1)))


def test_a_lost_managers_process_is_replaced(manager: FakeManager) -> None:
    states(manager, daemon())
    lost = manager.processes[daemon().unit]
    manager.forget()
    assert states(manager, daemon()) == ["started"]
    assert lost.wait(5) != 0
    assert list(processes.orphans(daemon())) == [manager.pid(daemon())]


def test_only_the_daemons_own_program_is_an_orphan(manager: FakeManager) -> None:
    states(manager, daemon())
    # Inherits the environment and is another program, like a container's shim.
    with running_child({"GOLDEN_GOOSE_DAEMON": daemon().unit}) as child:
        assert list(processes.orphans(daemon())) == [manager.pid(daemon())]
        assert child.pid in set(processes.orphans(Daemon(INSTANCE, "web")))
    with running_child({"GOLDEN_GOOSE_DAEMON": f"{INSTANCE}-webster"}, "/bin/sleep"):
        assert list(processes.orphans(daemon())) == [manager.pid(daemon())]


@contextlib.contextmanager
def running_child(environment: dict[str, str], name: str = "other") -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([name, "60"], executable="/bin/sleep", env=environment)
    yield child
    child.kill()
    child.wait()


def test_remove_goes_backwards_and_only_once(manager: FakeManager) -> None:
    both = [daemon("first"), daemon("second")]
    states(manager, *both)
    manager.calls.clear()
    results = [engine.remove(manager, both, check=check) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert manager.calls == ["remove second", "remove first"]
    assert [item["state"] for item in results[1]["services"]] == ["removed", "removed"]


def test_remove_ends_what_a_lost_manager_left(manager: FakeManager) -> None:
    states(manager, daemon())
    lost = manager.processes[daemon().unit]
    manager.forget()
    manager.units.clear()
    # A role that uninstalls knows the name alone.
    assert engine.remove(manager, [Daemon(INSTANCE, "web")], check=False)["changed"]
    assert lost.wait(5) != 0


@pytest.mark.parametrize(("seconds", "signal"), [(30, 15), (0, 9)])
def test_stop_does_not_wait_for_a_parent_to_take_note(seconds: float, signal: int) -> None:
    process = subprocess.Popen(["/bin/sleep", "60"])
    started = time.monotonic()
    processes.stop(process.pid, seconds)
    assert time.monotonic() - started < 5
    assert process.wait(5) == -signal


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    script = f"trap '' TERM; touch {tmp_path}/ready; while :; do sleep 0.1; done"
    process = subprocess.Popen(["/bin/sh", "-c", script])
    while not (tmp_path / "ready").exists():
        assert process.poll() is None
    processes.stop(process.pid, 0.3)
    assert process.wait(5) == -9


def test_stopping_what_is_gone_is_no_error() -> None:
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    processes.stop(process.pid, 1)
    assert processes.fingerprint_of(process.pid) is None


def test_systemd_where_it_is_pid_1(tmp_path: Path) -> None:
    folders = engine.Folders(tmp_path, tmp_path, tmp_path, tmp_path / "supervisord")
    expected = Systemd if Path("/run/systemd/system").is_dir() else Supervisor
    assert isinstance(engine.manager_for("gg", folders), expected)


def test_an_environment_that_is_not_there_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """While execve(2) is under way Linux shows an empty one."""
    seen = iter([{}, {}, {FINGERPRINT_VARIABLE: "abc"}])
    monkeypatch.setattr(processes, "environment_of", lambda _pid: next(seen))
    assert processes.fingerprint_of(os.getpid()) == "abc"


def test_an_environment_that_stays_empty_is_waited_for_no_longer_than_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_EXEC_SECONDS", 0.01)
    monkeypatch.setattr(processes, "environment_of", lambda _pid: {})
    assert processes.fingerprint_of(os.getpid()) is None
