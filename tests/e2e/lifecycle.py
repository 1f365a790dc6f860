# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance from nothing to nothing, for the tests and for the bench.

Set GOLDEN_GOOSE_E2E_KEEP=1 to find the instance as the last run left it, and to leave it running, and
GOLDEN_GOOSE_E2E_NAME to have one beside that of another run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from .instance import FOLDER, NAME, Instance
from .leftovers import OWN_NETWORK, end_runs, files, leftovers, processes
from .namespace import Namespace

_KEEP = os.environ.get("GOLDEN_GOOSE_E2E_KEEP") == "1"


@contextmanager
def running() -> Iterator[Instance]:
    """Yield a bare instance in a network of its own; nothing of it is left afterwards."""
    found = Instance()
    if not _KEEP:
        _clear(found)
    FOLDER.mkdir(exist_ok=True)
    try:
        with _network():
            if not found.services.exists():
                found.copy_service("service-a")
            yield found
    finally:
        if not _KEEP:
            _clear(found)


@contextmanager
def _network() -> Iterator[None]:
    """Have this thread in the instance's network, which is made when it is not there."""
    namespace = Namespace(NAME)
    if not OWN_NETWORK:
        yield
        return
    if not namespace.path.exists():
        namespace.create()
    with namespace.entered():
        yield


def _clear(instance: Instance) -> None:
    """Remove what a run, possibly a killed one, has left; fail when that cannot be done."""
    namespace = Namespace(NAME)
    end_runs(FOLDER)
    failure, left = "", []
    if (instance.ledger / "entries.jsonl").exists():
        instance.forget_images()
    if files(instance.root) or any(processes(NAME, instance.root)):
        with _network():
            done = instance.run("teardown", purge=True, keep_cache=True)
            failure = "" if done.succeeded else done.record.failure()
            left = leftovers(NAME, instance.root)
    if OWN_NETWORK:
        namespace.remove()
        left += namespace.traces()
    shutil.rmtree(FOLDER, ignore_errors=True)
    assert not left and not failure, f"The instance {NAME} cannot be removed: {failure}; left: {left}"
