# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Retention: old objects go, entries stay, and what is still needed is never dropped."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils import verifier
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence import retention
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.packaging import build_evidence
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.retention import (
    Dropped,
    cut_off,
    drop_objects,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    Ledger,
    LedgerBroken,
    LedgerError,
    ObjectDropped,
    backup,
    dropping,
    freeze,
    verify,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.locks import LockHeld, hold
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.plan import MEDIA_TYPE
from ansible_collections.golden_goose.compliance.plugins.module_utils.verifier import golden_goose_verify as stranger
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.ledger.second_place import Memory

from .conftest import METADATA, SERVICE, World

NOON = datetime(2025, 9, 25, 12, tzinfo=UTC)


@pytest.fixture
def old(world: World) -> World:
    """What the world says is said on 25 September 2025, until :func:`later`."""
    world.ledger._now = lambda: NOON
    return world


def later(world: World, days: int = 30) -> None:
    world.ledger._now = lambda: NOON + timedelta(days=days)


def forget(ledger: Ledger) -> None:
    """Let an hour pass for all objects."""
    past = time.time() - retention.GRACE - 60
    for path in ledger.objects.root.rglob("*"):
        if path.is_file():
            os.utime(path, (past, past))


def keep(world: World, content: bytes, event: str = "review", **data: Any) -> str:
    reference = dict(world.ledger.objects.put_bytes(content, data.pop("media_type", "text/plain")))
    world.say("validation", event, object=reference, **data)
    return str(reference["sha256"])


def drop(world: World, copy: Path | None = None, before: str = "2025-10-01", **options: Any) -> Dropped:
    return drop_objects(world.ledger, cut_off(before, None), METADATA, reason="tests", copy=copy, **options)


def digests(done: Dropped) -> set[str]:
    return {one["sha256"] for one in done.objects}


def test_old_objects_go_and_entries_stay(old: World, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    gone = keep(old, b"old report")
    later(old)
    kept = keep(old, b"new report")
    backup(old.ledger, copy)
    forget(old.ledger)
    preview = drop(old, copy, dry_run=True)
    assert old.ledger.head().size == 2 and old.ledger.objects.path(gone).exists()
    done = drop(old, copy)
    assert done.as_dict() == preview.as_dict()
    assert (digests(done), done.removed) == ({gone}, 2)
    for ledger in (old.ledger, Ledger.open(copy)):
        assert not ledger.objects.path(gone).exists() and ledger.objects.path(kept).exists()
        report = verify(ledger.path)
        assert (report.state, report.objects, report.dropped) == ("intact", 1, 1), report.sentence()
        assert "and so do 1 objects; 1 were dropped by retention." in report.sentence()
    said = list(old.ledger.entries())[-1]
    assert said.data == {
        "event": "objects_dropped",
        "before": "2025-10-01T00:00:00.000Z",
        "reason": "tests",
        "objects": [{"sha256": gone, "size": 10}],
    }
    assert not drop(old, copy).changed and old.ledger.head().size == 3
    assert not backup(old.ledger, copy).changed
    assert not Ledger.open(copy).objects.path(gone).exists()


def test_objects_of_frozen_segments_go_too(old: World, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    gone = keep(old, b"old report")
    freeze(old.ledger, Memory(), METADATA, 2)
    later(old)
    kept = keep(old, b"new report")
    backup(old.ledger, copy)
    forget(old.ledger)
    done = drop(old, copy)
    assert (digests(done), done.removed) == ({gone}, 2)
    for root in (old.ledger.root, copy):
        objects = Ledger.open(root).objects
        assert not objects.path(gone).exists() and objects.path(kept).exists()
        report = verify(root)
        assert (report.state, report.dropped) == ("intact", 1), report.sentence()
    assert not drop(old, copy).changed


def test_missing_without_an_entry_is_still_incomplete(old: World) -> None:
    gone, other = keep(old, b"old report"), keep(old, b"other")
    forget(old.ledger)
    old.ledger.objects.path(other).unlink()
    with pytest.raises(LedgerBroken, match=r"Nothing is dropped: The evidence is incomplete\. Entry 1"):
        drop(old)
    assert old.ledger.objects.path(gone).exists() and old.ledger.head().size == 2
    old.ledger.objects.put_bytes(b"other")
    forget(old.ledger)
    assert digests(drop(old)) == {gone, other}
    # Said again later, and gone again without an entry: that is damage.
    later(old)
    assert keep(old, b"other") == other
    assert verify(old.ledger.path).dropped == 1 and verify(old.ledger.path).intact
    old.ledger.objects.path(other).unlink()
    report = verify(old.ledger.path)
    assert (report.state, report.dropped, [p.kind for p in report.problems]) == ("incomplete", 1, ["object_missing"])


def test_the_same_content_comes_back(old: World, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    sha256 = keep(old, b"report")
    forget(old.ledger)
    assert drop(old, copy).changed
    later(old)
    assert keep(old, b"report") == sha256
    forget(old.ledger)
    assert not drop(old, copy).changed
    backup(old.ledger, copy)
    assert Ledger.open(copy).objects.read(sha256) == b"report"
    assert digests(drop(old, copy, before="2025-12-01")) == {sha256}
    assert verify(old.ledger.path).dropped == verify(copy).dropped == 1


def test_an_object_that_a_newer_entry_refers_to_is_kept(old: World) -> None:
    keep(old, b"report")
    later(old)
    keep(old, b"report")
    forget(old.ledger)
    assert not drop(old).changed


def test_what_was_kept_a_moment_ago_is_left_alone(old: World) -> None:
    sha256 = keep(old, b"report")
    assert (drop(old).changed, drop(old).kept) == (False, 1)
    forget(old.ledger)
    old.ledger.objects.put_bytes(b"report")  # Somebody is about to refer to it.
    assert not drop(old).changed
    forget(old.ledger)
    assert digests(drop(old)) == {sha256}


def test_what_stands_is_never_dropped(old: World) -> None:
    plan = keep(old, b"plan", "planned", media_type=MEDIA_TYPE)
    first = old.deploy(b"one")
    old.promote(first)
    report = keep(old, b"about the first", digest=first)
    second, third = old.deploy(b"two"), old.deploy(b"three")
    about_second = keep(old, b"about the second", digest=second)
    old.promote(second)
    old.promote(third)
    opened = old.deploy(b"four")
    old.request(opened)
    about_open = keep(old, b"about the open one", digest=opened)
    deployed = keep(old, b"about sandbox", digest=old.deploy(b"five"))
    nobody = keep(old, b"about nothing")
    forget(old.ledger)
    gone = digests(drop(old))
    assert {report, nobody} <= gone
    assert gone.isdisjoint({plan, about_second, about_open, deployed})
    # All that the package of what is compliant needs is there, and so is what a rollback applies.
    assert build_evidence(old.ledger, SERVICE, old.packages).changed
    started = [one for one in old.ledger.entries() if one.event == "started"]
    for one in started[-2:]:
        assert old.ledger.objects.read(one.data["manifests"]["sha256"])


def test_a_vetoed_one_is_passed_over_for_the_rollback_target(old: World) -> None:
    contents = (b"one", b"two", b"three")
    for content in contents:
        old.promote(old.deploy(content))
    starts = [one for one in old.ledger.entries() if one.event == "started"]
    digest = starts[1].data["digest"]
    old.say("validation", "vetoed", digest=digest, by={"name": "a", "entity": "", "method": "test"}, reason="r")
    forget(old.ledger)
    drop(old)
    assert all(old.ledger.objects.read(one.data["manifests"]["sha256"]) for one in starts)


def test_a_package_that_needs_a_dropped_object_says_so(old: World, monkeypatch: pytest.MonkeyPatch) -> None:
    old.promote(old.deploy())
    forget(old.ledger)
    monkeypatch.setattr(retention, "_still_matters", lambda _entries: lambda _entry: False)
    assert drop(old).changed
    with pytest.raises(ObjectDropped, match=r"was dropped by retention, as entry \d+ of .* says") as caught:
        build_evidence(old.ledger, SERVICE, old.packages)
    assert str(caught.value).count(". ") == 0
    with pytest.raises(LedgerBroken, match="restore it from the backup"):
        dropping.read(old.ledger, "0" * 64)


def test_a_killed_run_is_finished(old: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy"
    names = {keep(old, bytes([n])) for n in range(5)}
    backup(old.ledger, copy)
    forget(old.ledger)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(retention, "_remove", _interrupted)
        drop(old, copy)
    assert verify(old.ledger.path).intact and verify(copy).intact
    size = old.ledger.head().size
    left = sorted(names)
    Ledger.open(copy).objects.path(left[0]).unlink()
    old.ledger.objects.path(left[1]).unlink()
    done = drop(old, copy)
    assert (done.changed, done.objects, done.removed) == (True, [], 8)
    assert old.ledger.head().size == size and not drop(old, copy).changed
    assert verify(old.ledger.path).dropped == verify(copy).dropped == 5


def _interrupted(*_arguments: object) -> None:
    raise KeyboardInterrupt


def test_many_objects_take_several_entries(old: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropping, "PER_ENTRY", 2)
    for number in range(5):
        keep(old, bytes([number]))
    forget(old.ledger)
    assert len(drop(old).objects) == 5
    assert [len(one.data["objects"]) for one in old.ledger.entries() if one.event == "objects_dropped"] == [2, 2, 1]
    monkeypatch.undo()
    full = [{"sha256": "a" * 64, "size": 2**50}] * dropping.PER_ENTRY
    assert len(json.dumps(full)) < 60_000  # It fits into a line.


def test_strangers_tell_dropped_from_missing(old: World, capsys: pytest.CaptureFixture[str]) -> None:
    gone, other = keep(old, b"old report"), keep(old, b"another")
    forget(old.ledger)
    drop(old)
    assert stranger.main([str(old.ledger.path), "--objects"]) == 3  # It is not signed.
    said = capsys.readouterr().out
    assert "2 objects were dropped by retention" in said and "is missing" not in said
    later(old)
    keep(old, b"another")
    old.ledger.objects.path(other).unlink()
    stranger.main([str(old.ledger.path), "--objects"])
    said = capsys.readouterr().out
    assert "1 objects were dropped" in said and f"an object of entry 3 is missing: {other}" in said
    assert gone not in said and b"objects_dropped" in verifier.program()


def test_refusals(old: World, tmp_path: Path) -> None:
    keep(old, b"report")
    forget(old.ledger)
    tomorrow = (datetime.now(UTC).date() + timedelta(days=1)).isoformat()
    for arguments, match in (
        ((tomorrow, None), "is in the future"),
        (("25.9.2025", None), "give a date such as"),
        ((None, 0), "keep_days is 0"),
    ):
        with pytest.raises(GoldenGooseError, match=match):
            cut_off(*arguments)
    assert cut_off(None, 5, NOON) == "2025-09-20T00:00:00.000Z"
    with hold(old.ledger.path / "retention.lock", "another run"), pytest.raises(LockHeld, match="another run"):
        drop(old)
    Ledger.create(tmp_path / "other", "example.test/other")
    with pytest.raises(LedgerError, match=r"is of the origin 'example.test/other'"):
        drop(old, tmp_path / "other")
    shutil.rmtree(tmp_path / "other")
    backup(old.ledger, tmp_path / "other")
    Ledger.open(tmp_path / "other").append(type="validation", event="sast", data={}, metadata=METADATA)
    with pytest.raises(LedgerBroken, match=r"is in the copy .* but no longer in the ledger"):
        drop(old, tmp_path / "other")
    assert old.ledger.objects.path(next(iter(_digests(old)))).exists() and old.ledger.head().size == 1
    old.ledger.entries_path.write_bytes(b"x" + old.ledger.entries_path.read_bytes()[1:])
    with pytest.raises(LedgerBroken, match=r"Nothing is dropped: The evidence is broken"):
        drop(old)


def _digests(world: World) -> list[str]:
    return [path.name for path in world.ledger.objects.root.rglob("*") if path.is_file()]


@given(said=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60)), min_size=1, max_size=12), cut=st.integers(0, 60))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_just_what_is_older_goes_and_the_ledger_holds(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[int, int]], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("retention")
    ledger, copy = Ledger.create(folder / "ledger", "example.test/sandbox"), folder / "copy"
    last: dict[str, int] = {}
    for what, day in sorted(said, key=lambda one: one[1]):
        ledger._now = lambda day=day: NOON + timedelta(days=day)  # type: ignore[misc]
        reference = dict(ledger.objects.put_bytes(bytes([what])))
        ledger.append(type="validation", event="sast", data={"object": reference}, metadata=METADATA)
        last[str(reference["sha256"])] = day
    forget(ledger)
    before = (NOON + timedelta(days=cut)).date().isoformat()
    done = drop_objects(ledger, cut_off(before, None), METADATA, reason="r", copy=copy)
    assert digests(done) == {sha256 for sha256, day in last.items() if day < cut}
    for place in (ledger.path, copy) if done.changed else (ledger.path,):
        report = verify(place)
        assert (report.state, report.dropped) == ("intact", len(done.objects))
    assert not drop_objects(ledger, cut_off(before, None), METADATA, reason="r", copy=copy).changed
