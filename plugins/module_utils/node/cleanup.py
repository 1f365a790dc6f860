# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Remove what a node leaves behind when its processes are stopped.

containerd's shims and the pods below them outlive containerd on purpose; mounts, network namespaces,
links, cgroups and iptables rules outlive everything. Only what belongs to one instance is touched:
it is known by its folders, its network's name, its bridge and its cgroup.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..commands import run
from ..daemons.processes import runs
from ..errors import GoldenGooseError

_CGROUPS = Path("/sys/fs/cgroup")
_KUBE_TABLES = ("nat", "filter", "mangle")
_CONTAINER_LOGS = Path("/var/log/containers")
_KILL_SECONDS = 10.0
_SHARED_FOLDERS = (
    "/run/containerd/s",
    "/run/containerd/fifo",
    "/run/containerd",
    "/var/lib/cni/results",
    "/var/lib/cni",
    "/var/lib/kubelet/device-plugins",
    "/var/lib/kubelet",
    "/var/log/containers",
)
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Node:
    """One instance's traces: its name (network and cgroup), bridge, containerd socket and folders."""

    instance: str
    bridge: str
    socket: Path
    folders: tuple[Path, ...]


def clean(node: Node, *, check: bool) -> list[str]:
    """Remove all traces of ``node``; return what was found, in words.

    :raises GoldenGooseError: something could not be removed.
    """
    found: list[str] = []
    processes = sorted(set(_shims(node)) | set(_cgroup_processes(node)))
    if processes:
        found.append(f"{len(processes)} processes of pods")
        if not check:
            _kill(processes)
    mounts = mount_points(Path("/proc/self/mountinfo").read_text(), node.folders)
    if mounts:
        found.append(f"{len(mounts)} mounts")
        if not check:
            for mount in mounts:
                run(["umount", "--lazy", mount], f"Unmounting {mount}")
    if _bridge_is_ours(node):
        found.append(f"the bridge {node.bridge}")
        if not check:
            run(["ip", "link", "delete", "dev", node.bridge], f"Removing {node.bridge}")
    rules = _rules(node, check=check)
    if rules:
        found.append(f"{rules} iptables rules and chains")
    groups = list(_cgroups(node))
    if groups:
        found.append(f"{len(groups)} cgroups")
        if not check:
            _remove_cgroups(groups)
    left = list(_cni_results(node))
    if left:
        found.append(f"{len(left)} results of CNI calls")
        if not check:
            for path in left:
                path.unlink(missing_ok=True)
    logs = list(_log_links(node))
    if logs:
        found.append(f"{len(logs)} links to logs of containers")
        if not check:
            for path in logs:
                path.unlink(missing_ok=True)
    if not check:
        _remove_empty_folders()
    return found


def _remove_empty_folders() -> None:
    """Remove folders that containerd, CNI and kubelet make at fixed places, where nothing is in them."""
    for folder in _SHARED_FOLDERS:
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


def _bridge_is_ours(node: Node) -> bool:
    # Not from /sys/class/net: it shows the network namespace in which /sys was mounted, not ours.
    try:
        socket.if_nametoindex(node.bridge)
    except OSError:
        return False
    shown = json.loads(run(["ip", "-json", "link", "show", "dev", node.bridge], f"Looking at {node.bridge}"))
    # The alias is set where the bridge is made; another instance's bridge may have the same name.
    return any(link.get("ifalias") == node.instance for link in shown)


def _shims(node: Node) -> Iterator[int]:
    wanted = str(node.socket).encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"containerd-shim" in words[0] and wanted in words:
                    yield int(entry.name)


def _cgroups(node: Node) -> Iterator[Path]:
    """Yield the cgroups below the instance's own, in each hierarchy, the deepest first."""
    for root in {_CGROUPS / node.instance, *_CGROUPS.glob(f"*/{node.instance}")}:
        for folder, _names, _files in os.walk(root, topdown=False):
            yield Path(folder)


def _cgroup_processes(node: Node) -> Iterator[int]:
    for group in _cgroups(node):
        with contextlib.suppress(OSError):
            yield from map(int, (group / "cgroup.procs").read_text().split())


def _kill(processes: list[int]) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + _KILL_SECONDS
    while left := [pid for pid in processes if runs(pid)]:
        if time.monotonic() > deadline:
            raise GoldenGooseError(f"Processes do not end {_KILL_SECONDS:.0f} s after SIGKILL: {left}.")
        time.sleep(0.05)


def mount_points(mountinfo: str, folders: Sequence[Path]) -> list[str]:
    """Return mount points below ``folders``, the newest first, from the text of proc_pid_mountinfo(5)."""
    roots = tuple(f"{folder}/" for folder in folders)
    points = [
        _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), line.split(" ")[4]) for line in mountinfo.splitlines()
    ]
    return [point for point in reversed(points) if point.startswith(roots)]


def _rules(node: Node, *, check: bool) -> int:
    """Remove the rules and chains of kube-proxy, kubelet and our CNI network; return how many there were."""
    if shutil.which("iptables-save") is None:
        return 0
    count = 0
    for table in _KUBE_TABLES:
        saved = run(["iptables-save", "-t", table], "Reading the iptables rules")
        found, removal = rules_of(node.instance, table, saved)
        count += found
        if removal and not check:
            run(["iptables-restore", "--noflush"], "Removing the iptables rules", stdin=removal)
    return count


def rules_of(instance: str, table: str, saved: str) -> tuple[int, str | None]:
    """Return how many rules and chains in ``saved`` are the node's, and what removes them, or None.

    :param saved: what iptables-save(8) prints for ``table``.
    :returns: the second is input for ``iptables-restore --noflush``.
    """
    lines = saved.splitlines()
    network = {line.split()[-1] for line in lines if f'name: \\"{instance}\\"' in line and " -j CNI-" in line}
    chains = {line[1:].split()[0] for line in lines if line.startswith(":KUBE-")} | network
    if not chains:
        return 0, None
    rules = [line for line in lines if line.startswith("-A") and _names(line, chains)]
    # One transaction: jumps first, then what was jumped to.
    text = [f"*{table}", *(f"-D{line[2:]}" for line in rules if line.split()[1] not in chains)]
    text += [f"-F {chain}" for chain in sorted(chains)] + [f"-X {chain}" for chain in sorted(chains)]
    return len(rules) + len(chains), "\n".join([*text, "COMMIT", ""])


def _names(rule: str, chains: set[str]) -> bool:
    words = rule.split()
    return words[1] in chains or ("-j" in words and words[words.index("-j") + 1] in chains)


def _remove_cgroups(groups: list[Path]) -> None:
    deadline = time.monotonic() + _KILL_SECONDS
    for group in groups:
        while group.exists():
            try:
                group.rmdir()
            except OSError as error:
                # The kernel empties a cgroup a moment after its last process is gone.
                if time.monotonic() > deadline:
                    raise GoldenGooseError(f"Cannot remove the cgroup {group}: {error.strerror}.") from error
                time.sleep(0.05)


def _log_links(node: Node) -> Iterator[Path]:
    """Yield the links that kubelet keeps to each container's log, in a folder that all nodes of a machine share."""
    roots = tuple(f"{folder}/" for folder in node.folders)
    for path in _CONTAINER_LOGS.glob("*.log"):
        with contextlib.suppress(OSError):
            if str(path.readlink()).startswith(roots):
                yield path


def _cni_results(node: Node) -> Iterator[Path]:
    yield from Path("/var/lib/cni/results").glob(f"{node.instance}-*")
