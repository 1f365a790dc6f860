# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a daemon is: a command, what it is started with, and how to see that it is ready."""

from __future__ import annotations

import hashlib
import json
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import GoldenGooseError
from ..files import sha256_file

# Names in the environment of every process we start. They tell what a running process was started
# with, so that a run that was killed between writing a unit and restarting it is noticed.
NAME_VARIABLE = "GOLDEN_GOOSE_DAEMON"
FINGERPRINT_VARIABLE = "GOLDEN_GOOSE_FINGERPRINT"


@dataclass(frozen=True)
class Ready:
    """How to see that a daemon works; exactly one of http, tcp and unix is set.

    ``timeout`` is in seconds. ``ca``, ``cert`` and ``key`` are PEM files for an https ``http``.
    """

    http: str | None = None
    tcp: str | None = None
    unix: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    status: tuple[int, ...] = (200,)
    timeout: float = 60.0


@dataclass(frozen=True)
class Daemon:
    """One program to keep running, under the unit name ``<instance>-<name>``."""

    instance: str
    name: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = "root"
    restart_on: tuple[str, ...] = ()
    prepare: tuple[tuple[str, ...], ...] = ()
    ready: Ready | None = None
    stop_timeout: int = 20
    kill_mode: str = "mixed"

    @property
    def unit(self) -> str:
        """Return the name that the manager knows it by."""
        return f"{self.instance}-{self.name}"

    def fingerprint(self, digests: dict[str, str]) -> str:
        """Return the SHA-256 of all that the process is started with, files' contents included.

        ``digests`` remembers the digest of files that several daemons share.
        """
        files = {path: _digest(path, digests) for path in self.restart_on}
        parts = [
            self.command,
            sorted(self.environment.items()),
            self.user,
            self.prepare,
            sorted(files.items()),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def environment_with(self, fingerprint: str) -> dict[str, str]:
        """Return the environment of the process, our two marks included."""
        return {**self.environment, NAME_VARIABLE: self.unit, FINGERPRINT_VARIABLE: fingerprint}


def _digest(path: str, digests: dict[str, str]) -> str:
    real = str(Path(path).resolve())
    if real not in digests:
        try:
            digests[real] = sha256_file(Path(real))
        except FileNotFoundError:
            digests[real] = "absent"
        except OSError as error:
            raise GoldenGooseError(f"Cannot read {path}: {error.strerror or error}.") from error
    return digests[real]


def daemons_from(instance: str, services: Sequence[Mapping[str, Any]]) -> list[Daemon]:
    """Return the daemons that the option ``services`` of the module describes.

    :raises GoldenGooseError: a daemon has an address to look at that is none.
    """
    return [_daemon(instance, service) for service in services]


def _daemon(instance: str, service: Mapping[str, Any]) -> Daemon:
    ready = service.get("ready")
    return Daemon(
        instance=instance,
        name=service["name"],
        command=tuple(service.get("command") or ()),
        environment={key: str(value) for key, value in (service.get("environment") or {}).items()},
        user=service["user"],
        restart_on=tuple(service.get("restart_on") or ()),
        prepare=tuple(tuple(line) for line in service.get("prepare") or ()),
        ready=_ready(service["name"], ready) if ready else None,
        stop_timeout=service["stop_timeout"],
        kill_mode=service["kill_mode"],
    )


def _ready(name: str, given: Mapping[str, Any]) -> Ready:
    set_options = {key: value for key, value in given.items() if value is not None}
    set_options["status"] = tuple(set_options.get("status") or (200,))
    ready = Ready(**set_options)
    if ready.tcp and not _has_port(f"tcp://{ready.tcp}"):
        raise GoldenGooseError(f"{name} is ready at the tcp address {ready.tcp!r}, which has to be <host>:<port>.")
    if ready.http and not (ready.http.startswith(("http://", "https://")) and _has_port(ready.http, optional=True)):
        raise GoldenGooseError(f"{name} is ready at {ready.http!r}, which has to be an http or https URL.")
    return ready


def _has_port(url: str, *, optional: bool = False) -> bool:
    """Return whether ``url`` has a host, and a port that is a number."""
    try:
        parts = urllib.parse.urlsplit(url)
        return bool(parts.hostname) and (optional or parts.port is not None) and parts.port != 0
    except ValueError:
        return False
