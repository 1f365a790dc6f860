# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Gate sast: bandit and semgrep over the service's source. A scan that saw nothing is a deny."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..model import Verdict
from .context import GateContext, ToolFailed, private_copy, run_tool

# semgrep's own words, old and new, for what bandit calls high, medium and low.
_SEMGREP_LEVELS = {
    "CRITICAL": "high",
    "ERROR": "high",
    "HIGH": "high",
    "WARNING": "medium",
    "MEDIUM": "medium",
    "INFO": "low",
    "LOW": "low",
}


def sast(context: GateContext) -> Verdict:
    """Scan the source with both tools and compare the number of findings with the thresholds.

    The raw reports are kept as one ledger object: ``{"bandit": …, "semgrep": …}``, as the tools wrote them.
    """
    gates = context.service.gates
    required = {"max_high": gates.max_high, "max_medium": gates.max_medium, "min_files": 1}
    try:
        # Not the copy that the other gates read: semgrep gets a file of ours there.
        with private_copy(context.source) as (copy, scratch):
            own = replace(context, source=copy, scratch=scratch)
            bandit, semgrep = _bandit(own), _semgrep(own)
    except ToolFailed as error:
        observed: dict[str, Any] = {"failed": str(error)}
        return Verdict("sast", "deny", f"{error} (required: both scanners finish)", observed, required)
    levels = Counter(str(item["issue_severity"]).lower() for item in bandit["results"])
    levels += Counter(_semgrep_level(item) for item in semgrep["results"])
    observed = {
        "high": levels["high"],
        "medium": levels["medium"],
        "low": levels["low"],
        "files": len(semgrep["paths"]["scanned"]),
        "suppressed": bandit["metrics"]["_totals"]["nosec"] + bandit["metrics"]["_totals"]["skipped_tests"],
    }
    report = json.dumps({"bandit": bandit, "semgrep": semgrep}, sort_keys=True).encode()
    kept = context.evidence.store(report, "application/json")
    denied = levels["high"] > gates.max_high or levels["medium"] > gates.max_medium
    reason = (
        f"{levels['high']} high (required: at most {gates.max_high}) and {levels['medium']} medium "
        f"(required: at most {gates.max_medium}) findings in {observed['files']} files{_where(bandit, semgrep)}"
    )
    return Verdict("sast", "deny" if denied else "allow", reason, observed, required, dict(kept))


def _bandit(context: GateContext) -> dict[str, Any]:
    # Our own empty settings, so that a .bandit file in the source cannot switch tests off.
    settings = context.scratch / "bandit.ini"
    settings.write_text("[bandit]\n")
    source = context.relative(context.service.source)
    command = [context.scanners.python, "-m", "bandit", "-q", "-r", source, "-f", "json", "--ini", str(settings)]
    done = run_tool(command, context.source, context.scratch, context.scanners.timeout)
    report = _report(done.stdout, "bandit", done.status in (0, 1), done.last_words())
    _require_scanned("bandit", [name for name in report["metrics"] if name != "_totals"], source)
    _require_no_errors("bandit", [f"{e['filename']}: {e['reason']}" for e in report["errors"]])
    return report


def _semgrep(context: GateContext) -> dict[str, Any]:
    rules = context.scanners.semgrep_rules
    if not any(rules.glob("*.yml")):
        raise ToolFailed(f"semgrep has no rules (*.yml) in {rules}")
    # An empty list of our own: else semgrep passes over what it takes for tests or vendored code.
    (context.source / ".semgrepignore").write_text("")
    source = context.relative(context.service.source)
    command = [
        _semgrep_program(context.scanners.python),
        *("scan", "--json", "--quiet", "--metrics=off", "--disable-version-check", "--no-git-ignore"),
        *("--config", str(rules), source),
    ]
    done = run_tool(command, context.source, context.scratch, context.scanners.timeout)
    report = _report(done.stdout, "semgrep", done.status in (0, 1), done.last_words())
    _require_scanned("semgrep", report["paths"]["scanned"], source)
    _require_no_errors("semgrep", [str(e.get("message", e.get("type"))) for e in report["errors"]])
    return report


def _semgrep_program(python: str) -> str:
    beside = Path(python).parent / "semgrep"
    found = str(beside) if beside.is_file() else shutil.which("semgrep")
    if not found:
        raise ToolFailed(f"semgrep is not installed beside {python}")
    return found


def _report(output: bytes, tool: str, ended_well: bool, last_words: str) -> dict[str, Any]:
    try:
        report = json.loads(output)
    except ValueError:
        report = None
    if not ended_well or not isinstance(report, dict):
        raise ToolFailed(f"{tool} failed: {last_words}")
    return report


def _require_scanned(tool: str, files: Iterable[str], source: str) -> None:
    if not list(files):
        raise ToolFailed(f"{tool} found no file to scan in {source}")


def _require_no_errors(tool: str, errors: list[str]) -> None:
    if errors:
        raise ToolFailed(f"{tool} could not scan everything: {errors[0].splitlines()[0]}")


def _semgrep_level(item: dict[str, Any]) -> str:
    # A severity that we do not know counts as the worst.
    return _SEMGREP_LEVELS.get(str(item["extra"]["severity"]).upper(), "high")


def _where(bandit: dict[str, Any], semgrep: dict[str, Any]) -> str:
    """Return the first places that count, as words to add to the reason."""
    places = [
        f"{item['test_id']} {item['filename']}:{item['line_number']}"
        for item in bandit["results"]
        if item["issue_severity"] != "LOW"
    ] + [
        f"{item['check_id'].rpartition('.')[2]} {item['path']}:{item['start']['line']}"
        for item in semgrep["results"]
        if _semgrep_level(item) != "low"
    ]
    return f": {', '.join(places[:3])}" + (" …" if len(places) > 3 else "") if places else ""
