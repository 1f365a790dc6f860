# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network namespace for one instance: default ports and addresses, whatever else runs on the machine.

Roles install from package registries, so the namespace has a way out: a veth pair and source NAT, both of which
carry our name. This process enters with setns(2), not with ``ip netns exec``, which mounts another /sys and so
hides the cgroups.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
# Of 10.0.0.0/8, where a machine is not likely to have a route of its own; each name has one of 256 networks below it.
_PREFIX = "10.246"


def run(*command: str) -> str:
    """Return what a command prints.

    :raises AssertionError: it failed; the text has its error output.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)} ended with {done.returncode}: {done.stderr.strip()}"
    return done.stdout


class Namespace:
    """The network namespace ``name`` and what leads out of it; link names hold 15 characters, so be brief."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._outer, self._inner = f"{name}-out", f"{name}-in"
        network = f"{_PREFIX}.{zlib.crc32(name.encode()) % 256}"
        self._outside, self._inside, self._network = f"{network}.1", f"{network}.2", f"{network}.0/30"

    @property
    def path(self) -> Path:
        """Return where ip-netns(8) keeps it."""
        return Path("/run/netns", self.name)

    def create(self) -> None:
        """Make the namespace with a loopback and a way out."""
        inside = ("ip", "-n", self.name)
        run("ip", "netns", "add", self.name)
        run(*inside, "link", "set", "lo", "up")
        run("ip", "link", "add", self._outer, "type", "veth", "peer", "name", self._inner, "netns", self.name)
        run("ip", "address", "add", f"{self._outside}/30", "dev", self._outer)
        run("ip", "link", "set", self._outer, "up")
        run(*inside, "address", "add", f"{self._inside}/30", "dev", self._inner)
        run(*inside, "link", "set", self._inner, "up")
        run(*inside, "route", "add", "default", "via", self._outside)
        for rule in self._rules():
            run("iptables", "-w", "-t", rule[0], "-I", *rule[1:])
        # Stays on: another instance may rely on it by the time we end.
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")

    def remove(self) -> None:
        """Remove all that ``create`` made, also after a run that was killed."""
        for table, line in self.rules_outside():
            run("iptables", "-w", "-t", table, "-D", *shlex.split(line)[1:])
        if self._outer in links():
            run("ip", "link", "delete", "dev", self._outer)
        if self.path.exists():
            run("ip", "netns", "delete", self.name)

    def traces(self) -> list[str]:
        """Return what there is of it on the machine, in words."""
        found = [f"iptables -t {table} {line}" for table, line in self.rules_outside()]
        found += [f"link {self._outer}"] if self._outer in links() else []
        return found + ([str(self.path)] if self.path.exists() else [])

    def rules_outside(self) -> list[tuple[str, str]]:
        """Return (table, rule) of each iptables rule of the machine that carries our name."""
        return [
            (table, line)
            for table in ("nat", "filter")
            for line in run("iptables", "-w", "-t", table, "-S").splitlines()
            if self.name in shlex.split(line)
        ]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have this thread, and all that it starts in the block, in the namespace."""
        outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with self.path.open("rb") as inside:
                _enter(inside.fileno())
            try:
                yield
            finally:
                _enter(outside)
        finally:
            os.close(outside)

    def _rules(self) -> Iterator[Sequence[str]]:
        mark = ("-m", "comment", "--comment", self.name)
        yield "nat", "POSTROUTING", "-s", self._network, *mark, "-j", "MASQUERADE"
        # Where the default is not to forward (a machine with Docker).
        yield "filter", "FORWARD", "-i", self._outer, *mark, "-j", "ACCEPT"
        yield "filter", "FORWARD", "-o", self._outer, *mark, "-j", "ACCEPT"


def links() -> list[str]:
    """Return the names of the network links that this process sees."""
    return [line.split(":")[1].partition("@")[0].strip() for line in run("ip", "-o", "link").splitlines()]


def _enter(descriptor: int) -> None:
    # os.setns came with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
