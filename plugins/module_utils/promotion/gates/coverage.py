# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Gate coverage: the service's own tests pass, there are some, and they run enough of its code."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ..model import Verdict
from .context import GateContext, ToolFailed, private_copy, run_tool, unprivileged_user

_NO_TESTS = 5
_TESTS_FAILED = 1


@dataclass(frozen=True)
class _Tests:
    passed: int
    failed: int
    skipped: int


def coverage(context: GateContext) -> Verdict:
    """Run the tests in a copy, under pytest and pytest-cov with settings of our own.

    The raw coverage report is kept as a ledger object.
    """
    least = context.service.gates.min_percent
    required: dict[str, Any] = {"min_percent": least, "min_passed": 1, "max_failed": 0}
    user = unprivileged_user(context.scanners.python)
    try:
        # Not the copy that the other gates read: tests may change files.
        with private_copy(context.source, user) as (copy, scratch):
            tests, report = _run(context, copy, scratch, user)
    except ToolFailed as error:
        observed: dict[str, Any] = {"failed": str(error)}
        return Verdict("coverage", "deny", f"{error} (required: the tests run)", observed, required)
    percent = math.floor(report["totals"]["percent_covered"] * 100) / 100
    observed = {
        "percent": percent,
        "passed": tests.passed,
        "failed": tests.failed,
        "skipped": tests.skipped,
        "files": len(report["files"]),
        "excluded_lines": report["totals"]["excluded_lines"],
        "user": "nobody" if user is not None else f"uid {os.geteuid()}",
    }
    kept = context.evidence.store(json.dumps(report, sort_keys=True).encode(), "application/json")
    problems = []
    if tests.failed:
        problems.append(f"{tests.failed} of {tests.failed + tests.passed} tests fail (required: none)")
    if not tests.passed:
        problems.append("no test passed (required: at least one)")
    if not report["files"]:
        problems.append("the tests cover no file (required: at least one)")
    if percent < least:
        problems.append(f"the tests cover {percent:g} % of the lines (required: at least {least:g} %)")
    reason = "; ".join(problems) or (
        f"{tests.passed} tests pass and cover {percent:g} % of the lines (required: at least {least:g} %)"
    )
    return Verdict("coverage", "deny" if problems else "allow", reason, observed, required, dict(kept))


def _run(context: GateContext, copy: Path, scratch: Path, user: int | None) -> tuple[_Tests, dict[str, Any]]:
    source, tests = copy / context.relative(context.service.source), copy / context.relative(context.service.tests)
    # Settings of our own, so that those in the source cannot leave out files or tests.
    settings, measuring = scratch / "pytest.ini", scratch / "coverage.ini"
    settings.write_text(f"[pytest]\npythonpath = {source}\n")
    measuring.write_text(f"[run]\ndata_file = {scratch / 'data'}\n")
    junit, measured = scratch / "junit.xml", scratch / "coverage.json"
    command = [
        context.scanners.python,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(settings), "--rootdir", str(copy)),
        *(f"--junitxml={junit}", f"--cov={source}", f"--cov-config={measuring}"),
        *(f"--cov-report=json:{measured}", str(tests)),
    ]
    done = run_tool(command, copy, scratch, context.scanners.timeout, user)
    where = context.relative(context.service.tests)
    if done.status == _NO_TESTS:
        raise ToolFailed(f"there are no tests in {where} of {context.service.name}")
    if done.status not in (0, _TESTS_FAILED) or not measured.is_file() or not junit.is_file():
        raise ToolFailed(f"the tests could not be run: {done.last_words()}")
    try:
        return _counts(junit), json.loads(measured.read_bytes())
    except (ValueError, ElementTree.ParseError) as error:
        raise ToolFailed(f"the report of the tests cannot be read: {error}") from error


def _counts(junit: Path) -> _Tests:
    # The file is from pytest of this very run; it holds no document type to expand.
    suites = list(ElementTree.parse(junit).getroot().iter("testsuite"))
    total, skipped, failed = (
        sum(int(suite.get(name, "0")) for suite in suites) for name in ("tests", "skipped", "failures")
    )
    failed += sum(int(suite.get("errors", "0")) for suite in suites)
    return _Tests(passed=total - skipped - failed, failed=failed, skipped=skipped)
