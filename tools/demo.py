# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the playbooks site, deploy, promote, package and status in order, as ``make demo`` does.

Each playbook runs through ansible-runner. The terminal shows one line per step; everything that
Ansible said goes to a log file. Exit status: 0 all steps succeeded, 1 a step failed, 2 wrong
arguments, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import ansible_runner
from demo_events import Event, RunRecord, fold, plain
from demo_progress import Progress
from demo_summary import StepTime, summary

REPOSITORY = Path(__file__).resolve().parent.parent
STEPS = ("site", "deploy", "promote", "package", "status")
SERVICE = "service-a"
# Without a service the status is that of all, and is kept as Markdown.
STEPS_OF_ONE_SERVICE = ("deploy", "promote", "package")
# ansible-runner keeps its own artifacts of this many playbook runs.
KEPT_RUNS = 10


class Interrupted:
    """Turn SIGINT and SIGTERM into a flag, so that ansible-playbook is ended with us."""

    def __init__(self) -> None:
        self.requested = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request)

    def _request(self, number: int, frame: object) -> None:
        self.requested = True


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--inventory", "-i", help="inventory to use instead of ansible.cfg's")
    parser.add_argument("--extra-vars", "-e", action="append", default=[], help="passed on to ansible-playbook")
    parser.add_argument("--steps", default=",".join(STEPS), help="comma-separated steps (default: %(default)s)")
    parser.add_argument(
        "--work-dir",
        type=Path,
        default=REPOSITORY / ".cache" / "demo",
        help="folder of the logs (default: .cache/demo in the checkout)",
    )
    parsed = parser.parse_args(argv)
    parsed.steps = [step.strip() for step in parsed.steps.split(",") if step.strip()]
    unknown = [step for step in parsed.steps if step not in STEPS]
    if unknown or not parsed.steps:
        parser.error(f"--steps {','.join(unknown)!r}: allowed are {', '.join(STEPS)}")
    return parsed


def command_line(step: str, extra_vars: Sequence[str]) -> str:
    """Return the options of one ansible-playbook call; the caller's variables win."""
    parts = ["-e", f"service={SERVICE}"] if step in STEPS_OF_ONE_SERVICE else []
    for text in extra_vars:
        parts += ["-e", text]
    return shlex.join(parts)


def run_step(
    step: str, options: argparse.Namespace, progress: Progress, log: TextIO, interrupted: Interrupted
) -> tuple[bool, RunRecord]:
    """Run one playbook; return whether it succeeded, and what it reported."""
    record = RunRecord()

    def on_event(event: Event) -> bool:
        fold(record, event)
        text = plain(str(event.get("stdout") or ""))
        if text.strip():
            print(text, file=log, flush=True)
        progress.show(record.play, record.task, record.detail)
        return False  # Events are folded here; ansible-runner need not keep a file for each.

    def on_tick() -> bool:
        progress.show(record.play, record.task, record.detail)
        return interrupted.requested

    source = {"inventory": options.inventory} if options.inventory else {}
    runner = ansible_runner.run(
        private_data_dir=str(options.work_dir / "runner"),
        project_dir=str(REPOSITORY),
        playbook=f"playbooks/{step}.yml",
        cmdline=command_line(step, options.extra_vars),
        envvars=environment(),
        settings={"pexpect_timeout": 1},
        event_handler=on_event,
        cancel_callback=on_tick,
        rotate_artifacts=KEPT_RUNS,
        suppress_env_files=True,
        quiet=True,
        **source,
    )
    return runner.rc == 0, record


def environment() -> dict[str, str]:
    """Return what ansible-playbook needs beside our own environment.

    The programs beside our interpreter come first: in a virtual environment that was not
    activated, another ansible-playbook could be found otherwise.
    """
    programs = str(Path(sys.executable).parent)
    return {
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)]),
    }


def merge(facts: dict[str, Any], artifacts: Mapping[str, Any]) -> None:
    """Take the custom statistics of one playbook into ``facts``; mappings are merged."""
    for key, value in artifacts.items():
        if isinstance(value, Mapping) and isinstance(facts.get(key), Mapping):
            facts[key] = {**facts[key], **value}
        else:
            facts[key] = value


def main(argv: Sequence[str] | None = None, stream: TextIO | None = None) -> int:
    """Run the demo; return the exit status."""
    options = arguments(argv)
    out = stream or sys.stdout
    if options.inventory:
        # ansible-runner takes a relative path as relative to its own folder.
        options.inventory = str(Path(options.inventory).resolve())
    options.work_dir = options.work_dir.resolve()
    (options.work_dir / "runner").mkdir(parents=True, exist_ok=True, mode=0o700)
    log_path = options.work_dir / time.strftime("demo-%Y%m%dT%H%M%S.log")
    interrupted = Interrupted()
    progress = Progress(out, len(options.steps))
    facts: dict[str, Any] = {}
    times: list[StepTime] = []
    log_path.touch(mode=0o600)
    with log_path.open("a") as log:
        for number, step in enumerate(options.steps, 1):
            progress.start(number, step)
            succeeded, record = run_step(step, options, progress, log, interrupted)
            merge(facts, record.artifacts)
            if interrupted.requested:
                progress.finish("interrupted")
                print(f"Interrupted in step {step}; run it again to go on. Log: {log_path}", file=out)
                return 130
            if not succeeded:
                progress.finish("FAILED")
                print(f"Step {step} failed: {record.failure()}", file=out)
                print(f"Log: {log_path}", file=out)
                return 1
            seconds = progress.finish(f"ok, changed={record.changed}")
            times.append(StepTime(step, seconds, record.changed))
    print(f"\n{summary(facts, times)}\nLog: {log_path}", file=out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
