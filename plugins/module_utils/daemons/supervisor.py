# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Daemons as programs of a supervisord of our own, for machines where systemd is not PID 1.

Written against supervisor 4.3 (http://supervisord.org/configuration.html, /api.html).
"""

from __future__ import annotations

import contextlib
import http.client
import re
import resource
import shlex
import socket
import time
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..commands import run
from ..errors import GoldenGooseError
from ..files import make_dirs, write_atomic
from . import processes
from .model import Daemon

_START_SECONDS = 15.0
_STOPPED_STATES = {"STOPPED", "EXITED", "FATAL", "UNKNOWN"}
# Faults of the XML-RPC interface (supervisor.xmlrpc.Faults).
_BAD_NAME = 10
_NOT_RUNNING = 70
_ALREADY_ADDED = 90
# What supervisor's configuration parser takes for the beginning of a comment.
_COMMENT = re.compile(r"(\s)([;#])")

_MAIN = """\
; Written by golden_goose.compliance; changes are overwritten.
[supervisord]
identifier={instance}
logfile={log}/supervisord.log
logfile_maxbytes=10MB
logfile_backups=1
pidfile={run}/supervisord.pid
childlogdir={log}
minfds={files}
directory=/

[unix_http_server]
file={run}/supervisor.sock
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{run}/supervisor.sock

[include]
files={config}/conf.d/*.conf
"""

_PROGRAM = """\
; Written by golden_goose.compliance; changes are overwritten.
[program:{unit}]
command={command}
environment={environment}
user={user}
autostart=false
autorestart=true
startsecs=1
startretries=1000
stopwaitsecs={stop_timeout}
stopasgroup={as_group}
killasgroup={as_group}
redirect_stderr=true
stdout_logfile={log}/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=1
"""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _UnixConnection(self._path)


def program_text(daemon: Daemon, fingerprint: str, log: Path) -> str:
    """Return supervisord's section for ``daemon``."""
    variables = sorted(daemon.environment_with(fingerprint).items())
    return _PROGRAM.format(
        unit=daemon.unit,
        name=daemon.name,
        command=_command(daemon),
        environment=",".join(f"{key}={_quote(daemon, key, value)}" for key, value in variables),
        user=daemon.user,
        stop_timeout=daemon.stop_timeout,
        as_group="false" if daemon.kill_mode == "process" else "true",
        log=log,
    )


def _command(daemon: Daemon) -> str:
    command = shlex.join(daemon.command)
    if daemon.prepare:
        script = " && ".join([*(shlex.join(line) for line in daemon.prepare), f"exec {command}"])
        command = shlex.join(["/bin/sh", "-c", script])
    if "\n" in command or "\r" in command:
        raise GoldenGooseError(
            f"The command of {daemon.unit} has a line break, which supervisor cannot take: put the text into a file."
        )
    # A blank and ";" or "#" begin a comment, even within quotes; the blank can only be in single quotes here.
    return _COMMENT.sub(r"\1''\2", command).replace("%", "%%")


def _quote(daemon: Daemon, key: str, value: str) -> str:
    # supervisor splits with a shlex that knows quotes and no escapes, then strips quotes from both ends.
    quote = "'" if '"' in value else '"'
    if quote in value or value.strip("'\"") != value or "\n" in value or "\r" in value or _COMMENT.search(value):
        raise GoldenGooseError(
            f"supervisor cannot take the value of {key} for {daemon.unit}: it has a line break, both kinds of quotes, "
            'a quote at an end, or a blank before ";" or "#"; put it into a file that the program reads.'
        )
    return f"{quote}{value.replace('%', '%%')}{quote}"


class Supervisor:
    """One supervisord for all daemons of an instance, driven through its socket."""

    name = "supervisor"

    def __init__(self, instance: str, config: Path, log: Path, run_dir: Path, program: Path) -> None:
        self._instance = instance
        self._config = config
        self._log = log
        self._run = run_dir
        self._program = program

    def pid(self, daemon: Daemon) -> int | None:
        """Return the process of the program, or None."""
        info = self._info(daemon)
        return int(info["pid"]) or None if info else None

    def known(self, daemon: Daemon) -> bool:
        """Return whether there is a section for the program."""
        return self._path(daemon).exists() or self._info(daemon) is not None

    def write(self, daemon: Daemon, fingerprint: str, *, check: bool) -> bool:
        """Write the program's section; return whether it changed."""
        text = program_text(daemon, fingerprint, self._log).encode()
        if check:
            return not self._path(daemon).exists() or self._path(daemon).read_bytes() != text
        for folder in (self._path(daemon).parent, self._log, self._run):
            make_dirs(folder)
        return write_atomic(self._path(daemon), text, 0o600)

    def restart(self, daemon: Daemon) -> None:
        """Start the program from its section as it is now, and supervisord before it if need be."""
        self._ensure_running()
        self._forget(daemon)
        # reloadConfig makes supervisord read the sections; it starts nothing by itself.
        self._call(lambda rpc: rpc.supervisor.reloadConfig())
        self._call(lambda rpc: rpc.supervisor.addProcessGroup(daemon.unit), also={_ALREADY_ADDED})
        self._call(lambda rpc: rpc.supervisor.startProcess(daemon.unit, False))

    def remove(self, daemon: Daemon) -> None:
        """Stop the program, remove its section and log, and end supervisord after the last one."""
        self._forget(daemon)
        self._path(daemon).unlink(missing_ok=True)
        for log in self._log.glob(f"{daemon.name}.log*"):
            log.unlink(missing_ok=True)
        if self._answers():
            self._call(lambda rpc: rpc.supervisor.reloadConfig())
            if not list(self._path(daemon).parent.glob("*.conf")):
                self._call(lambda rpc: rpc.supervisor.shutdown())
                self._wait(lambda: not self._answers(), "supervisord did not end")
                for log in self._log.glob("supervisord.log*"):
                    log.unlink(missing_ok=True)

    def alive(self, daemon: Daemon) -> bool:
        """Return whether supervisord has not given the program up."""
        return (self._info(daemon) or {}).get("statename") not in {None, "FATAL", "STOPPED"}

    def log_hint(self, daemon: Daemon) -> str:
        """Return the program's log file."""
        return str(self._log / f"{daemon.name}.log")

    def _path(self, daemon: Daemon) -> Path:
        return self._config / "conf.d" / f"{daemon.name}.conf"

    @property
    def _socket(self) -> Path:
        return self._run / "supervisor.sock"

    def _rpc(self) -> Any:
        return xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_UnixTransport(str(self._socket)))

    def _call(self, question: Callable[[Any], Any], also: set[int] | None = None) -> Any:
        try:
            return question(self._rpc())
        except xmlrpc.client.Fault as fault:
            if fault.faultCode in (also or set()):
                return None
            raise GoldenGooseError(f"supervisord at {self._socket} refused: {fault.faultString}.") from fault
        except (OSError, http.client.HTTPException) as error:
            raise GoldenGooseError(f"supervisord does not answer at {self._socket}: {error}.") from error

    def _answers(self) -> bool:
        try:
            self._rpc().supervisor.getState()
        except (OSError, http.client.HTTPException, xmlrpc.client.Fault):
            return False
        return True

    def _info(self, daemon: Daemon) -> dict[str, Any] | None:
        if not self._answers():
            return None
        info: dict[str, Any] | None = self._call(
            lambda rpc: rpc.supervisor.getProcessInfo(daemon.unit), also={_BAD_NAME}
        )
        return info

    def _forget(self, daemon: Daemon) -> None:
        """Stop the program and drop it from the running supervisord."""
        if self._info(daemon) is None:
            return
        self._call(lambda rpc: rpc.supervisor.stopProcess(daemon.unit, False), also={_NOT_RUNNING})
        deadline = time.monotonic() + daemon.stop_timeout
        while (info := self._info(daemon)) and info["statename"] not in _STOPPED_STATES:
            # The section may allow more time than this call does.
            if time.monotonic() > deadline and info["pid"]:
                processes.stop(int(info["pid"]), 0)
            time.sleep(0.05)
        self._call(lambda rpc: rpc.supervisor.removeProcessGroup(daemon.unit))

    def _ensure_running(self) -> None:
        """Start supervisord if it does not answer.

        It starts no program by itself (autostart=false): what a killed supervisord left running is
        found and replaced one by one.
        """
        files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 65536)
        text = _MAIN.format(instance=self._instance, config=self._config, log=self._log, run=self._run, files=files)
        main = self._config / "supervisord.conf"
        write_atomic(main, text.encode(), 0o600)
        if self._answers():
            return
        with contextlib.suppress(FileNotFoundError):
            self._socket.unlink()
        run([str(self._program), "-c", str(main)], "Starting supervisord")
        self._wait(self._answers, "supervisord did not answer")

    def _wait(self, done: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not done():
            if time.monotonic() > deadline:
                raise GoldenGooseError(
                    f"{otherwise} within {_START_SECONDS:.0f} s at {self._socket}; "
                    f"read {self._log / 'supervisord.log'}."
                )
            time.sleep(0.05)
