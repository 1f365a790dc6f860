# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The ledger is read when it may have changed, and not otherwise."""

from __future__ import annotations

import os

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.kpi import watch as watch_module
from ansible_collections.golden_goose.compliance.plugins.module_utils.kpi.watch import Watch

from .story import Story


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One item for every time that the ledger was read."""
    seen: list[None] = []
    read = watch_module.read

    def counted(*arguments: object) -> object:
        seen.append(None)
        return read(*arguments)

    monkeypatch.setattr(watch_module, "read", counted)
    return seen


def test_an_unchanged_ledger_is_read_once(story: Story, readings: list[None]) -> None:
    story.promote()
    watch = Watch(story.ledger.path)
    assert watch.figures() is watch.figures()
    assert len(readings) == 1


def test_an_append_is_seen_at_once(story: Story, readings: list[None]) -> None:
    watch = Watch(story.ledger.path)
    assert watch.figures().entries == 0
    story.promote()
    assert watch.figures().compliance == {"service-a": 1}
    assert len(readings) == 2


def test_an_edit_that_hides_its_time_is_seen_at_the_recheck(story: Story) -> None:
    story.promote()
    clock = Clock()
    watch = Watch(story.ledger.path, recheck_seconds=60, clock=clock)
    assert watch.figures().chain_intact
    path = story.ledger.entries_path
    before = path.stat()
    story.edit(b'"verdict":"allow"', b'"verdict":"alloW"')
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert watch.figures().chain_intact
    clock.now += 60
    assert not watch.figures().chain_intact


def test_a_ledger_that_vanishes_is_seen(story: Story) -> None:
    story.promote()
    watch = Watch(story.ledger.path)
    assert watch.figures().entries == 8
    story.ledger.entries_path.unlink()
    assert not watch.figures().chain_intact
