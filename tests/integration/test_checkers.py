# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strangers' programs verify a ledger of ours, and refuse it when it was damaged."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.proofs import inclusion_proof
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    Ledger,
    anchor,
    freeze,
    heads,
    segments,
    verify,
)

from tests.unit.ledger.second_place import Memory
from tests.vectors.damage import BAD_SEGMENTS, VECTORS, damaged

from .checkers import Checker, build, fsck_says

ORIGIN = "golden-goose.test/sandbox"
METADATA = {"sprint": "1", "provisional": True}


@pytest.fixture(scope="module")
def sumdb(tmp_path_factory: pytest.TempPathFactory) -> Checker:
    return build("sumdb", tmp_path_factory.mktemp("go"))


@pytest.fixture(scope="module")
def torchwood(tmp_path_factory: pytest.TempPathFactory) -> Checker:
    return build("torchwood", tmp_path_factory.mktemp("go"))


@pytest.fixture(scope="module")
def fsck(tmp_path_factory: pytest.TempPathFactory) -> Checker:
    return build("fsck", tmp_path_factory.mktemp("go"))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """600 entries, signed at three sizes."""
    ledger, second = Ledger.create(tmp_path_factory.mktemp("ledger") / "l", ORIGIN), Memory()
    for count in (3, 300, 296):
        for number in range(count):
            ledger.append(type="validation", event="sast", data={"number": number}, metadata=METADATA)
        anchor(ledger, second, METADATA)
    assert (verify(ledger.path).state, verify(ledger.path).signed) == ("intact", 600)
    return ledger


@pytest.fixture
def ledger(original: Ledger, tmp_path: Path) -> Path:
    """A copy to do damage to."""
    shutil.copytree(original.path, tmp_path / "l")
    return tmp_path / "l"


def _key(ledger: Path) -> str:
    return str(heads.keys(ledger)[0])


def test_sumdb_verifies_every_entry_and_that_the_log_only_grew(sumdb: Checker, ledger: Path) -> None:
    for older in heads.sizes(ledger):
        said = sumdb.run(str(ledger), _key(ledger), str(ledger / "checkpoints" / str(older)))
        assert (said.returncode, said.stdout) == (0, "verified 600 entries\n"), said.stderr


def test_fsck_verifies(fsck: Checker, ledger: Path) -> None:
    assert fsck_says(fsck, ledger, _key(ledger))


def _flip(path: Path, position: int = 40) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "bundle": lambda ledger: _flip(ledger / "tile/entries/001"),
    "partial bundle": lambda ledger: _flip(ledger / "tile/entries/002.p/88"),
    "leaves": lambda ledger: _flip(ledger / "tile/0/001"),
    "upper tile": lambda ledger: _flip(ledger / "tile/1/000.p/2"),
    "signature": lambda ledger: _flip(ledger / "checkpoint", -10),
    "size": lambda ledger: _flip(ledger / "checkpoint", len(ORIGIN) + 3),
    "missing tile": lambda ledger: (ledger / "tile/0/000").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_they_refuse_what_was_damaged_and_so_do_we(sumdb: Checker, fsck: Checker, ledger: Path, damage: str) -> None:
    DAMAGE[damage](ledger)
    key = _key(ledger)
    assert sumdb.run(str(ledger), key).returncode == 1
    # When the time is up it has not said that all is well.
    with contextlib.suppress(subprocess.TimeoutExpired):
        assert not fsck_says(fsck, ledger, key)
    assert verify(ledger).state in ("broken", "incomplete")


def test_an_edited_line_is_refused(sumdb: Checker, ledger: Path) -> None:
    file = ledger / "entries.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"number":7}', b'"number":8}', 1))
    assert "is not line" in sumdb.run(str(ledger), _key(ledger)).stderr


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """Two segments, of 302 and 263 entries."""
    ledger, second = Ledger.create(tmp_path_factory.mktemp("frozen") / "l", ORIGIN), Memory()
    for segment, count in ((2, 300), (3, 260)):
        for number in range(count):
            ledger.append(type="validation", event="sast", data={"number": number}, metadata=METADATA)
        freeze(ledger, second, METADATA, segment)
    return ledger


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_segment_is_a_log_of_its_own(
    sumdb: Checker, fsck: Checker, frozen: Ledger, tmp_path: Path, number: int
) -> None:
    shutil.copytree(frozen.root, tmp_path / "l")
    segment = segments.place(tmp_path / "l", number)
    key = _key(segment)
    assert key.startswith(f"{ORIGIN}+" if number == 1 else f"{ORIGIN}/segment/{number}+")
    size = heads.sizes(segment)[-1]
    said = sumdb.run(str(segment), key, str(segment / "checkpoints" / str(heads.sizes(segment)[0])))
    assert (said.returncode, said.stdout) == (0, f"verified {size} entries\n"), said.stderr
    assert fsck_says(fsck, segment, key)
    # One segment is not another, and none is believed when it was damaged.
    other = _key(segments.place(tmp_path / "l", number % 3 + 1))
    assert sumdb.run(str(segment), other).returncode == 1
    assert not fsck_says(fsck, segment, other)
    _flip(next(path for path in (segment / "tile/0").rglob("*") if path.is_file()))
    assert sumdb.run(str(segment), key).returncode == 1
    with contextlib.suppress(subprocess.TimeoutExpired):
        assert not fsck_says(fsck, segment, key)
    assert verify(tmp_path / "l").state in ("broken", "incomplete")


@pytest.mark.parametrize("vector", BAD_SEGMENTS, ids=lambda vector: vector["name"])
def test_the_vectors_one_log_each(sumdb: Checker, tmp_path: Path, vector: dict[str, Any]) -> None:
    """What is wrong within one segment they see in its log; what is between segments only who looks at all of them."""
    root, base = damaged(vector, tmp_path / "l"), heads.keys(VECTORS / "segments")[0]
    checked = 0
    for number in segments.numbers(root):
        folder = segments.place(root, number)
        if not (folder / "checkpoint").is_file():
            continue
        key = base.of((folder / "checkpoint").read_text().partition("\n")[0])
        said = sumdb.run(str(folder), str(key))
        assert said.returncode == (1 if number == vector["log"] else 0), (number, said.stdout, said.stderr)
        checked += 1
    assert checked > 0


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_good_vector_one_log_each(fsck: Checker, sumdb: Checker, number: int) -> None:
    folder = segments.place(VECTORS / "segments", number)
    assert fsck_says(fsck, folder, _key(folder))
    assert sumdb.run(str(folder), _key(folder)).returncode == 0


def test_another_key_is_refused(sumdb: Checker, fsck: Checker, ledger: Path) -> None:
    other = str(heads.checkpoint.Key(ORIGIN, Memory(seed=5).public_keys()[0][1]))
    assert sumdb.run(str(ledger), other).returncode == 1
    assert not fsck_says(fsck, ledger, other)


def test_torchwood_verifies_a_proof(torchwood: Checker, original: Ledger, tmp_path: Path) -> None:
    key = _key(original.path)
    for sequence in (0, 3, 255, 256, 599):
        exported = inclusion_proof(original, sequence)
        (tmp_path / "entry").write_bytes(exported.entry.line + b"\n")
        (tmp_path / "proof").write_text(exported.text)
        said = torchwood.run(str(tmp_path / "entry"), str(tmp_path / "proof"), key)
        assert (said.returncode, said.stdout) == (0, "verified\n"), said.stderr
        # Of another entry, of another place, and with a hash that was flipped, it is refused.
        (tmp_path / "entry").write_bytes(exported.entry.line.replace(b'"sprint":"1"', b'"sprint":"2"'))
        assert torchwood.run(str(tmp_path / "entry"), str(tmp_path / "proof"), key).returncode == 1
        (tmp_path / "entry").write_bytes(exported.entry.line)
        (tmp_path / "proof").write_text(exported.text.replace(f"index {sequence}\n", f"index {sequence + 1}\n"))
        assert torchwood.run(str(tmp_path / "entry"), str(tmp_path / "proof"), key).returncode == 1
