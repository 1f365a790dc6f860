# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Work that is done by other processes meanwhile: the ledger's checks are bound by one core otherwise."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import Any


def useful() -> int:
    """Return how many processes can work at once; 1 in a process with threads, which cannot be doubled safely."""
    return 1 if threading.active_count() > 1 else len(os.sched_getaffinity(0))


@dataclass(slots=True)
class Child:
    """A process that makes results and sends them, in order."""

    _process: int
    _pipe: Connection

    @classmethod
    def start(cls, results: Callable[[], Iterable[Any]]) -> Child:
        """Start one that makes the ``results``, which it sees in the memory of this process as it is now."""
        receive, send = Pipe(duplex=False)
        process = os.fork()
        if process:
            send.close()
            return cls(process, receive)
        # From here on nothing of the parent may be finished, flushed or freed.
        try:
            receive.close()
            gc.disable()
            for result in results():
                send.send(result)
        except OSError:
            pass  # The parent has closed its end, or cannot read the file either: it looks for itself.
        finally:
            os._exit(0)

    def receive(self) -> Any:
        """Return the next result.

        :raises EOFError: it was killed before.
        :raises OSError: it cannot be heard.
        """
        return self._pipe.recv()

    def end(self) -> None:
        """Wait for it; one that still has something to say is ended by that."""
        self._pipe.close()
        os.waitpid(self._process, 0)
