# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one instance of all end-to-end tests (see lifecycle.py), and the state that they share."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tools"))

from .instance import NAME, Instance, environment  # noqa: E402
from .lifecycle import running  # noqa: E402

_LOCK = Path(f"/run/{NAME}.lock")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test a time limit that a play can meet."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session", autouse=True)
def _alone() -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("a Kubernetes node needs root")
    with _LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.exit(f"Other end-to-end tests are running on this machine: they hold {_LOCK}.", returncode=1)
        yield


@pytest.fixture(scope="session")
def instance(_alone: None) -> Iterator[Instance]:
    """A bare instance in a network of its own; nothing of it is left afterwards."""
    with running() as found:
        yield found


@dataclass(frozen=True)
class Demo:
    """One run of tools/demo.py: its exit status and what it printed."""

    status: int
    output: str

    def changed(self) -> dict[str, int]:
        """Return the number of changed tasks of each step, from the closing summary."""
        words = [line.split() for line in self.output.partition("Wall time")[2].splitlines()]
        return {line[0]: int(line[-1].removeprefix("changed=")) for line in words if line and "changed=" in line[-1]}


def run_demo(instance: Instance) -> Demo:
    """Run the demo on the instance as ``make demo`` does."""
    done = subprocess.run(
        [sys.executable, "tools/demo.py", "--work-dir", str(instance.folder / "demo"), *instance.arguments()],
        cwd=REPOSITORY,
        env={**os.environ, **environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout)
    return Demo(done.returncode, done.stdout)


@pytest.fixture(scope="session")
def first_demo(instance: Instance) -> Demo:
    """The first run of the demo on the bare instance: afterwards service-a is compliant and packaged."""
    demo = run_demo(instance)
    assert demo.status == 0, demo.output
    return demo


@pytest.fixture(scope="session")
def promoted(instance: Instance, first_demo: Demo) -> Instance:
    """The instance with service-a compliant."""
    return instance
