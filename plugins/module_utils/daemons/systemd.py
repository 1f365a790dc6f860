# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Daemons as systemd units."""

from __future__ import annotations

from pathlib import Path

from ..commands import run
from ..files import write_atomic
from .model import Daemon

_UNITS = Path("/etc/systemd/system")

_UNIT = """\
# Written by golden_goose.compliance; changes are overwritten.
[Unit]
Description=Golden Goose {name} ({instance})
After=network.target
StartLimitIntervalSec=0

[Service]
{prepare}ExecStart={command}
{environment}
User={user}
Restart=always
RestartSec=1
TimeoutStopSec={stop_timeout}
KillMode={kill_mode}
LimitNOFILE=65536
Delegate=yes

[Install]
WantedBy=multi-user.target
"""


def quote(text: str) -> str:
    """Return ``text`` as one word of a unit file (systemd.syntax(7), systemd.service(5))."""
    return f'"{_escape(text).replace("$", "$$")}"'


def _quote_variable(key: str, value: str) -> str:
    # Environment= knows no "$"; a doubled one would stay doubled.
    return f'Environment="{_escape(f"{key}={value}")}"'


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("%", "%%")


def unit_text(daemon: Daemon, fingerprint: str) -> str:
    """Return the unit file of ``daemon``."""
    variables = sorted(daemon.environment_with(fingerprint).items())
    prepare = [f"ExecStartPre={' '.join(map(quote, line))}\n" for line in daemon.prepare]
    return _UNIT.format(
        name=daemon.name,
        instance=daemon.instance,
        prepare="".join(prepare),
        command=" ".join(map(quote, daemon.command)),
        environment="\n".join(_quote_variable(key, value) for key, value in variables),
        user=daemon.user,
        stop_timeout=daemon.stop_timeout,
        kill_mode=daemon.kill_mode,
    )


class Systemd:
    """The systemd of this machine, driven through systemctl."""

    name = "systemd"

    def pid(self, daemon: Daemon) -> int | None:
        """Return the main process of the unit."""
        pid = int(self._property(daemon, "MainPID") or 0)
        return pid or None

    def known(self, daemon: Daemon) -> bool:
        """Return whether the unit file is there."""
        return self._path(daemon).exists()

    def write(self, daemon: Daemon, fingerprint: str, *, check: bool) -> bool:
        """Write the unit file, and enable it for the next boot; return whether it changed."""
        text = unit_text(daemon, fingerprint).encode()
        if check:
            return not self._path(daemon).exists() or self._path(daemon).read_bytes() != text
        changed = write_atomic(self._path(daemon), text)
        if changed:
            run(["systemctl", "daemon-reload"], "Reloading systemd")
            run(["systemctl", "enable", "--quiet", daemon.unit], f"Enabling {daemon.unit}")
        return changed

    def restart(self, daemon: Daemon) -> None:
        """Restart the unit; systemd waits for the old process to end."""
        run(
            ["systemctl", "restart", daemon.unit],
            f"Starting {daemon.unit}",
            timeout=daemon.stop_timeout + 120,
        )

    def remove(self, daemon: Daemon) -> None:
        """Stop the unit and remove its file."""
        run(
            ["systemctl", "disable", "--quiet", "--now", daemon.unit],
            f"Stopping {daemon.unit}",
            timeout=daemon.stop_timeout + 120,
        )
        self._path(daemon).unlink(missing_ok=True)
        run(["systemctl", "daemon-reload"], "Reloading systemd")

    def alive(self, daemon: Daemon) -> bool:
        """Return whether systemd has not given up."""
        return self._property(daemon, "ActiveState") in {"active", "activating", "reloading"}

    def log_hint(self, daemon: Daemon) -> str:
        """Return the journalctl call for the unit."""
        return f"journalctl -u {daemon.unit}"

    def _path(self, daemon: Daemon) -> Path:
        return _UNITS / f"{daemon.unit}.service"

    def _property(self, daemon: Daemon, name: str) -> str:
        command = ["systemctl", "show", "--property", name, "--value", f"{daemon.unit}.service"]
        return run(command, f"Asking systemd for {daemon.unit}").strip()
