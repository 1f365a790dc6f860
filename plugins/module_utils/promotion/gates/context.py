# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a gate gets to see: one artifact, the source it was built from, and the world."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import GoldenGooseError
from ...services.model import Service
from ...services.source import source_files
from ..evidence import Evidence
from ..model import Verdict
from ..plan import Plan
from ..policy import Policy
from ..ports import Cluster

_NOBODY = 65534
_LAST_LINES = 5


@dataclass(frozen=True)
class Scanners:
    """The programs and places that gates use.

    ``timeout`` is the limit of one program in seconds. ``prometheus`` is the address that queries go to,
    ``images_dir`` the folder of image archives, ``vulnerabilities`` a file or folder of OSV records; each
    may be None, where there is none. ``said`` holds what gates said that are tasks of the play, by gate.
    """

    semgrep_rules: Path
    timeout: float = 300.0
    python: str = sys.executable
    prometheus: str | None = None
    images_dir: Path | None = None
    vulnerabilities: Path | None = None
    said: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GateContext:
    """What one gate decides about.

    ``source`` is a private copy of the service's folder, the same for all gates of a call: what is
    compared with the build, what is scanned and what is tested cannot differ.
    """

    service: Service
    digest: str
    evidence: Evidence
    cluster: Cluster
    scanners: Scanners
    source: Path
    scratch: Path
    policy: Policy = field(default_factory=Policy)
    plan: Plan | None = None

    def relative(self, folder: Path) -> str:
        """Return a folder of the service relative to the service's own folder."""
        return folder.relative_to(self.service.folder).as_posix()


class ToolFailed(GoldenGooseError):
    """A scanner could not do its work; a gate turns this into deny."""


@dataclass(frozen=True)
class ToolRun:
    """The end of one program: ``status`` is its exit status."""

    status: int
    stdout: bytes
    stderr: bytes

    def last_words(self) -> str:
        """Return the last lines that it wrote, on one line; where there are none, how it ended."""
        lines = (self.stderr.strip() or self.stdout.strip()).decode(errors="replace").splitlines()
        ended = f"was ended by signal {-self.status}" if self.status < 0 else f"ended with status {self.status}"
        return " / ".join(line.strip() for line in lines[-_LAST_LINES:]) or f"it wrote nothing and {ended}"


def run_tool(command: Sequence[str], cwd: Path, home: Path, timeout: float, user: int | None = None) -> ToolRun:
    """Run a scanner with an environment of its own and, after ``timeout`` seconds, kill all it started.

    Nothing of our environment is passed on: the service's tests are its own code, and tokens are not
    theirs to see.

    :raises ToolFailed: it is not installed or did not end in time.
    """
    name = Path(command[0]).name if command[1:2] != ["-m"] else command[2]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    drop = {"user": user, "group": user, "extra_groups": []} if user is not None else {}
    try:
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **drop,  # type: ignore[call-overload]
        )
    except OSError as error:
        raise ToolFailed(f"{name} cannot be started: {error.strerror or error}") from error
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        written = ToolRun(-1, error.stdout or b"", error.stderr or b"")
        seen = f"; last seen: {written.last_words()}" if written.stdout or written.stderr else ""
        raise ToolFailed(f"{name} did not end within {timeout:.0f} s{seen}") from error
    finally:
        _end_group(process)
    return ToolRun(process.returncode, stdout, stderr)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def unprivileged_user(program: str) -> int | None:
    """Return the uid under which to run code of the service, or None to stay who we are.

    Root must not run it as root: it could write the ledger and read the promoter's credentials. Where
    ``nobody`` cannot reach the interpreter (a checkout below /root) there is no choice.
    """
    if os.geteuid() != 0:
        return None
    for path in (Path(program).absolute(), Path(program).resolve()):
        if not all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents):
            return None
    return _NOBODY


@contextmanager
def private_copy(folder: Path, user: int | None = None) -> Iterator[tuple[Path, Path]]:
    """Yield (copy of ``folder`` without caches, an empty scratch folder); both vanish afterwards.

    :param user: the uid that is to own both.
    :raises GoldenGooseError: the folder cannot be copied.
    """
    with tempfile.TemporaryDirectory(prefix="golden-goose-gate-", ignore_cleanup_errors=True) as name:
        root = Path(name)
        copy, scratch = root / "source", root / "scratch"
        try:
            for path in (copy, scratch):
                path.mkdir()
            for path in source_files(folder):
                target = copy / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target, follow_symlinks=False)
            if user is not None:
                for path in (root, *root.rglob("*")):
                    os.chown(path, user, user, follow_symlinks=False)
        except OSError as error:
            raise GoldenGooseError(
                f"Cannot copy {folder} for the gates: {error.filename or name}: {error.strerror or error}."
            ) from error
        yield copy, scratch


def without_plan(gate: str) -> Verdict:
    """Return the deny of a gate that needs a sealed plan for a promotion from before there were plans."""
    reason = "the promotion names no sealed plan (required: one)"
    return Verdict(gate, "deny", reason, {"plan": None}, {"plan": "sealed"})
