# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a service again and again while something happens to it."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_SECONDS_BETWEEN = 0.1


@dataclass
class Answers:
    """How often the service answered, and what went wrong otherwise."""

    good: int = 0
    failures: list[str] = field(default_factory=list)


@contextmanager
def watched(url: str) -> Iterator[Answers]:
    """Ask ``url`` ten times a second during the block; each question stands for a client of its own."""
    answers, ended = Answers(), threading.Event()

    def ask() -> None:
        while not ended.wait(_SECONDS_BETWEEN):
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    answer.read()
                answers.good += 1
            except OSError as error:
                answers.failures.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        ended.set()
        thread.join()
