# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fold the events of one ansible-runner run into what a person wants to know about it.

Input are the event dictionaries that ansible-runner hands to an ``event_handler``
(keys ``event``, ``event_data``, ``stdout``); nothing here prints or reads a clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Event = Mapping[str, Any]

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ERROR_LINE = re.compile(r"^(?:\[ERROR\]:|ERROR!)\s*(.+)$")
# What an action plugin prints while it waits: "  [host] coredns: compiling, …".
_PROGRESS_LINE = re.compile(r"^  \[[^]]*\] (.+)")
_FAILURES = ("runner_on_failed", "runner_on_unreachable", "runner_item_on_failed")
_HIDDEN = "its output is hidden, because it may hold a secret"


@dataclass(frozen=True)
class Failure:
    """One failed task: where it failed and the sentence that it gave."""

    play: str
    task: str
    host: str
    message: str

    def __str__(self) -> str:
        where = f'task "{self.task}"' if self.task else "before any task"
        return f"{where} on {self.host}: {self.message}" if self.host else f"{where}: {self.message}"


@dataclass
class RunRecord:
    """What has happened in one playbook run so far.

    ``artifacts`` are the custom statistics of the run (``ansible.builtin.set_stats``), ``changed``
    counts changed tasks over all hosts, ``detail`` is the newest thing a waiting task has said.
    """

    play: str = ""
    task: str = ""
    detail: str = ""
    changed: int = 0
    artifacts: dict[str, Any] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def failure(self) -> str:
        """Return the one sentence that says why the run failed.

        A run can fail before its first task (a playbook that is not there, an unknown variable
        file); then the last error line that ansible-playbook printed is the reason.
        """
        if self.failures:
            return str(self.failures[-1])
        if self.errors:
            return self.errors[-1]
        return "ansible-playbook ended without naming a failed task"


def plain(text: str) -> str:
    """Return ``text`` without terminal colours and carriage returns."""
    return _COLOUR.sub("", text).replace("\r", "")


def result_message(result: Mapping[str, Any]) -> str:
    """Return the sentence in a task result: ``msg``, else the last line of its error output."""
    if "censored" in result:
        return _HIDDEN
    message = result.get("msg")
    if isinstance(message, list):
        message = " ".join(str(part) for part in message)
    for text in (message, result.get("stderr"), result.get("stdout"), result.get("reason")):
        lines = [line.strip() for line in plain(str(text or "")).splitlines() if line.strip()]
        if lines:
            return lines[-1] if text is not message else " ".join(lines)
    return "it failed without a message"


def waiting_detail(result: Mapping[str, Any]) -> str:
    """Return the last line that a task being retried or polled has shown, or an empty string."""
    for key in ("msg", "stdout", "content"):
        lines = [part.strip() for part in plain(str(result.get(key) or "")).splitlines()]
        lines = [line for line in lines if line]
        if lines:
            return lines[-1]
    return ""


def fold(record: RunRecord, event: Event) -> None:
    """Take one event into ``record``."""
    kind = str(event.get("event", ""))
    data: Mapping[str, Any] = event.get("event_data") or {}
    result: Mapping[str, Any] = data.get("res") or {}
    if kind == "playbook_on_play_start":
        record.play, record.task, record.detail = str(data.get("name") or data.get("play", "")), "", ""
    elif kind == "playbook_on_task_start":
        record.task, record.detail = str(data.get("name") or data.get("task", "")), ""
    elif kind in ("runner_retry", "runner_on_async_poll"):
        record.detail = waiting_detail(result)
    elif kind == "verbose" and (found := _PROGRESS_LINE.match(plain(str(event.get("stdout") or "")))):
        record.detail = found.group(1).strip()
    elif kind in _FAILURES:
        _take_failure(record, kind, data, result)
    elif kind == "playbook_on_stats":
        record.changed += sum((data.get("changed") or {}).values())
        record.artifacts.update(data.get("artifact_data") or {})
    _take_errors(record, str(event.get("stdout") or ""))


def _take_failure(record: RunRecord, kind: str, data: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    if data.get("ignore_errors"):
        return
    task, host = str(data.get("task") or record.task), str(data.get("host", ""))
    last = record.failures[-1] if record.failures else None
    if kind == "runner_on_failed" and result.get("results") and last and last.task == task:
        return  # The sum of a loop; the item that failed has already said why.
    record.failures.append(Failure(record.play, task, host, result_message(result)))


def _take_errors(record: RunRecord, stdout: str) -> None:
    for line in plain(stdout).splitlines():
        found = _ERROR_LINE.match(line.strip())
        if found:
            record.errors.append(found.group(1))
