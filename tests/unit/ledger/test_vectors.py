# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The vectors in tests/vectors, tried with both implementations."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    Problem,
    heads,
    segments,
    verify,
    verify_segment,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger.checkpoint import parse as parse_checkpoint
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger.merkle import leaf_hash
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger.proof import (
    BadProof,
    check_consistency,
    check_inclusion,
    parse,
    parse_consistency,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.verifier import golden_goose_verify as stranger

from tests.vectors.damage import BAD_SEGMENTS, damaged

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
BAD = json.loads((VECTORS / "bad.json").read_text())
STATUS = {"intact": 0, "broken": 1, "incomplete": 3}


def test_the_good_ledger(tmp_path: Path) -> None:
    shutil.copytree(VECTORS / "ledger", tmp_path / "l")
    report = verify(tmp_path / "l")
    assert (report.state, report.size, report.signed) == ("intact", 262, 262)
    assert stranger.main([str(tmp_path / "l")]) == 0


@pytest.mark.parametrize("vector", BAD, ids=lambda vector: vector["name"])
def test_a_bad_ledger(tmp_path: Path, vector: dict[str, Any]) -> None:
    shutil.copytree(VECTORS / "ledger", tmp_path / "l")
    file = tmp_path / "l" / vector["file"]
    data = file.read_bytes()
    find, replace = vector["find"].encode(), vector["replace"].encode()
    assert find == b"$" or find in data
    file.write_bytes(data + replace if find == b"$" else data.replace(find, replace, 1))
    report = verify(tmp_path / "l")
    first = report.problems[0]
    assert (report.state, first.kind, first.sequence) == (vector["state"], vector["kind"], vector["sequence"])
    assert stranger.main([str(tmp_path / "l")]) == STATUS[vector["state"]]


def test_the_good_segments() -> None:
    report = verify(VECTORS / "segments")
    assert (report.state, report.size, report.signed, report.segments) == ("intact", 15, 15, 3)
    assert stranger.main([str(VECTORS / "segments")]) == 0
    for number in (1, 2, 3):
        assert verify_segment(segments.place(VECTORS / "segments", number)).intact


@pytest.mark.parametrize("vector", BAD_SEGMENTS, ids=lambda vector: vector["name"])
def test_a_ledger_with_bad_segments(tmp_path: Path, vector: dict[str, Any]) -> None:
    folder = damaged(vector, tmp_path / "l")
    report = verify(folder)
    first = report.problems[0] if report.problems else Problem(None, "", "")
    found = (report.state, first.kind or None, first.sequence, first.segment if first.kind else None, report.lost)
    assert found == (
        vector["state"],
        vector["kind"],
        vector["sequence"],
        vector["segment"],
        vector.get("lost", 0),
    ), report.problems
    assert stranger.main([str(folder)]) == STATUS[vector["state"]]
    key = str(heads.keys(VECTORS / "segments")[0])
    assert stranger.main([str(folder), "--key", key]) == STATUS[vector["state"]]


@pytest.mark.parametrize("sequence", [0, 3, 255, 256, 261])
def test_proofs(sequence: int) -> None:
    key = heads.keys(VECTORS / "ledger")[0]
    line = (VECTORS / "proofs" / f"{sequence}.json").read_bytes().removesuffix(b"\n")
    found = parse((VECTORS / "proofs" / f"{sequence}.tlog-proof").read_text())
    head = parse_checkpoint(found.checkpoint, [key])
    check_inclusion(leaf_hash(line), found.index, head.size, found.hashes, head.root)
    files = [str(VECTORS / "proofs" / f"{sequence}.{kind}") for kind in ("json", "tlog-proof")]
    assert stranger.main(["--entry", files[0], "--proof", files[1], "--key", str(key)]) == 0
    for wrong in (
        lambda: check_inclusion(leaf_hash(line + b" "), found.index, head.size, found.hashes, head.root),
        lambda: check_inclusion(leaf_hash(line), found.index ^ 1, head.size, found.hashes, head.root),
        lambda: check_inclusion(leaf_hash(line), found.index, head.size, found.hashes[:-1], head.root),
        lambda: check_inclusion(leaf_hash(line), found.index, head.size, [*found.hashes, bytes(32)], head.root),
        lambda: check_inclusion(leaf_hash(line), head.size, head.size, found.hashes, head.root),
    ):
        with pytest.raises(BadProof):
            wrong()


def test_consistency() -> None:
    folder, keys = VECTORS / "ledger", heads.keys(VECTORS / "ledger")
    old, hashes, note = parse_consistency((VECTORS / "proofs" / "consistency-4-262").read_text())
    head, older = parse_checkpoint(note, keys), heads.of_size(folder, old, keys)
    assert older is not None
    check_consistency(old, older.root, head.size, head.root, hashes)
    for wrong in (hashes[1:], hashes[:-1], [bytes(32), *hashes[1:]], [*hashes, bytes(32)], []):
        with pytest.raises(BadProof):
            check_consistency(old, older.root, head.size, head.root, wrong)
    with pytest.raises(BadProof):
        check_consistency(old, bytes(32), head.size, head.root, hashes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v1\nindex 0\n",
        "c2sp.org/tlog-proof@v2\nindex 0\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 01\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex -1\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 1\n!\n\nnote",
        "c2sp.org/tlog-proof@v1\nextra !\nindex 1\n\nnote",
        "c2sp.org/tlog-proof@v1\n\nnote",
    ],
)
def test_what_is_no_proof(text: str) -> None:
    with pytest.raises(BadProof):
        parse(text)
