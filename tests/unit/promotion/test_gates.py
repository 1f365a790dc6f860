# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each gate on small real services, with the real bandit, semgrep, pytest and pytest-cov."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import ClusterUnavailable
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.evidence import Evidence
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.gates import (
    GATES,
    Gate,
    GateContext,
    Scanners,
    private_copy,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.gates import context as tools
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import (
    REQUIRED_GATES,
    SANDBOX,
    Verdict,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.services.model import load_service
from ansible_collections.golden_goose.compliance.plugins.module_utils.services.source import source_digest

from .conftest import D1, D2, METADATA, Bench, FakeCluster, write_service

RULES = Path(__file__).resolve().parents[3] / "roles" / "promotion_policy" / "files" / "semgrep"
SHELL = "import subprocess\n\n\ndef list_files(name: str) -> None:\n    subprocess.run(f'ls {name}', shell=True)\n"
CODE = "def double(x):\n    return 2 * x\n\n\ndef triple(x):\n    y = x + x\n    return y + x\n"
TESTS = "from code_under_test import double, triple\n\n\ndef test_both():\n    assert double(2) + triple(2) == 10\n"
HALF = "from code_under_test import double\n\n\ndef test_one():\n    assert double(2) == 4\n"

Decide = Callable[..., Verdict]


class Lab:
    """A service folder, an empty ledger, a cluster that runs D1 in the sandbox."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.folder = write_service(root / "svc", gates="{coverage: {min_percent: 80}}")
        self.evidence = Evidence(Ledger.create(root / "ledger", "test"), METADATA)
        self.cluster = FakeCluster()
        self.cluster.run(SANDBOX, "svc", D1)
        self.scanners = Scanners(RULES, timeout=60)
        self._stack = stack

    def write(self, files: dict[str, str]) -> None:
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def decide(self, gate: str | Gate, files: dict[str, str] | None = None, digest: str = D1, **more: Any) -> Verdict:
        """Return what a gate says; ``more`` is of the context: policy and plan."""
        self.write(files or {})
        service = load_service(self.folder)
        source, scratch = self._stack.enter_context(private_copy(self.folder))
        parts = (service, digest, self.evidence, self.cluster, self.scanners, source, scratch)
        return (GATES[gate] if isinstance(gate, str) else gate)(GateContext(*parts, **more))

    def built(self, digest: str, source: str) -> None:
        self.evidence.record("build", {"service": "svc", "digest": digest, "source_sha256": source}, type="validation")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with ExitStack() as stack:
        yield Lab(tmp_path, stack)


def test_the_gates_of_sprint_1_are_there_and_chain_is_last() -> None:
    assert set(REQUIRED_GATES) <= set(GATES)
    assert [*GATES][-1] == REQUIRED_GATES[-1] == "chain"


# sast


def test_sast_allows_clean_code_and_keeps_both_reports(lab: Lab) -> None:
    verdict = lab.decide("sast", {"src/code.py": CODE})
    assert verdict.verdict == "allow", verdict.reason
    assert verdict.observed == {"high": 0, "medium": 0, "low": 0, "files": 1, "suppressed": 0}
    report = json.loads(lab.evidence.load(verdict.object))  # type: ignore[arg-type]
    assert set(report) == {"bandit", "semgrep"}
    assert report["semgrep"]["paths"]["scanned"] == ["src/code.py"]


def test_sast_denies_a_high_finding_and_names_it(lab: Lab) -> None:
    # The files that switch a scanner off in its own way must not.
    switches = {".bandit": "[bandit]\nskips: B602\nexclude: /src\n", ".semgrepignore": "src/\n"}
    verdict = lab.decide("sast", {"src/code.py": SHELL, **switches})
    assert verdict.verdict == "deny"
    assert verdict.observed["high"] == 2
    assert verdict.reason.startswith(
        "2 high (required: at most 0) and 0 medium (required: at most 0) findings in 1 files: B602 src/code.py:5"
    )


def test_sast_says_how_many_findings_the_source_suppresses(lab: Lab) -> None:
    code = SHELL.replace("shell=True)", "shell=True)  # nosec B602 # nosemgrep")
    assert lab.decide("sast", {"src/code.py": code}).observed["suppressed"] == 1


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "bandit found no file to scan in src"),
        ({"src/readme.txt": "no code"}, "bandit found no file to scan in src"),
        ({"src/code.py": "def broken(:\n"}, "bandit could not scan everything: src/code.py"),
    ],
)
def test_sast_denies_what_it_could_not_scan(lab: Lab, files: dict[str, str], reason: str) -> None:
    verdict = lab.decide("sast", files)
    assert (verdict.verdict, verdict.reason[: len(reason)]) == ("deny", reason)


def test_sast_denies_without_rules(lab: Lab, tmp_path: Path) -> None:
    lab.scanners = Scanners(tmp_path)
    verdict = lab.decide("sast", {"src/code.py": CODE})
    assert verdict.verdict == "deny"
    assert verdict.reason == f"semgrep has no rules (*.yml) in {tmp_path} (required: both scanners finish)"


def test_sast_denies_with_rules_that_are_none(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("rules: [{id: x}]\n")
    lab.scanners = Scanners(tmp_path)
    verdict = lab.decide("sast", {"src/code.py": CODE})
    assert (verdict.verdict, verdict.reason.partition(":")[0]) == ("deny", "semgrep failed")


def test_sast_denies_when_a_scanner_takes_too_long(lab: Lab) -> None:
    lab.scanners = Scanners(RULES, timeout=0.01)
    verdict = lab.decide("sast", {"src/code.py": CODE})
    assert verdict.reason == "bandit did not end within 0 s (required: both scanners finish)"


def test_sast_denies_when_a_scanner_is_missing(lab: Lab) -> None:
    lab.scanners = Scanners(RULES, python="/nowhere/python")
    verdict = lab.decide("sast", {"src/code.py": CODE})
    assert verdict.reason == "bandit cannot be started: No such file or directory (required: both scanners finish)"


# coverage


def test_coverage_allows_passing_tests_that_cover_enough(lab: Lab) -> None:
    verdict = lab.decide("coverage", {"src/code_under_test.py": CODE, "tests/test_code.py": TESTS})
    assert verdict.verdict == "allow", verdict.reason
    assert (verdict.observed["percent"], verdict.observed["passed"]) == (100, 1)
    assert verdict.reason == "1 tests pass and cover 100 % of the lines (required: at least 80 %)"
    report = json.loads(lab.evidence.load(verdict.object))  # type: ignore[arg-type]
    assert report["totals"]["percent_covered"] == 100


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"tests/test_code.py": HALF}, "the tests cover 60 % of the lines (required: at least 80 %)"),
        ({}, "there are no tests in tests of svc (required: the tests run)"),
        (
            {"tests/test_code.py": TESTS + "\n\ndef test_wrong():\n    assert double(2) == 5\n"},
            "1 of 2 tests fail (required: none)",
        ),
        (
            {"tests/test_code.py": "import pytest\n\n\n@pytest.mark.skip\n" + TESTS.partition("\n\n\n")[2]},
            "no test passed (required: at least one); the tests cover 0 % of the lines (required: at least 80 %)",
        ),
        (
            # Settings of the service cannot leave code out of the measurement.
            {"tests/test_code.py": HALF, ".coveragerc": "[run]\nomit = src/*\n[report]\nexclude_also = def triple\n"},
            "the tests cover 60 % of the lines (required: at least 80 %)",
        ),
        (
            # Code that no test imports counts, too.
            {"tests/test_code.py": TESTS, "src/other.py": CODE},
            "the tests cover 50 % of the lines (required: at least 80 %)",
        ),
        (
            {"tests/test_code.py": "import os\n\n\ndef test_end():\n    os.kill(os.getpid(), 9)\n"},
            "the tests could not be run: it wrote nothing and was ended by signal 9 (required: the tests run)",
        ),
    ],
)
def test_coverage_denies(lab: Lab, files: dict[str, str], reason: str) -> None:
    verdict = lab.decide("coverage", {"src/code_under_test.py": CODE, **files})
    assert (verdict.verdict, verdict.reason) == ("deny", reason)


def test_coverage_denies_tests_that_cannot_be_collected(lab: Lab) -> None:
    verdict = lab.decide("coverage", {"src/code_under_test.py": CODE, "tests/test_code.py": "import nothing_such\n"})
    assert verdict.verdict == "deny"
    assert verdict.reason.startswith("the tests could not be run: ")


def test_coverage_ends_tests_that_hang_with_all_that_they_started(lab: Lab, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    child = f"import time; time.sleep(4); open({str(alive)!r}, 'w')"
    hang = (
        "import subprocess, sys, time\n\n\ndef test_hang():\n"
        f"    subprocess.Popen([sys.executable, '-c', {child!r}])\n    time.sleep(60)\n"
    )
    lab.scanners = Scanners(RULES, timeout=2)
    tmp_path.chmod(0o777)
    verdict = lab.decide("coverage", {"src/code_under_test.py": CODE, "tests/test_code.py": hang})
    assert (verdict.verdict, verdict.reason) == ("deny", "pytest did not end within 2 s (required: the tests run)")
    time.sleep(3)
    assert not alive.exists()


def test_tests_do_not_see_our_environment(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "secret")
    nosy = TESTS + "\n\ndef test_nosy():\n    import os\n    assert 'VAULT_TOKEN' not in os.environ\n"
    verdict = lab.decide("coverage", {"src/code_under_test.py": CODE, "tests/test_code.py": nosy})
    assert verdict.verdict == "allow", verdict.reason


def test_tests_cannot_change_the_source_that_is_judged(lab: Lab) -> None:
    spoil = TESTS + "\n\ndef test_spoil():\n    import code_under_test as c\n    open(c.__file__, 'a').write('#')\n"
    lab.decide("coverage", {"src/code_under_test.py": CODE, "tests/test_code.py": spoil})
    assert (lab.folder / "src" / "code_under_test.py").read_text() == CODE


def test_root_runs_them_as_nobody_where_nobody_reaches_the_interpreter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tools.os, "geteuid", lambda: 0)
    assert tools.unprivileged_user("/bin/sh") == 65534
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "python").symlink_to("/bin/sh")
    assert tools.unprivileged_user(str(closed / "python")) is None
    monkeypatch.setattr(tools.os, "geteuid", lambda: 1000)
    assert tools.unprivileged_user("/bin/sh") is None


# provenance


def test_provenance_allows_what_was_built_from_this_source_and_runs_in_the_sandbox(lab: Lab) -> None:
    lab.built(D1, source_digest(load_service(lab.folder)))
    verdict = lab.decide("provenance")
    assert verdict.verdict == "allow", verdict.reason


def test_provenance_denies_without_a_build_entry(lab: Lab) -> None:
    lab.built(D2, source_digest(load_service(lab.folder)))
    verdict = lab.decide("provenance")
    assert verdict.verdict == "deny"
    assert verdict.reason == "the ledger has no build of it (required: one, by playbooks/deploy.yml)"


def test_provenance_denies_when_the_source_has_changed_since(lab: Lab) -> None:
    before = source_digest(load_service(lab.folder))
    lab.built(D1, before)
    verdict = lab.decide("provenance", {"src/code.py": CODE})
    assert verdict.verdict == "deny"
    assert verdict.reason.startswith(f"it was built from source {before[:12]}, but the source is ")


@pytest.mark.parametrize("running", [D2, None])
def test_provenance_denies_what_sandbox_does_not_run(lab: Lab, running: str | None) -> None:
    lab.built(D1, source_digest(load_service(lab.folder)))
    lab.cluster.objects.clear()
    if running:
        lab.cluster.run(SANDBOX, "svc", running)
    verdict = lab.decide("provenance")
    seen = "sha256:222222222222…" if running else "nothing"
    assert (verdict.verdict, verdict.reason) == ("deny", f"sandbox runs {seen} (required: sha256:111111111111…)")


# health


def test_health_allows_a_ready_deployment_of_the_digest(lab: Lab) -> None:
    verdict = lab.decide("health")
    assert verdict.verdict == "allow"
    assert verdict.observed == {"ready": 1, "digest": D1, "path": "/readyz", "status": 200}


def _not_ready(lab: Lab) -> None:
    lab.cluster.broken.add(D1)


def _another(lab: Lab) -> None:
    lab.cluster.run(SANDBOX, "svc", D2)


def _absent(lab: Lab) -> None:
    lab.cluster.objects.clear()


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (
            _not_ready,
            "0 pods are ready in sandbox (required: at least 1); /readyz answers 503 in sandbox (required: 200)",
        ),
        (_another, "sandbox runs sha256:222222222222… (required: sha256:111111111111…)"),
        (_absent, "svc is not deployed in sandbox (required: at least 1 ready pods)"),
    ],
)
def test_health_denies(lab: Lab, trouble: Callable[[Lab], None], reason: str) -> None:
    trouble(lab)
    verdict = lab.decide("health")
    assert (verdict.verdict, verdict.reason) == ("deny", reason)


def test_health_cannot_tell_when_the_api_server_is_down(lab: Lab) -> None:
    lab.cluster.down = True
    with pytest.raises(ClusterUnavailable):
        lab.decide("health")


# chain


def test_chain_allows_an_intact_ledger(lab: Lab) -> None:
    lab.built(D1, "0" * 64)
    verdict = lab.decide("chain")
    assert verdict.verdict == "allow"
    assert verdict.observed["size"] == 1


def test_chain_denies_when_an_object_is_missing(lab: Lab) -> None:
    kept = lab.evidence.store(b"report", "text/plain")
    lab.evidence.record("build", {"service": "svc", "archive": dict(kept)}, type="validation")
    lab.evidence.ledger.objects.path(kept["sha256"]).unlink()
    verdict = lab.decide("chain")
    assert verdict.verdict == "deny"
    assert verdict.reason.startswith("the ledger is incomplete (required: intact): ")


# all together


def test_an_api_server_that_is_down_defers_and_the_other_gates_still_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    bench.cluster.run(SANDBOX, "svc", D1)
    bench.promoter.request("svc", None, "tester")
    bench.cluster.down = True
    entries, changed = bench.promoter.evaluate("svc", Scanners(RULES, python=sys.executable), REQUIRED_GATES)
    said: dict[str, Any] = {entry.data["gate"]: entry.data["verdict"] for entry in entries}
    assert changed
    assert said == {"provenance": "defer", "sast": "deny", "coverage": "deny", "health": "defer", "chain": "allow"}
    assert [entry.type for entry in entries] == ["validation"] * 5
    again, changed = bench.promoter.evaluate("svc", Scanners(RULES), REQUIRED_GATES)
    assert ([entry.hash for entry in again], changed) == ([entry.hash for entry in entries], False)
