# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One run at a time for each service.

Two things keep runs apart. A flock(2) covers each call of a module that changes something. A play is
several calls, so between them a note beside the lock names the process that runs the play; as long as
that process lives, another play is refused. A killed play leaves a note of a process that is gone, which
counts for nothing: running again takes over at once.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..files import write_atomic
from ..locks import LockHeld, hold
from .model import Refused

_PROC = Path("/proc")
_PLAY = "ansible-playbook"
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Owner:
    """One process: a pid alone could be another process after a while, or after a reboot."""

    pid: int
    started: str
    boot: str

    @property
    def alive(self) -> bool:
        """Whether this very process still runs on this machine."""
        return owner_of(self.pid) == self


def owner_of(pid: int) -> Owner | None:
    """Return the identity of the process ``pid``; None when there is none."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    # proc(5): the command may hold blanks and brackets; the start time is the 20th field after it.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else Owner(pid, fields[19], boot)


def play_owner(pid: int | None = None) -> Owner | None:
    """Return the ``ansible-playbook`` process that this process works for.

    None where it is not an ancestor (a module run over SSH): then only the flock keeps runs apart, which
    is safe, since every step is idempotent, but a second play joins the first instead of being refused.
    """
    found = None
    current = pid or os.getppid()
    while current > 1:
        if _PLAY in _arguments(current):
            found = current
        elif found:
            break
        current = _parent(current)
    return owner_of(found) if found else None


def _arguments(pid: int) -> set[str]:
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return set()
    # Only program and script: a path further on may well contain the word.
    return {Path(part.decode(errors="replace")).name for part in raw.split(b"\0")[:2]}


def _parent(pid: int) -> int:
    try:
        return int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@dataclass(frozen=True)
class Runs:
    """The locks under ``folder``; ``owner`` is the play that we work for, if it is known.

    ``wait_seconds`` is how long to wait for another run to end.
    """

    folder: Path
    owner: Owner | None = None
    wait_seconds: float = 0.0

    @contextmanager
    def hold(self, service: str, doing: str) -> Iterator[None]:
        """Hold the lock of ``service`` and leave our note beside it.

        :raises Refused: another play is at it; the sentence names it.
        """
        deadline = time.monotonic() + self.wait_seconds
        while time.monotonic() < deadline and self._other_play(service):
            time.sleep(_POLL_SECONDS)
        try:
            with hold(self.folder / f"{service}.lock", doing, max(0.0, deadline - time.monotonic())):
                held_by = self._other_play(service)
                if held_by:
                    raise Refused(_busy(service, held_by), held_by=held_by)
                self._note(service, doing)
                yield
        except LockHeld as error:
            raise Refused(_busy(service, error.facts["held_by"]), held_by=error.facts["held_by"]) from error

    def release(self, service: str) -> None:
        """Take our note away: this play is done with ``service``."""
        self._path(service).unlink(missing_ok=True)

    def _path(self, service: str) -> Path:
        return self.folder / f"{service}.run"

    def _other_play(self, service: str) -> str | None:
        """Return which other play, if any, has left its note and still lives."""
        try:
            note = json.loads(self._path(service).read_bytes())
            other = Owner(note["pid"], note["started"], note["boot"])
        except (OSError, ValueError, KeyError, TypeError):
            # No note, or one that a power cut left half-written.
            return None
        if other == self.owner or not other.alive:
            return None
        return f"{note['doing']} (ansible-playbook, pid {other.pid}, since {note['since']})"

    def _note(self, service: str, doing: str) -> None:
        if self.owner is None:
            return
        since = datetime.now(UTC).isoformat(timespec="seconds")
        note = asdict(self.owner) | {"doing": doing, "since": since}
        write_atomic(self._path(service), json.dumps(note).encode(), 0o600)


def _busy(service: str, held_by: str) -> str:
    return f"{service} is being worked on by another run: {held_by}; wait until it has ended."
