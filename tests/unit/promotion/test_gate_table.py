# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of gates in docs/promotion-flow.md: what it quotes is what the gates say, word for word but for digests."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, tzinfo
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.gates import GATES, freeze, own_gate
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import Verdict
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.people import approve, veto
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.plan import (
    Plan,
    Requester,
    describe,
    keep_plan,
    seal,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.policy import OwnGate, Policy
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.sealing import planned_data
from ansible_collections.golden_goose.compliance.plugins.module_utils.services.model import load_service
from ansible_collections.golden_goose.compliance.plugins.module_utils.services.source import source_digest

from .conftest import D1, D2, signing
from .test_gates import CODE, HALF, SHELL, Lab
from .test_more_gates import known, lab_with_image, osv
from .test_people import BOB

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "promotion-flow.md"
_ROW = re.compile(r"\| (?:`(?P<gate>[a-z]+)`|(?P<own>own)) \| (?P<allows>[^|]+) \| (?P<says>[^|]+) \|")
# An artifact as its digest (sha256:111111111111…), a plan as its hash, an object of the ledger as the file that its
# digest names.
_DIGEST = re.compile(r"sha256:[0-9a-f]{12}…|(?<=the plan )[0-9a-f]{12}|\S+/objects/sha256/\S+")


def table() -> dict[str, str]:
    """Return the example sentence of each row, by gate."""
    section = DOCUMENT.read_text().partition("| Gate | Allows when | For example, it says |\n")[2].partition("\n\n")[0]
    rows = [_ROW.fullmatch(line) for line in section.splitlines()[1:]]
    assert all(rows), section
    return {row["gate"] or row["own"]: row["says"] for row in rows if row}


def same(sentence: str) -> str:
    """Return the sentence without its digests."""
    return _DIGEST.sub("<digest>", sentence)


def sealed(lab: Lab, policy: Policy) -> Plan:
    plan = seal({"svc": describe(load_service(lab.folder), D1, D1)}, policy, Requester("alice", "e-alice"), ["svc"])
    keep_plan(lab.evidence, plan)
    data = planned_data(plan) | {"ledger": lab.evidence.origin}
    lab.evidence.record("planned", data | {"signed": signing("e-alice")("planned", data, "x")})
    return plan


# One situation for each row: what the gate of that name says there is what the table quotes.


def _another_in_sandbox(lab: Lab, tmp_path: Path) -> Verdict:
    lab.built(D1, source_digest(load_service(lab.folder)))
    lab.cluster.run("sandbox", "svc", D2)
    return lab.decide("provenance")


def _a_shell(lab: Lab, tmp_path: Path) -> Verdict:
    return lab.decide("sast", {"src/app.py": SHELL})


def _half_of_it_tested(lab: Lab, tmp_path: Path) -> Verdict:
    return lab.decide("coverage", {"src/code_under_test.py": CODE, "tests/test_code.py": HALF})


def _a_known_hole(lab: Lab, tmp_path: Path) -> Verdict:
    record = osv("PYSEC-2019-179", "PyPI", "flask", versions=["0.12.2"])
    image = lab_with_image(lab, tmp_path, "Metadata-Version: 2.1\nName: Flask\nVersion: 0.12.2\n\n")
    return known(image, tmp_path, record)


def _nothing_ready(lab: Lab, tmp_path: Path) -> Verdict:
    lab.cluster.broken.add(D1)
    return lab.decide("health")


def _no_base(lab: Lab, tmp_path: Path) -> Verdict:
    with (lab.folder / "service.yml").open("a") as file:
        file.write("dependencies: [base]\n")
    return lab.decide("dependencies")


def _vetoed(lab: Lab, tmp_path: Path) -> Verdict:
    veto(lab.evidence, BOB, D1, "it loses orders")
    return lab.decide("veto")


def _in_a_freeze(lab: Lab, tmp_path: Path) -> Verdict:
    window = {
        "name": "audit",
        "timezone": "Europe/Berlin",
        "from": "2026-12-20T00:00",
        "until": "2027-01-05T00:00",
    }
    policy = Policy(freezes=(window,))
    return lab.decide("freeze", policy=policy, plan=sealed(lab, policy))


def _one_approval(lab: Lab, tmp_path: Path) -> Verdict:
    policy = Policy(quorum=2)
    plan = sealed(lab, policy)
    approve(lab.evidence, BOB, plan.sha256)
    return lab.decide("approvals", policy=policy, plan=plan)


def _in_no_checkpoint(lab: Lab, tmp_path: Path) -> Verdict:
    for _number in range(41):
        lab.evidence.record("backup", {}, type="validation")
    lab.built(D1, "0" * 64)
    return lab.decide("anchored")


def _an_object_is_gone(lab: Lab, tmp_path: Path) -> Verdict:
    kept = lab.evidence.store(b"report", "text/plain")
    lab.evidence.record("build", {"service": "svc", "archive": dict(kept)}, type="validation")
    lab.evidence.ledger.objects.path(kept["sha256"]).unlink()
    return lab.decide("chain")


def _a_program_that_hangs(lab: Lab, tmp_path: Path) -> Verdict:
    program = tmp_path / "tickets.py"
    script = "import time\nprint('asking the tracker', flush=True)\ntime.sleep(60)\n"
    program.write_text(f"#!{sys.executable}\n{script}")
    program.chmod(0o755)
    gate = OwnGate("own", (str(program),), timeout=1, max_age=60)
    return lab.decide(own_gate(gate))


SITUATIONS: dict[str, Callable[[Lab, Path], Verdict]] = {
    "provenance": _another_in_sandbox,
    "sast": _a_shell,
    "coverage": _half_of_it_tested,
    "sbom": _a_known_hole,
    "health": _nothing_ready,
    "dependencies": _no_base,
    "veto": _vetoed,
    "freeze": _in_a_freeze,
    "approvals": _one_approval,
    "anchored": _in_no_checkpoint,
    "chain": _an_object_is_gone,
    "own": _a_program_that_hangs,
}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with ExitStack() as stack:
        yield Lab(tmp_path, stack)


def test_every_gate_has_a_row_and_every_row_is_a_gate() -> None:
    assert set(table()) == {*GATES, "own"} == set(SITUATIONS)


@pytest.mark.parametrize("gate", [*GATES, "own"])
def test_what_the_table_quotes_is_what_the_gate_says(
    lab: Lab, tmp_path: Path, gate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Christmas(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime(2026, 12, 24, 18, 0, tzinfo=tz)

    monkeypatch.setattr(sys.modules[freeze.__module__], "datetime", Christmas)
    verdict = SITUATIONS[gate](lab, tmp_path)
    assert (verdict.gate, verdict.verdict != "allow") == (gate, True)
    assert same(verdict.reason) == same(table()[gate])
    assert verdict.observed and verdict.required
