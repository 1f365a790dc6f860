# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A ledger that was tampered with, and a disk that is full: nothing is promoted, nothing is written over."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import attributes

from .instance import Instance
from .namespace import run

Lines = list[bytes]


def _edited(lines: Lines) -> Lines:
    changed = lines[5].replace(b'"verdict":"allow"', b'"verdict":"deny"')
    assert changed != lines[5]
    return [*lines[:5], changed, *lines[6:]]


def _removed(lines: Lines) -> Lines:
    return [*lines[:4], *lines[5:]]


def _swapped(lines: Lines) -> Lines:
    return [*lines[:4], lines[5], lines[4], *lines[6:]]


def _cut(lines: Lines) -> Lines:
    return lines[:4]


@pytest.mark.parametrize(
    ("tamper", "said"),
    [(_edited, "Entry 5: "), (_removed, "Entry 4: "), (_swapped, "Entry 4: "), (_cut, "were signed and are gone")],
    ids=["edited", "removed", "swapped", "cut"],
)
def test_a_tampered_ledger_stops_the_promotion(promoted: Instance, tamper: Callable[[Lines], Lines], said: str) -> None:
    with _replaced(promoted, tamper) as broken, promoted.compliant_untouched():
        message = promoted.refused("promote", service="service-a")
        # Not even the refusal is appended to a ledger that cannot be believed.
        assert (promoted.ledger / "entries.jsonl").read_bytes() == broken
    assert message.startswith(f"The ledger at {promoted.ledger} cannot be trusted: ")
    assert said in message
    assert "nothing was promoted" in message


def test_verify_names_what_was_edited_and_that_the_copy_holds(promoted: Instance) -> None:
    with _replaced(promoted, _edited):
        message = promoted.refused("verify")
    assert "Entry 5: " in message.partition("Its copy:")[0]
    assert " entries of 'golden-goose.local/sandbox' hold" in message.partition("Its copy:")[2]


def test_an_untouched_ledger_verifies(promoted: Instance) -> None:
    promoted.play("verify")


def test_the_copy_is_never_overwritten_with_a_tampered_ledger(promoted: Instance) -> None:
    before = (promoted.backup / "entries.jsonl").read_bytes()
    with _replaced(promoted, _edited):
        promoted.refused("package", service="service-a")
        assert (promoted.backup / "entries.jsonl").read_bytes() == before


def test_a_full_disk_stops_the_promotion_and_leaves_a_ledger_that_verifies(promoted: Instance) -> None:
    digest = promoted.entries("build")[0]["data"]["digest"]
    before = len(promoted.entries())
    # Another artifact than the compliant one, so that there is something to write.
    other = f"sha256:{digest[:6:-1]}"
    with _on_full_disk(promoted.ledger) as filler, promoted.compliant_untouched():
        message = promoted.refused("promote", service="service-a", digest=other)
        assert "No space left on device" in message
        assert str(promoted.ledger) in message
        whole = promoted.entries()
        assert [entry["sequence"] for entry in whole] == list(range(len(whole)))
        assert "started" not in [entry["data"]["event"] for entry in whole[before:]]
        filler.unlink()
        # With space again the same request is refused for what it is, in a ledger that holds.
        assert "gate provenance denies" in promoted.refused("promote", service="service-a", digest=other)
        promoted.play("verify", golden_goose_ledger_backup_path=str(promoted.folder / "no-copy"))
    assert len(promoted.entries()) == before


@contextmanager
def _replaced(instance: Instance, tamper: Callable[[Lines], Lines]) -> Iterator[bytes]:
    """Have other lines in the ledger for the duration of the block; yield them."""
    file = instance.ledger / "entries.jsonl"
    original = file.read_bytes()
    broken = b"".join(tamper(original.splitlines(keepends=True)))
    with attributes.unprotected(instance.ledger):
        file.write_bytes(broken)
    try:
        yield broken
    finally:
        with attributes.unprotected(instance.ledger):
            file.write_bytes(original)


@contextmanager
def _on_full_disk(folder: Path) -> Iterator[Path]:
    """Put a copy of ``folder`` on a disk of its own in its place and fill it; yield the file that fills it."""
    copy = folder.with_name(f"{folder.name}.full")
    size = sum(path.stat().st_size + 8192 for path in folder.rglob("*")) + (1 << 20)
    copy.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0750", "golden-goose-e2e", str(copy))
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    run("mount", "--bind", str(copy), str(folder))
    filler = folder / "filler"
    try:
        with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        yield filler
    finally:
        # The exporter reads there, so it may be busy for a moment.
        run("umount", "--lazy", str(folder))
        run("umount", "--lazy", str(copy))
        copy.rmdir()
