# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A freeze that is killed, or refused by the disk, at any call that leaves something behind is finished by the next."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    Ledger,
    LedgerFrozen,
    anchor,
    freeze,
    segments,
    verify,
)

from . import ledger_writer as writer
from . import test_ledger_faults as faults

pytestmark = faults.pytestmark
place = faults.place


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed ledger with one entry more."""
    folder = tmp_path_factory.mktemp("small") / "ledger"
    ledger = Ledger.create(folder, writer.ORIGIN)
    ledger.append(**writer.item(0))
    anchor(ledger, writer.FolderPlace(folder), writer.METADATA)
    ledger.append(**writer.item(1))
    shutil.copytree(folder, folder.parent / "warm")
    faults._run(folder.parent / "warm", "nothing")  # Byte code is compiled, caches are warm.
    return folder


# What leaves something behind: other calls of a freeze are those of an append and of a checkpoint, which are above.
LASTING = {"pwrite64", "fsync", "mkdir", "rename"}


@pytest.mark.parametrize("fault", ["error=EIO", "signal=KILL"])
def test_a_fault_at_every_lasting_system_call_of_a_freeze(small: Path, place: Path, fault: str) -> None:
    def copy() -> Path:
        for path in place.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copy(small.parent / "kept", place / "kept")
        shutil.copytree(small, place / "ledger")
        return place / "ledger"

    _done, calls = faults._run(copy(), "freeze")
    calls = [call for call in calls if call.name in LASTING and '"holder' not in call.text.replace("\\", "")]
    if "EIO" in fault:  # Errors of writes are those of an append, which is tested for itself.
        calls = [call for call in calls if call.name != "pwrite64"]
    tried = refused = 0
    for call in calls:
        folder = copy()
        done, seen = faults._run(folder, "freeze", "-e", f"inject={call.name}:{fault}:when={call.number}")
        if done.returncode not in (-9, 137) and not any("INJECTED" in one.text for one in seen):
            continue  # The number of a call varies a little from run to run.
        tried += 1
        where = f"{fault} at {call.text}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, where
        assert verify(folder).state in ("intact", "incomplete"), where
        ledger = Ledger.open(folder)
        try:
            ledger.append(**writer.item(2))
        except LedgerFrozen:
            refused += 1
        freeze(ledger, writer.FolderPlace(folder), writer.METADATA, 2)
        ledger.append(**writer.item(2))
        anchor(ledger, writer.FolderPlace(folder), writer.METADATA)
        report = verify(folder)
        assert (report.state, report.segments, report.unanchored) == ("intact", 2, 0), where
        numbers = [entry.data["number"] for entry in ledger.entries() if entry.event == "sast"]
        assert numbers == [0, 1, 2], where
        events = [entry.event for entry in ledger.entries() if entry.event in segments.RESERVED]
        assert events == [segments.FROZEN, segments.CONTINUED], where
        assert [path.name for path in (folder / segments.FOLDER).iterdir()] == ["2"], where
    print(f"{fault}: {tried} of {len(calls)} calls, {refused} of them left it frozen and not continued")
    assert tried > len(calls) // 2 and 0 < refused < tried
