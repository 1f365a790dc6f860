# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A promotion that begins in one segment of the ledger and ends in another is one promotion everywhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence import anchoring
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.anchoring import (
    checkpoint,
    compare_report,
    freeze_ledger,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.packaging import build_distribution
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.proofs import prove
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.repairing import repair_evidence
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.status import status
from ansible_collections.golden_goose.compliance.plugins.module_utils.files import sha256_file
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    Entry,
    Ledger,
    LedgerError,
    attributes,
    freeze,
    verify,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.evidence import Evidence
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import REQUIRED_GATES
from ansible_collections.golden_goose.compliance.plugins.module_utils.verifier import golden_goose_verify as stranger

from tests.unit.ledger.second_place import Memory

from .conftest import METADATA, SERVICE, World


@pytest.fixture
def second() -> Memory:
    return Memory()


@pytest.fixture
def spread(world: World, second: Memory) -> Entry:
    """Built in segment 1, requested and judged in segment 2, completed in segment 3."""
    digest = world.deploy()
    freeze(world.ledger, second, METADATA, 2)
    promotion = world.request(digest)
    for gate in REQUIRED_GATES:
        world.gate(promotion, digest, gate)
    freeze(world.ledger, second, METADATA, 3)
    manifests = dict(world.ledger.objects.put_bytes(b"[]", "application/json"))
    world.step(promotion, digest, "started", previous_digest=None, manifests=manifests)
    completed = world.step(promotion, digest, "completed", previous_digest=None, stage="compliant")
    checkpoint(world.ledger, second, METADATA)
    return completed


def _package(world: World) -> Any:
    return build_distribution(world.ledger, SERVICE, world.packages, world.images, METADATA)


def test_a_package_has_the_lines_of_all_segments(world: World, spread: Entry) -> None:
    package = _package(world)
    assert package.hash_chain_id == spread.hash
    document = json.loads((package.path / "evidence/audit_chain.json").read_text())
    assert document["origin"] == "example.test/sandbox/segment/3"
    assert [part["origin"] for part in document["before"]] == ["example.test/sandbox", "example.test/sandbox/segment/2"]
    lines = [line for part in (*document["before"], document) for line in part["lines"]]
    assert lines == [found.line.decode() for found in world.ledger.entries() if found.place <= spread.place]
    mine = [part["sequences_of_this_promotion"] for part in (*document["before"], document)]
    assert [len(some) for some in mine] == [2, 1 + len(REQUIRED_GATES), 2]
    assert stranger.main([str(package.path)]) == stranger.INTACT
    key = prove(world.ledger, id=spread.id)["key"]
    assert stranger.main([str(package.path), "--key", key]) == stranger.INTACT
    assert _package(world).changed is False


def _relabel(package: Path) -> None:
    """Put the sums right again, as a forger would."""
    sums = package / "SHA256SUMS"
    names = [line.partition("  ")[2] for line in sums.read_text().splitlines()]
    sums.write_text("".join(f"{sha256_file(package / name)}  {name}\n" for name in names))


DAMAGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "a segment is left out": lambda d: d["before"].pop(0),
    "the middle one is left out": lambda d: d["before"].pop(1),
    "the first two are exchanged": lambda d: d["before"].reverse(),
    "the tail of one is cut": lambda d: d["before"][0]["lines"].pop(),
    "a line is left out": lambda d: d["before"][1]["lines"].pop(2),
    "another origin": lambda d: d["before"][0].update(origin="example.test/other"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_package_is_refused(world: World, spread: Entry, damage: str) -> None:
    package = _package(world).path
    file = package / "evidence/audit_chain.json"
    document = json.loads(file.read_text())
    DAMAGE[damage](document)
    file.write_text(json.dumps(document))
    _relabel(package)
    assert stranger.main([str(package)]) == stranger.BROKEN


@pytest.mark.parametrize(("keep", "sentence"), [(0, "no evidence of: build, deployed"), (2, "segment 1 were lost")])
def test_a_package_tells_of_what_a_frozen_segment_lost(
    world: World, spread: Entry, second: Memory, keep: int, sentence: str
) -> None:
    path = world.ledger.root / "entries.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:keep]))
    shutil.rmtree(world.ledger.root / "tile")
    repair_evidence(world.ledger.root, None, METADATA, second=second, accept_loss=True)
    with pytest.raises(GoldenGooseError, match=sentence):
        _package(world)
    world.promote(world.deploy(b"another"))
    checkpoint(world.ledger, second, METADATA)
    package = _package(world)
    assert stranger.main([str(package.path)]) == stranger.INTACT
    file = package.path / "evidence/audit_chain.json"
    document = json.loads(file.read_text())
    assert len(document["before"][0]["lines"]) == keep
    document["before"][1]["lines"].pop()
    file.write_text(json.dumps(document))
    _relabel(package.path)
    assert stranger.main([str(package.path)]) == stranger.BROKEN


def test_the_status_is_of_all_segments(world: World, spread: Entry) -> None:
    [row] = status(world.ledger).rows
    assert (row.service, row.evidence, row.stage) == (SERVICE, spread.hash, "sandbox\u2192compliant")


def test_an_entry_of_an_earlier_segment_has_its_proof_there(world: World, spread: Entry, tmp_path: Path) -> None:
    built = next(found for found in world.ledger.entries() if found.event == "build")
    by_id = prove(world.ledger, id=built.id)
    assert (by_id["segment"], by_id["sequence"]) == (1, 0)
    assert prove(world.ledger, sequence=0, segment=1) == by_id
    assert prove(world.ledger, sequence=0)["segment"] == 3
    (tmp_path / "entry").write_text(by_id["entry"])
    (tmp_path / "proof").write_text(by_id["proof"])
    files = ["--entry", str(tmp_path / "entry"), "--proof", str(tmp_path / "proof")]
    assert stranger.main([*files, "--key", by_id["key"]]) == stranger.INTACT
    assert prove(world.ledger, since=3, segment=1)["segment"] == 1
    with pytest.raises(LedgerError, match="has no segment 7"):
        prove(world.ledger, sequence=0, segment=7)


def test_the_engine_trusts_a_copy_of_any_segment(world: World, second: Memory, tmp_path: Path) -> None:
    digest = world.deploy()
    checkpoint(world.ledger, second, METADATA, copy=tmp_path / "copy")
    evidence = Evidence(world.ledger, METADATA, tmp_path / "copy")
    assert evidence.require_sound().intact
    freeze_ledger(world.ledger, second, METADATA, 2)
    assert evidence.require_sound().segments == 2
    freeze_ledger(world.ledger, second, METADATA, 2, copy=tmp_path / "copy")
    world.request(digest)
    assert evidence.require_sound().intact
    assert Ledger.open(tmp_path / "copy").number == 2


def test_check_mode_writes_nothing(world: World, second: Memory, tmp_path: Path) -> None:
    world.deploy()
    checkpoint(world.ledger, second, METADATA)
    before = {path: path.read_bytes() for path in world.ledger.root.rglob("*") if path.is_file()}
    kept = dict(second.kept)
    done = freeze_ledger(world.ledger, second, METADATA, 2, dry_run=True)
    assert (done["changed"], done["segment"]) == (True, 1)
    assert {path: path.read_bytes() for path in world.ledger.root.rglob("*") if path.is_file()} == before
    assert second.kept == kept
    with pytest.raises(GoldenGooseError, match="cannot be in segment 3"):
        freeze_ledger(world.ledger, second, METADATA, 3, dry_run=True)
    results = [freeze_ledger(world.ledger, second, METADATA, 2, copy=tmp_path / "c", dry_run=d) for d in (False, True)]
    assert [done["changed"] for done in results] == [True, False]
    assert freeze_ledger(world.ledger, second, METADATA, 2, copy=tmp_path / "c")["changed"] is False


def test_the_heads_of_all_segments_are_compared(
    world: World, spread: Entry, second: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "approle").touch()
    monkeypatch.setattr(anchoring, "vault_heads", lambda _file: second)

    def kinds() -> list[str]:
        report = verify(world.ledger.root)
        assert compare_report(report, world.ledger.root, tmp_path / "approle") is None
        return [problem.kind for problem in report.problems]

    assert kinds() == []
    version, text = second.kept["example.test/sandbox"]
    document = json.loads(text)
    document["hash"] = "0" * 64
    second.kept["example.test/sandbox"] = (version, json.dumps(document))
    assert kinds() == ["predecessor"]
    second.kept["example.test/sandbox"] = (version, text)
    (world.ledger.root / "segments/3").rename(tmp_path / "gone")
    assert kinds() == ["not_continued", "segment_missing"]


def test_a_new_segment_is_append_only_where_the_first_is_to_be(world: World, second: Memory) -> None:
    (world.ledger.root / attributes.MARK).touch()
    try:
        freeze(world.ledger, second, METADATA, 2)
        assert (world.ledger.path / attributes.MARK).exists()
        assert attributes.is_set(world.ledger.entries_path) == attributes.is_set(world.ledger.root / "entries.jsonl")
    finally:
        attributes.release(world.ledger.root)
