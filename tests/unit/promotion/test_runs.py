# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs of one service at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import Refused
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.runs import (
    Owner,
    Runs,
    owner_of,
    play_owner,
)

from .conftest import Bench

COLLECTIONS = Path(__file__).resolve().parents[3] / "collections"


@pytest.fixture
def other_play(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until it is told to end."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def test_while_another_play_lives_the_second_is_refused_and_recorded(
    bench: Bench, other_play: subprocess.Popen[bytes]
) -> None:
    theirs = owner_of(other_play.pid)
    bench.runs = Runs(bench.root / "run", theirs)
    bench.promoter.request("svc", None, "tester")
    bench.runs = Runs(bench.root / "run", owner_of(os.getpid()))
    with pytest.raises(
        Refused, match=rf"another run: promotion of svc \(ansible-playbook, pid {other_play.pid}, since"
    ):
        bench.promoter.request("svc", None, "tester")
    assert bench.events() == ["requested", "refused"]
    assert bench.entries()[-1]["final"] is False


def test_when_the_other_play_is_dead_the_second_takes_over(bench: Bench, other_play: subprocess.Popen[bytes]) -> None:
    bench.runs = Runs(bench.root / "run", owner_of(other_play.pid))
    first = bench.promoter.request("svc", None, "tester")
    other_play.kill()
    other_play.wait()
    bench.runs = Runs(bench.root / "run", owner_of(os.getpid()))
    assert bench.play().promotion_id == first.promotion_id


def test_a_finished_play_keeps_nobody_out(bench: Bench, other_play: subprocess.Popen[bytes]) -> None:
    bench.runs = Runs(bench.root / "run", owner_of(other_play.pid))
    bench.play()
    bench.runs = Runs(bench.root / "run", owner_of(os.getpid()))
    assert bench.play().outcome == "unchanged"


def test_two_calls_at_the_same_moment_are_kept_apart(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    with runs.hold("svc", "promotion of svc"):
        with pytest.raises(Refused, match=rf"promotion of svc \(pid {os.getpid()}"), runs.hold("svc", "another"):
            raise AssertionError("both held it")
        with runs.hold("other", "promotion of other"):
            pass


def test_a_pid_that_was_given_to_another_process_is_not_the_owner() -> None:
    mine = owner_of(os.getpid())
    assert mine is not None and mine.alive
    assert not replace(mine, started="1").alive
    assert not replace(mine, boot="another boot").alive


def test_a_half_written_note_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "svc.run").write_text('{"pid": 1')
    with Runs(tmp_path, Owner(1, "1", "1")).hold("svc", "x"):
        pass


def test_the_play_is_found_among_the_ancestors(tmp_path: Path) -> None:
    play = tmp_path / "ansible-playbook"
    shutil.copy("/bin/sh", play)
    finder = "ansible.utils.collection_loader._collection_finder"
    script = f"""
import sys
sys.path[:] = {sys.path!r}
from {finder} import _AnsibleCollectionFinder
_AnsibleCollectionFinder(paths=[{str(COLLECTIONS)!r}])._install()
from {Runs.__module__} import play_owner
print(play_owner().pid)
"""
    # "; true" keeps the shell from becoming Python itself.
    command = f'"{sys.executable}" -c "$SCRIPT"; true'
    started = subprocess.Popen([str(play), "-c", command], env={**os.environ, "SCRIPT": script}, stdout=subprocess.PIPE)
    output, _errors = started.communicate(timeout=30)
    assert int(output) == started.pid


def test_without_a_play_among_the_ancestors_there_is_no_owner() -> None:
    assert play_owner(1) is None
