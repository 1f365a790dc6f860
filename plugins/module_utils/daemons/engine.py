# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Make the running daemons what was asked for, whichever manager keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from . import processes
from .model import Daemon
from .readiness import wait_ready
from .supervisor import Supervisor
from .systemd import Systemd


class Manager(Protocol):
    """Keeps processes running and starts them again when they end."""

    name: str

    def pid(self, daemon: Daemon) -> int | None:
        """Return the process of ``daemon``, or None when it does not run."""

    def known(self, daemon: Daemon) -> bool:
        """Return whether the manager has a unit for ``daemon``."""

    def write(self, daemon: Daemon, fingerprint: str, *, check: bool) -> bool:
        """Write the unit; return whether it changed, or in check mode would change."""

    def restart(self, daemon: Daemon) -> None:
        """Start ``daemon`` with the unit as it is now; stop it first where it runs."""

    def remove(self, daemon: Daemon) -> None:
        """Stop ``daemon`` and forget it."""

    def alive(self, daemon: Daemon) -> bool:
        """Return whether the manager still tries to keep ``daemon`` running."""

    def log_hint(self, daemon: Daemon) -> str:
        """Return the command or file that shows what ``daemon`` says."""


@dataclass(frozen=True)
class Folders:
    """Where supervisord's own configuration, logs and socket live, and its program."""

    config: Path
    log: Path
    run: Path
    supervisord: Path


def manager_for(instance: str, folders: Folders) -> Manager:
    """Return the manager of this machine."""
    if Path("/run/systemd/system").is_dir():
        return Systemd()
    return Supervisor(instance, folders.config, folders.log, folders.run, folders.supervisord)


def apply(manager: Manager, daemons: Sequence[Daemon], *, check: bool) -> dict[str, Any]:
    """Start what does not run and restart what runs with something else; wait for each to be ready.

    :returns: ``changed``, ``manager`` and, for each daemon, ``state`` and ``ready_after`` (seconds).
    :raises GoldenGooseError: a daemon does not start, or is not ready in time.
    """
    report: list[dict[str, Any]] = []
    digests: dict[str, str] = {}
    for daemon in daemons:
        fingerprint = daemon.fingerprint(digests)
        pid = manager.pid(daemon)
        wanted = pid is not None and processes.fingerprint_of(pid) == fingerprint
        state = "unchanged" if wanted else "restarted" if pid else "started"
        ready_after = None
        if manager.write(daemon, fingerprint, check=check) and wanted:
            state = "rewritten"
        if not check:
            if not wanted:
                for orphan in list(processes.orphans(daemon)):
                    if orphan != pid:
                        processes.stop(orphan, daemon.stop_timeout)
                manager.restart(daemon)
            if daemon.ready:
                ready_after = wait_ready(
                    daemon.unit,
                    daemon.ready,
                    lambda daemon=daemon: manager.alive(daemon),  # type: ignore[misc]
                    manager.log_hint(daemon),
                )
        report.append({"name": daemon.name, "state": state, "ready_after": ready_after})
    changed = any(item["state"] != "unchanged" for item in report)
    return {"changed": changed, "manager": manager.name, "services": report}


def remove(manager: Manager, daemons: Sequence[Daemon], *, check: bool) -> dict[str, Any]:
    """Stop and forget the daemons, the last one first; processes left by a lost manager too."""
    report: list[dict[str, Any]] = []
    for daemon in reversed(daemons):
        known = manager.known(daemon)
        there = known or any(processes.orphans(daemon))
        if not check:
            if known:
                manager.remove(daemon)
            # A manager that was killed has left them running.
            for pid in list(processes.orphans(daemon)):
                processes.stop(pid, daemon.stop_timeout)
        state = "removed" if there else "absent"
        report.append({"name": daemon.name, "state": state, "ready_after": None})
    changed = any(item["state"] == "removed" for item in report)
    return {"changed": changed, "manager": manager.name, "services": report}
