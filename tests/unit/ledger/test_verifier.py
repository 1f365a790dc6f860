# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The program for strangers is a second implementation: it has to agree with ours on everything."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils import verifier
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.proofs import inclusion_proof
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    Ledger,
    anchor,
    canonical,
    entry,
    heads,
    repair,
    verify,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.verifier import golden_goose_verify as stranger
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import METADATA
from .second_place import Memory
from .test_anchor import fill, sign

OF_OURS = {"intact": 0, "broken": 1, "incomplete": 3, "nothing_to_verify": 4}


@pytest.fixture
def signed(ledger: Ledger) -> Ledger:
    """300 entries, 297 of them signed at two sizes."""
    second = Memory()
    fill(ledger, 5)
    sign(ledger, second)
    fill(ledger, 291)
    sign(ledger, second)
    fill(ledger, 3)
    return ledger


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / verifier.NAME
    path.write_bytes(verifier.program())
    path.chmod(0o755)
    return path


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it where nothing of ours can be imported."""
    command = [sys.executable, "-I", str(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", timeout=60)


def test_it_stands_alone(program: Path) -> None:
    text = program.read_text()
    assert text.startswith("#!/usr/bin/env python3\n")
    assert "ansible_collections" not in text
    assert "import_module" not in text
    assert verifier.program() == verifier.program()


def test_status_tells_the_states_apart(signed: Ledger, program: Path, tmp_path: Path) -> None:
    key = str(heads.keys(signed.path)[0])
    done = run(program, str(signed.path), "--key", key)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "intact"), done.stdout + done.stderr
    assert run(program, str(tmp_path / "absent")).returncode == 4
    empty = Ledger.create(tmp_path / "empty", "example.test/empty")
    assert run(program, str(empty.path)).returncode == 4
    assert run(program).returncode == 2
    (signed.path / "tile/0/000").unlink()
    assert run(program, str(signed.path), "--key", key).returncode == 3
    lines = signed.entries_path.read_bytes().splitlines(keepends=True)
    signed.entries_path.write_bytes(b"".join(lines[:200]))
    done = run(program, str(signed.path), "--key", key)
    assert done.returncode == 1 and "entry 200" in done.stdout


def test_it_tells_of_a_loss_that_was_accepted(signed: Ledger, program: Path) -> None:
    key = str(heads.keys(signed.path)[0])
    lines = signed.entries_path.read_bytes().splitlines(keepends=True)
    signed.entries_path.write_bytes(b"".join([*lines[:298], lines[299]]))
    repair(signed.path, None, METADATA, accept_loss=True)
    done = run(program, str(signed.path), "--key", key)
    sentence = "entry 298 says that 2 entries after it were lost: a repair gave them up"
    assert done.returncode == 0 and sentence in done.stdout.splitlines(), done.stdout
    report = verify(signed.path)
    assert (report.state, report.lost, report.losses) == ("intact", 2, [sentence]) and sentence in report.sentence()


def test_both_count_the_same_losses(signed: Ledger, program: Path) -> None:
    """Whatever entries say, sound or not: of this segment, of others, taken back, or nonsense."""
    head = "a" * 64
    about: list[dict[str, Any]] = [
        {"kept": 1, "head": head, "lost": {"count": 2}},
        {"kept": 1, "head": head, "lost": None},
        {"kept": 1, "head": head, "lost": {"count": True}},
        {"kept": "1", "head": head, "lost": {"count": 3}},
        {"segment": 1, "kept": 1, "head": head, "lost": {"count": 4}},
        {"segment": 2, "kept": 1, "head": head, "lost": {"count": 5}},
        {"segment": 0, "kept": 1, "head": head, "lost": {"count": 6}},
        {"segment": "1", "kept": 1, "head": head, "lost": {"count": 7}},
        {"kept": 1, "head": head, "lost": {"count": 8}},
        {"kept": 1, "head": 1, "lost": {"count": 9}},
        {"kept": 1, "head": head, "lost": [1]},
        {"lost": {"count": 0}},
    ]
    for data in about:
        signed.append(type="validation", event="repaired", data=data, metadata=METADATA)
    report = verify(signed.path)
    told = [line for line in run(program, str(signed.path)).stdout.splitlines() if "a repair gave them up" in line]
    assert (report.lost, report.losses) == (2 + 4 + 8, told)


def test_without_a_key_it_says_so(signed: Ledger, program: Path) -> None:
    done = run(program, str(signed.path))
    assert done.returncode == 0 and "compare it with what you were told" in done.stdout


def test_another_key_is_not_believed(signed: Ledger, program: Path) -> None:
    other = str(heads.checkpoint.Key(signed.origin, Memory(seed=3).public_keys()[0][1]))
    done = run(program, str(signed.path), "--key", other)
    assert done.returncode == 1 and "no known key" in done.stdout


def test_one_entry_is_verified_offline_in_under_a_second(signed: Ledger, program: Path, tmp_path: Path) -> None:
    key = str(heads.keys(signed.path)[0])
    for sequence in (0, 5, 255, 296):
        exported = inclusion_proof(signed, sequence)
        assert exported is not None
        (tmp_path / "entry").write_bytes(exported.entry.line + b"\n")
        (tmp_path / "proof").write_text(exported.text)
        arguments = ("--entry", str(tmp_path / "entry"), "--proof", str(tmp_path / "proof"), "--key", key)
        began = time.perf_counter()
        done = run(program, *arguments)
        assert time.perf_counter() - began < 1
        assert done.returncode == 0, done.stdout + done.stderr
        (tmp_path / "proof").write_text(exported.text.replace(f"index {sequence}\n", f"index {sequence + 1}\n"))
        assert run(program, *arguments).returncode == 1
    assert inclusion_proof(signed, 298) is None


def test_it_goes_on_from_a_trusted_checkpoint(signed: Ledger, program: Path, tmp_path: Path) -> None:
    key = str(heads.keys(signed.path)[0])
    for size in heads.sizes(signed.path):
        trusted = str(signed.path / "checkpoints" / str(size))
        done = run(program, str(signed.path), "--key", key, "--from", trusted)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{300 - size} entries verified" in done.stdout
    # An older ledger that was put back does not have the trusted entry.
    lines = signed.entries_path.read_bytes().splitlines(keepends=True)
    signed.entries_path.write_bytes(b"".join(lines[:100]))
    assert run(program, str(signed.path), "--key", key, "--from", trusted).returncode == 1


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
@settings(max_examples=300)
def test_both_write_the_same_canonical_json(value: Any) -> None:
    try:
        ours = canonical.encode(value)
    except canonical.NotCanonical:
        return
    assert stranger.canonical(value).encode() == ours


@given(st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_both_judge_a_damaged_line_alike(data: st.DataObject) -> None:
    line = entry.seal(
        sequence=7,
        id="7b3f6c1e-0a55-5e0c-9d57-4b8f6a2f9c11",
        timestamp="2026-01-01T00:00:00.000Z",
        type="validation",
        data={"event": "sast", "number": 1.5, "text": "ü\u2028"},
        metadata=METADATA,
        previous_hash="0" * 64,
    ).line
    damaged = bytearray(line)
    for _change in range(data.draw(st.integers(0, 3))):
        where = data.draw(st.integers(0, len(damaged) - 1))
        damaged[where] = data.draw(st.integers(0, 255))
    try:
        entry.parse(bytes(damaged))
        ours = True
    except entry.BadLine:
        ours = False
    try:
        stranger.entry_of(bytes(damaged))
        theirs = True
    except stranger.Broken:
        theirs = False
    assert ours == theirs == (bytes(damaged) == line)


DAMAGE = ["flip entry", "drop line", "repeat line", "swap lines", "cut tail", "torn tail", "insert line"]


@given(st.sampled_from(DAMAGE), st.integers(0, 298), st.integers(0, 7))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_both_judge_a_damaged_ledger_alike(signed: Ledger, damage: str, number: int, bit: int) -> None:
    original = signed.entries_path.read_bytes()
    lines = original.splitlines(keepends=True)
    if damage == "flip entry":
        changed = bytearray(lines[number])
        changed[len(changed) // 2] ^= 1 << bit
        lines[number] = bytes(changed)
    elif damage == "drop line":
        del lines[number]
    elif damage == "repeat line":
        lines.insert(number, lines[number])
    elif damage == "swap lines":
        lines[number], lines[number + 1] = lines[number + 1], lines[number]
    elif damage == "cut tail":
        del lines[number:]
    elif damage == "torn tail":
        lines[-1] = lines[-1][: 1 + number]
    else:
        lines.insert(number, b"{}\n")
    try:
        signed.entries_path.write_bytes(b"".join(lines))
        ours = verify(signed.path).state
        theirs = stranger.main([str(signed.path)])
        # Entries after the last checkpoint may be missing without a trace, as far as the folder alone can tell.
        unseen = damage in ("cut tail", "drop line") and number >= 297
        assert ours != "intact" or (unseen and (damage == "cut tail" or number == 299))
        assert theirs == OF_OURS[ours], (ours, damage)
    finally:
        signed.entries_path.write_bytes(original)


def test_json_is_for_programs(signed: Ledger, program: Path) -> None:
    said = json.loads(run(program, str(signed.path), "--json").stdout)
    assert said["state"] == "intact" and not said["wrong"]


def test_objects_are_checked_when_asked(ledger: Ledger, program: Path) -> None:
    reference = ledger.objects.put_bytes(b"report", "text/plain")
    ledger.append(type="validation", event="sast", data={"object": dict(reference)}, metadata=METADATA)
    anchor(ledger, Memory(), METADATA)
    assert run(program, str(ledger.path), "--objects").returncode == 0
    ledger.objects.path(reference["sha256"]).write_bytes(b"reporT")
    assert run(program, str(ledger.path), "--objects").returncode == 3
