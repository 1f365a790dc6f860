# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show where a run of several playbooks stands: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TextIO

# Without a terminal a task that runs long is named again at this interval (seconds).
INTERVAL = 20.0


def duration(seconds: float) -> str:
    """Return ``seconds`` as a person says it: ``4.2 s``, ``3 min 07 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


class Progress:
    """Write the progress of numbered steps to ``stream``.

    On a terminal one line is rewritten in place; otherwise each play gets a line, and so does a
    task that has been running for another ``interval`` seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        total: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        interval: float = INTERVAL,
    ) -> None:
        self._stream = stream
        self._total = total
        self._clock = clock
        self._interval = interval
        self._live = stream.isatty()
        self._step = ""
        self._started = self._spoke = clock()
        self._play = ""
        self._shown = ""

    def start(self, number: int, name: str) -> None:
        """Begin step ``number`` of all, called ``name``."""
        self._step = f"[{number}/{self._total}] {name}"
        self._started = self._clock()
        self._play = ""
        if not self._live:
            self._say(self._step)

    def show(self, play: str, task: str, detail: str = "") -> None:
        """Say what is running now; call it on each event and about once a second between."""
        elapsed = duration(self._clock() - self._started)
        now = " > ".join(part for part in (play, task, detail) if part)
        if self._live:
            self._rewrite(f"{self._step} · {elapsed} · {now}")
        elif play != self._play:
            self._play = play
            self._say(f"{self._step} · {elapsed} · {play}")
        elif self._clock() - self._spoke >= self._interval:
            self._say(f"{self._step} · {elapsed} · {now}")

    def finish(self, outcome: str) -> float:
        """End the step with one line that stays; return its wall time in seconds."""
        elapsed = self._clock() - self._started
        self._clear()
        self._say(f"{self._step} · {outcome} · {duration(elapsed)}")
        return elapsed

    def _say(self, line: str) -> None:
        self._spoke = self._clock()
        print(line, file=self._stream, flush=True)

    def _rewrite(self, line: str) -> None:
        width = shutil.get_terminal_size().columns
        line = line if len(line) < width else line[: width - 2] + "…"
        if line != self._shown:
            self._stream.write(f"\r\x1b[K{line}")
            self._stream.flush()
            self._shown = line

    def _clear(self) -> None:
        if self._live and self._shown:
            self._stream.write("\r\x1b[K")
            self._shown = ""
