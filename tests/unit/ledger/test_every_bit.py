# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""No bit of a signed ledger of 200 entries can be flipped unnoticed, and no line be moved, cut, doubled or added.

What looks at single lines or notes is tried with every bit; the whole verification with bits that hypothesis picks. Set
GOLDEN_GOOSE_EVERY_BIT=1 to try every bit of every line as well (about a minute) instead of every eighth line.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger, entry, heads, verify
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger.checkpoint import (
    BadCheckpoint,
    Key,
    parse,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import METADATA, ORIGIN
from .second_place import Memory
from .test_anchor import fill, sign

EVERY = os.environ.get("GOLDEN_GOOSE_EVERY_BIT") == "1"
COUNT = 200
FIXED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """200 entries, signed at two sizes, the last one at the end; ten of them with an object."""
    ledger, second = Ledger.create(tmp_path_factory.mktemp("bits") / "ledger", ORIGIN), Memory()
    for number in range(10):
        kept = ledger.objects.put_bytes(f"report {number}".encode() * 20, "text/plain")
        ledger.append(type="validation", event="sast", data={"object": dict(kept)}, metadata=METADATA)
    sign(ledger, second)
    fill(ledger, COUNT - 11)
    assert sign(ledger, second).size == COUNT
    assert verify(ledger.path).state == "intact"
    return ledger


def _flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_bit_of_a_line(ledger: Ledger) -> None:
    lines = ledger.entries_path.read_bytes().splitlines()
    tried = 0
    for line in lines if EVERY else lines[::8]:
        for bit in range(8 * len(line)):
            with pytest.raises(entry.BadLine):
                # A line feed within cuts the line in two; each part has to be refused as well.
                for part in _flipped(line, bit).split(b"\n"):
                    entry.parse(part)
            tried += 1
    print(f"{tried} bits of {len(lines)} lines")


def test_every_bit_of_the_checkpoint(ledger: Ledger) -> None:
    keys = heads.keys(ledger.path)
    note = (ledger.path / "checkpoint").read_bytes()
    for bit in range(8 * len(note)):
        try:
            parse(_flipped(note, bit).decode(), keys)
        except (BadCheckpoint, UnicodeDecodeError):
            continue
        pytest.fail(f"bit {bit} was not noticed")


def test_every_bit_of_a_key(ledger: Ledger) -> None:
    text = str(heads.keys(ledger.path)[0]).encode()
    note = (ledger.path / "checkpoint").read_text()
    for bit in range(8 * len(text)):
        try:
            parse(note, [Key.parse(_flipped(text, bit).decode())])
        except (BadCheckpoint, UnicodeDecodeError):
            continue
        pytest.fail(f"bit {bit} was not noticed")


def test_every_bit_of_the_file_of_keys(ledger: Ledger, tmp_path: Path) -> None:
    note = (ledger.path / "checkpoint").read_text()
    data = (ledger.path / "keys").read_bytes()
    for bit in range(8 * len(data)):
        (tmp_path / "keys").write_bytes(_flipped(data, bit))
        try:
            parse(note, heads.keys(tmp_path))
        except (BadCheckpoint, UnicodeDecodeError):
            continue
        pytest.fail(f"bit {bit} was not noticed")


def _damaged(ledger: Ledger, tmp_path: Path, change: Callable[[Path], None]) -> str:
    """Return the state of a copy after ``change``."""
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ledger.path, copy)
    change(copy)
    return verify(copy).state


FILES = ["ledger.json", "entries.jsonl", "checkpoint", "checkpoints/11", "checkpoints/200", "keys"]
FILES += ["tile/0/000.p/11", "tile/0/000.p/200", "tile/entries/000.p/11", "tile/entries/000.p/200"]


@given(st.sampled_from(FILES), st.integers(min_value=0))
@FIXED
def test_any_bit_of_any_file(ledger: Ledger, tmp_path: Path, name: str, bit: int) -> None:
    def flip(copy: Path) -> None:
        data = (copy / name).read_bytes()
        (copy / name).write_bytes(_flipped(data, bit % (8 * len(data))))

    assert _damaged(ledger, tmp_path, flip) in ("broken", "incomplete")


@given(st.integers(min_value=0), st.integers(min_value=0))
@settings(FIXED, max_examples=40)
def test_any_bit_of_any_object(ledger: Ledger, tmp_path: Path, number: int, bit: int) -> None:
    def flip(copy: Path) -> None:
        objects = sorted(path for path in (copy / "objects").rglob("*") if path.is_file())
        path = objects[number % len(objects)]
        path.write_bytes(_flipped(path.read_bytes(), bit % (8 * path.stat().st_size)))

    assert _damaged(ledger, tmp_path, flip) == "incomplete"


@pytest.mark.parametrize("name", FILES)
def test_any_file_that_is_gone(ledger: Ledger, tmp_path: Path, name: str) -> None:
    # Older checkpoints and their tiles are history: without them less can be told, and nothing is wrong.
    history = name in ("checkpoints/11", "checkpoints/200", "tile/0/000.p/11", "tile/entries/000.p/11")
    assert (_damaged(ledger, tmp_path, lambda copy: (copy / name).unlink()) == "intact") == history


NUMBER = st.integers(0, COUNT - 1)


@given(st.sampled_from(["remove", "repeat", "swap", "cut", "insert", "shorten"]), NUMBER, NUMBER)
@FIXED
def test_any_operation_on_lines(ledger: Ledger, tmp_path: Path, operation: str, one: int, two: int) -> None:
    def operate(copy: Path) -> None:
        lines = (copy / "entries.jsonl").read_bytes().splitlines(keepends=True)
        if operation == "remove":
            del lines[one]
        elif operation == "repeat":
            lines.insert(two, lines[one])
        elif operation == "swap":
            other = two if two != one else (one + 1) % COUNT
            lines[one], lines[other] = lines[other], lines[one]
        elif operation == "cut":
            del lines[one:]
        elif operation == "insert":
            lines.insert(one, lines[two].replace(b'"sequence":', b'"sequence":1', 1))
        else:
            lines[one] = lines[one][: -2 - two]
        (copy / "entries.jsonl").write_bytes(b"".join(lines))

    assert _damaged(ledger, tmp_path, operate) == "broken"
