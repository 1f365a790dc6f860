# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What is running, read from /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from .model import FINGERPRINT_VARIABLE, NAME_VARIABLE, Daemon

_PROC = Path("/proc")
# What holds a killed process up is the kernel; the next start says so better than we could.
_KILL_SECONDS = 5.0
_EXEC_SECONDS = 1.0


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment that process ``pid`` was started with; empty when it is gone."""
    try:
        raw = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (item.partition(b"=") for item in raw.split(b"\0") if item)
    return {os.fsdecode(key): os.fsdecode(value) for key, _equals, value in pairs}


def fingerprint_of(pid: int) -> str | None:
    """Return the fingerprint that process ``pid`` was started with, or None."""
    deadline = time.monotonic() + _EXEC_SECONDS
    # While execve(2) sets up the new program, Linux shows its environment empty; each of our daemons has one.
    while not (environment := environment_of(pid)) and runs(pid) and time.monotonic() < deadline:
        time.sleep(0.001)
    return environment.get(FINGERPRINT_VARIABLE)


def _command_of(pid: int) -> list[str]:
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(part) for part in raw.split(b"\0")]


def orphans(daemon: Daemon) -> Iterator[int]:
    """Yield processes that an earlier manager started for ``daemon`` and left behind.

    Children inherit the environment (a container's shim outlives containerd on purpose), so the
    command has to be the daemon's own as well.
    """
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        if environment_of(pid).get(NAME_VARIABLE) != daemon.unit:
            continue
        if daemon.command and _command_of(pid)[:1] != [daemon.command[0]]:
            continue
        yield pid


def runs(pid: int) -> bool:
    """Return whether process ``pid`` is there and has not ended; a parent may not have taken note yet."""
    try:
        state = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def stop(pid: int, seconds: float) -> None:
    """End process ``pid``: SIGTERM, and SIGKILL when it is still there after ``seconds`` (0: at once)."""
    with contextlib.suppress(ProcessLookupError):
        if seconds > 0:
            os.kill(pid, signal.SIGTERM)
            if _ended(pid, seconds):
                return
        os.kill(pid, signal.SIGKILL)
        _ended(pid, _KILL_SECONDS)


def _ended(pid: int, seconds: float) -> bool:
    """Return whether the process ends within ``seconds``."""
    deadline = time.monotonic() + seconds
    while runs(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
