# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Ids are found through the index, never believed from it; damaged, stale or gone it is made anew."""

from __future__ import annotations

import os
import random
import shutil
import uuid
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    EntryConflict,
    Ledger,
    index,
    runs,
    store,
)

from .conftest import METADATA, ORIGIN


def _item(id: str, **data: Any) -> dict[str, Any]:
    return {"type": "validation", "event": "sast", "data": data, "metadata": METADATA, "id": id}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MEMORY", 8)
    monkeypatch.setattr(index, "_BATCH", 64)
    monkeypatch.setattr(runs, "_PIECE_BITS", 4)


@pytest.fixture
def filled(small: None, ledger: Ledger) -> tuple[Ledger, list[str]]:
    """A ledger of 300 entries, written in groups and one by one."""
    ids = [str(uuid.uuid4()) for _round in range(300)]
    place = 0
    for size in [1, 40, 3, 9, 1, 1, 100, 7, 8, 30, 100]:
        ledger.append_many([_item(id, number=number) for number, id in enumerate(ids[place : place + size], place)])
        place += size
    return ledger, ids


def _runs(ledger: Ledger) -> list[Path]:
    return sorted((ledger.path / "index").iterdir())


def _check(ledger: Ledger, ids: list[str]) -> None:
    for number, id in enumerate(ids):
        found = ledger.find(id)
        assert found is not None and (found.id, found.sequence) == (id, number)
    assert ledger.find(str(uuid.uuid4())) is None


def test_every_id_is_found_by_whoever_looks(filled: tuple[Ledger, list[str]]) -> None:
    ledger, ids = filled
    _check(ledger, ids)
    _check(Ledger.open(ledger.path), ids)
    assert 1 <= len(_runs(ledger)) <= 12


def test_runs_are_merged_and_follow_each_other(filled: tuple[Ledger, list[str]]) -> None:
    ledger, _ids = filled
    spans = [tuple(int(part) for part in path.stem.split("-")) for path in _runs(ledger)]
    assert spans[0][0] == 0
    assert all(first[1] == second[0] for first, second in pairwise(spans))
    assert len(spans) < 300 / 8 / 2


def test_an_id_that_the_index_knows_is_not_written_twice(filled: tuple[Ledger, list[str]]) -> None:
    ledger, ids = filled
    fresh = Ledger.open(ledger.path)
    assert not fresh.append(**_item(ids[5], number=5)).changed
    with pytest.raises(EntryConflict):
        fresh.append(**_item(ids[5], number=6))


def test_a_lookup_reads_little(filled: tuple[Ledger, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, ids = filled
    fresh = Ledger.open(ledger.path)
    read = []
    real = os.pread

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        data = real(descriptor, length, offset)
        read.append(len(data))
        return data

    monkeypatch.setattr(store.os, "pread", pread)
    assert fresh.find(ids[0]) is not None
    assert sum(read) < ledger.entries_path.stat().st_size / 3


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in range(0, len(data), 7):
        data[place] ^= 0x10
    path.write_bytes(bytes(data))


def _flip_records(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in range(128, len(data)):
        data[place] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "damage",
    [
        lambda paths: [path.unlink() for path in paths],
        lambda paths: paths[0].unlink(),
        lambda paths: [_flip(path) for path in paths],
        lambda paths: [_flip_records(path) for path in paths],
        lambda paths: [path.write_bytes(b"") for path in paths],
        lambda paths: [path.write_bytes(path.read_bytes()[:-24]) for path in paths],
        lambda paths: paths[0].with_name("0000000000000000-9999999999999999.ids").write_bytes(paths[0].read_bytes()),
        lambda paths: paths[-1].with_suffix(".new").write_bytes(b"half"),
    ],
)
def test_damage_is_noticed_and_mended(filled: tuple[Ledger, list[str]], damage: Callable[[list[Path]], Any]) -> None:
    ledger, ids = filled
    damage(_runs(ledger))
    _check(Ledger.open(ledger.path), ids)  # A reader writes nothing, and finds everything.
    writer = Ledger.open(ledger.path)
    more = [str(uuid.uuid4()) for _round in range(20)]
    for number, id in enumerate(more, len(ids)):
        assert not writer.append(**_item(ids[3], number=3)).changed
        assert writer.append(**_item(id, number=number)).changed
    _check(Ledger.open(ledger.path), ids + more)
    for path in _runs(ledger):
        start, end = (int(part) for part in path.stem.split("-"))
        runs.Run.open(path, start, end).close()


def test_the_index_of_another_ledger_is_not_believed(filled: tuple[Ledger, list[str]], tmp_path: Path) -> None:
    ledger, ids = filled
    other = Ledger.create(tmp_path / "other", ORIGIN)
    names = [str(uuid.uuid4()) for _round in range(300)]
    other.append_many([_item(id, number=number) for number, id in enumerate(names)])
    shutil.rmtree(other.path / "index")
    shutil.copytree(ledger.path / "index", other.path / "index")
    _check(Ledger.open(other.path), names)
    assert Ledger.open(other.path).find(ids[0]) is None


def test_a_reader_keeps_up_with_a_writer(small: None, ledger: Ledger) -> None:
    reader = Ledger.open(ledger.path)
    for number in range(60):
        id = str(uuid.uuid4())
        assert reader.find(id) is None
        ledger.append(**_item(id, number=number))
        assert reader.find(id) is not None


def test_an_index_that_cannot_be_written_does_not_stop_an_append(small: None, ledger: Ledger) -> None:
    (ledger.path / "index").write_text("in the way")
    ids = [str(uuid.uuid4()) for _round in range(40)]
    for number, id in enumerate(ids):
        ledger.append(**_item(id, number=number))
    _check(ledger, ids)


def test_random_records_are_all_there_after_merges(tmp_path: Path, small: None) -> None:
    chooser = random.Random(4)
    parts, made, start = [], {}, 0
    for number in range(5):
        pairs = sorted((chooser.randbytes(16), start + place) for place in range(chooser.choice([1, 17, 300])))
        made.update(dict(pairs))
        path = tmp_path / f"{number}.ids"
        parts.append(
            runs.write(path, start, start + 300, "0" * 64, [key + offset.to_bytes(8, "big") for key, offset in pairs])
        )
        start += 300
    merged = runs.merge(tmp_path / "all.ids", parts)
    assert merged.count == len(made)
    assert all(merged.find(key) == [offset] for key, offset in made.items())
    assert merged.find(b"\0" * 16) == []
