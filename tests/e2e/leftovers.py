# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an instance has left on the machine, found without the code that removes it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .namespace import links, run

_MARK = b"GOLDEN_GOOSE_DAEMON="


# Units of systemd run in the machine's own network, so there the instance has no namespace.
OWN_NETWORK = not Path("/run/systemd/system").exists()


def leftovers(name: str, root: Path) -> list[str]:
    """Return every trace of the instance ``name`` below ``root``, but its files, in words.

    In a network namespace of its own all links and iptables rules that are not the namespace's count.
    """
    found = [f"process {text}" for text in processes(name, root)]
    found += [f"mount {point}" for point in _mounts(root)]
    if OWN_NETWORK:
        found += [f"link {link}" for link in links() if link not in ("lo", f"{name}-in")]
        found += [f"iptables {line}" for line in _rules()]
    found += [f"cgroup {path}" for path in _cgroups(name)]
    found += [f"unit {path}" for path in Path("/etc/systemd/system").glob(f"{name}-*")]
    found += [f"CNI result {path}" for path in Path("/var/lib/cni/results").glob(f"{name}-*")]
    logs = Path("/var/log/containers").glob("*") if Path("/var/log/containers").is_dir() else []
    return found + [f"link to a log {path}" for path in logs if path.is_symlink() and str(root) in str(path.readlink())]


def processes(name: str, root: Path) -> Iterator[str]:
    """Yield "pid command" of the instance's daemons, and of everything that has its root in the command."""
    mark, below = _MARK + f"{name}-".encode(), f"{root}/".encode()
    for entry in Path("/proc").iterdir():
        # Processes end while we look at them.
        with suppress(OSError):
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            command = (entry / "cmdline").read_bytes()
            ours = any(item.startswith(mark) for item in (entry / "environ").read_bytes().split(b"\0"))
            if command and (ours or below in command):
                yield f"{entry.name} {command.replace(bytes(1), b' ').decode(errors='replace')[:120]}"


def daemons(name: str) -> dict[str, int]:
    """Return the pid of each daemon of the instance, by its name without the instance's."""
    mark = _MARK + f"{name}-".encode()
    candidates: dict[str, list[int]] = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit():
                for item in (entry / "environ").read_bytes().split(b"\0"):
                    if item.startswith(mark) and (entry / "cmdline").read_bytes():
                        candidates.setdefault(item.removeprefix(mark).decode(), []).append(int(entry.name))
    # Children (a container's shim) inherit the mark; a daemon is the child of a process without it.
    marked = {pid for pids in candidates.values() for pid in pids}
    return {daemon: min(pids, key=lambda pid: (_parent(pid) in marked, pid)) for daemon, pids in candidates.items()}


def end_runs(folder: Path) -> None:
    """Kill the playbooks that an earlier, killed test run has left working on what is in ``folder``."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                command = (entry / "cmdline").read_bytes()
                if f"{folder}/variables.json".encode() in command:
                    os.kill(int(entry.name), signal.SIGKILL)


def files(root: Path) -> list[str]:
    """Return the paths of all files below ``root``, relative to it, without empty folders."""
    if not root.is_dir():
        return []
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_symlink() or not path.is_dir())


def _parent(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _mounts(root: Path) -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4]
        if point.startswith(f"{root}/"):
            yield point


def _rules() -> Iterator[str]:
    for table in ("nat", "filter", "mangle"):
        for line in run("iptables", "-w", "-t", table, "-S").splitlines():
            if not line.startswith("-P"):
                yield f"-t {table} {line}"


def _cgroups(name: str) -> Iterator[Path]:
    for parent in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*/")):
        if (parent / name).is_dir():
            yield parent / name
