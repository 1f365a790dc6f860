# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A frozen ledger takes nothing more and goes on in a new segment; whatever is done to one of them is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.keeping import check
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    AnchorBroken,
    EntryConflict,
    EntryRefused,
    Key,
    Ledger,
    LedgerBroken,
    LedgerError,
    LedgerFrozen,
    Problem,
    backup,
    compare,
    entry,
    freeze,
    freezing,
    heads,
    segments,
    verify,
    verify_segment,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.verifier import golden_goose_verify as stranger
from hypothesis import given
from hypothesis import strategies as st

from .conftest import METADATA, ORIGIN
from .second_place import Memory
from .test_anchor import _content, _resealed, fill, sign

ID = "8a1f6a0e-6c1a-4f3a-8f0e-0c6f2a9f8b11"


@pytest.fixture
def second() -> Memory:
    return Memory()


def grow(ledger: Ledger, second: Memory) -> Ledger:
    """Give it three segments, of 5 (3 and the key, frozen), 5 (continued, the key, 2, frozen) and 3 entries."""
    fill(ledger, 3, "one")
    freeze(ledger, second, METADATA, 2)
    fill(ledger, 2, "two")
    freeze(ledger, second, METADATA, 3)
    fill(ledger, 1, "three")
    sign(ledger, second)
    return ledger


@pytest.fixture
def three(ledger: Ledger, second: Memory) -> Ledger:
    return grow(ledger, second)


def say(ledger: Ledger, id: str | None = None, **data: Any) -> Any:
    return ledger.append(type="validation", event="sast", data=data, metadata=METADATA, id=id)


def stranger_says(root: Path, *options: str) -> int:
    return stranger.main([str(root), *options])


def found(root: Path) -> list[tuple[int, int | None, str]]:
    return [(problem.segment, problem.sequence, problem.kind) for problem in verify(root).problems]


# --- names ---


@given(st.from_regex(r"[!-*,-~]{1,200}", fullmatch=True), st.integers(1, 999_999))
def test_a_name_leads_back_to_its_ledger(origin: str, number: int) -> None:
    base = segments.name(origin, 1)
    assert segments.number(base) == 1 or base != origin
    assert segments.number(segments.name(origin, number)) == number or segments.number(base) != 1
    assert segments.name(segments.name(base, number), 1) == base or segments.number(base) != 1


@pytest.mark.parametrize("origin", ["a/segment/1", "a/segment/02", "a/segment/", "/segment/2", "a/segment/2x"])
def test_other_names_are_no_segments(origin: str) -> None:
    assert segments.number(origin) == 1


def test_no_ledger_is_made_with_the_name_of_a_segment(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="is that of a segment"):
        Ledger.create(tmp_path / "x", f"{ORIGIN}/segment/2")


# --- going on ---


def test_the_last_entry_of_one_names_the_next_and_the_first_of_that_its_head(three: Ledger, second: Memory) -> None:
    entries = list(three.entries())
    assert [found.place for found in entries] == [(1, n) for n in range(5)] + [(2, n) for n in range(5)] + [
        (3, n) for n in range(3)
    ]
    assert [found.event for found in entries if found.event in segments.RESERVED] == ["frozen", "continued"] * 2
    frozen, continued = entries[4], entries[5]
    head = heads.latest(three.root, heads.keys(three.root))
    assert head is not None and head.size == 5
    assert frozen.data == {"event": "frozen", "successor": f"{ORIGIN}/segment/2"}
    assert continued.data == {
        "event": "continued",
        "origin": ORIGIN,
        "size": 5,
        "root": continued.data["root"],
        "hash": frozen.hash,
        "checkpoint": head.note,
    }
    assert continued.previous_hash == entry.genesis_hash(f"{ORIGIN}/segment/2")
    document = json.loads(second.kept[ORIGIN][1])
    assert (document["successor"], document["size"], document["hash"]) == (f"{ORIGIN}/segment/2", 5, frozen.hash)
    assert "successor" not in json.loads(second.kept[f"{ORIGIN}/segment/3"][1])


def test_all_segments_verify_together_and_each_alone(three: Ledger) -> None:
    report = verify(three.root, ORIGIN)
    assert (report.state, report.size, report.signed, report.segments) == ("intact", 13, 13, 3)
    assert report.head == three.head().hash
    assert stranger_says(three.root) == stranger.INTACT
    for number in (1, 2, 3):
        place = segments.place(three.root, number)
        assert verify_segment(place).state == "intact"
    assert stranger_says(three.path) == stranger.INTACT


def test_strangers_need_one_key_for_all_segments(three: Ledger) -> None:
    key = heads.keys(three.root)[0]
    assert verify(three.root, keys=[key]).state == "intact"
    assert stranger_says(three.root, "--key", str(key)) == stranger.INTACT
    other = Key(ORIGIN, Memory(seed=9).public_keys()[0][1])
    assert {problem.segment for problem in verify(three.root, keys=[other]).problems} == {1, 2, 3}
    assert stranger_says(three.root, "--key", str(other)) == stranger.BROKEN


def test_a_ledger_opens_as_its_last_segment(three: Ledger) -> None:
    again = Ledger.open(three.root, ORIGIN)
    assert (again.number, again.path, again.origin) == (3, three.root / "segments/3", f"{ORIGIN}/segment/3")
    assert (again.root, again.size, again.head().size) == (three.root, 13, 3)
    assert [one.number for one in again.earlier] == [1, 2]
    assert again.objects.root == three.root / "objects/sha256"
    with pytest.raises(LedgerError, match="is segment 3 of a ledger; give the folder of the whole ledger"):
        Ledger.open(again.path)


def test_a_process_that_stays_goes_on_in_the_new_segment(ledger: Ledger, second: Memory) -> None:
    fill(ledger, 2)
    others = [Ledger.open(ledger.path) for _other in range(3)]
    freeze(ledger, second, METADATA, 2)
    assert say(others[0], text="after").entry.place == (2, 2)
    assert [found.place for found in others[1].entries()][-1] == (2, 2)
    assert others[2].find(others[0].last().id).place == (2, 2)  # type: ignore[union-attr]


def test_reading_goes_on_where_it_was_when_the_reader_freezes(ledger: Ledger, second: Memory) -> None:
    fill(ledger, 2)
    freeze(ledger, second, METADATA, 2)
    places = []
    for read in ledger.entries():
        if not places:
            freeze(ledger, second, METADATA, 3)
        places.append(read.place)
    assert places == [(1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1), (2, 2)]


def test_an_id_of_an_earlier_segment_is_known(ledger: Ledger, second: Memory) -> None:
    first = say(ledger, id=ID, number=1)
    freeze(ledger, second, METADATA, 2)
    freeze(ledger, second, METADATA, 3)
    for one in (ledger, Ledger.open(ledger.root)):
        again = say(one, id=ID, number=1)
        assert (again.changed, again.entry) == (False, first.entry)
        assert one.find(ID) == first.entry
        with pytest.raises(EntryConflict, match=r"Entry 0 of .* already has the id"):
            say(one, id=ID, number=2)
        preview = {"type": "validation", "event": "sast", "metadata": METADATA, "id": ID}
        assert one.preview(data={"number": 1}, **preview) == first.entry
        with pytest.raises(EntryConflict):
            one.preview(data={"number": 2}, **preview)
    item = {"type": "validation", "event": "sast", "metadata": METADATA}
    group = ledger.append_many([{**item, "data": {"number": 5}}, {**item, "data": {"number": 1}, "id": ID}])
    assert [(one.entry.place, one.changed) for one in group] == [((3, 2), True), ((1, 0), False)]


def test_an_id_in_two_segments_is_found(three: Ledger) -> None:
    copied = next(found for found in three.entries() if found.place == (1, 1))
    line = entry.seal(
        sequence=3,
        id=copied.id,
        timestamp=three.last().timestamp,  # type: ignore[union-attr]
        type="validation",
        data={"event": "sast"},
        metadata=METADATA,
        previous_hash=three.head().hash,
    ).line
    with three.entries_path.open("ab") as stream:
        stream.write(line + b"\n")
    assert found(three.root) == [(3, 3, "duplicate_id")]
    assert stranger_says(three.root) == stranger.BROKEN


# --- refusals ---


def test_nobody_else_writes_the_events_of_a_freeze(ledger: Ledger) -> None:
    for event in segments.RESERVED:
        with pytest.raises(EntryRefused, match="evidence_freeze"):
            ledger.append(type="validation", event=event, data={"successor": "x"}, metadata=METADATA)
    assert ledger.head().size == 0


@pytest.mark.parametrize("segment", [0, 3, 7])
def test_only_the_next_segment_can_be_asked_for(ledger: Ledger, second: Memory, segment: int) -> None:
    fill(ledger, 1)
    with pytest.raises(LedgerError, match="is in segment 1 and cannot be in segment"):
        freeze(ledger, second, METADATA, segment)
    assert second.calls == []


def test_the_same_call_again_changes_nothing(three: Ledger, second: Memory) -> None:
    before = (dict(second.kept), _content(three.root))
    assert freeze(three, second, METADATA, 3).changed is False
    assert (dict(second.kept), _content(three.root)) == before


def test_nothing_is_written_when_the_second_place_does_not_answer(ledger: Ledger, second: Memory) -> None:
    fill(ledger, 2)
    second.down = True
    before = _content(ledger.path)
    with pytest.raises(GoldenGooseError, match="does not answer"):
        freeze(ledger, second, METADATA, 2)
    assert _content(ledger.path) == before


def test_a_ledger_that_contradicts_what_is_kept_is_not_frozen(ledger: Ledger, second: Memory, tmp_path: Path) -> None:
    fill(ledger, 2)
    sign(ledger, second)
    shutil.copytree(ledger.path, tmp_path / "old")
    fill(ledger, 2)
    sign(ledger, second)
    old = Ledger.open(tmp_path / "old")
    with pytest.raises(AnchorBroken) as caught:
        freeze(old, second, METADATA, 2)
    assert caught.value.kind == "restored" and old.head().size == 3


def test_two_copies_cannot_both_go_on(ledger: Ledger, second: Memory, tmp_path: Path) -> None:
    fill(ledger, 2)
    sign(ledger, second)
    shutil.copytree(ledger.path, tmp_path / "other")
    other = Ledger.open(tmp_path / "other")
    freeze(ledger, second, METADATA, 2)
    with pytest.raises(AnchorBroken):
        freeze(other, second, METADATA, 2)
    assert not (other.root / "segments").exists()


# --- kills ---

STEPS = ["sign", "frozen", "kept", "aside", "named", "signed"]


class Killed(BaseException):
    pass


def _kill(monkeypatch: pytest.MonkeyPatch, second: Memory, step: str) -> None:
    """Let the process end right after ``step``."""

    def after(owner: Any, name: str, when: Callable[..., bool] = lambda *_: True) -> None:
        real = getattr(owner, name)

        def run(*arguments: Any, **options: Any) -> Any:
            done = real(*arguments, **options)
            if when(*arguments):
                raise Killed
            return done

        monkeypatch.setattr(owner, name, run)

    if step == "sign":
        after(freezing, "anchor")
    elif step == "frozen":
        after(Ledger, "freeze")
    elif step == "kept":
        after(second, "write", lambda _origin, document, _version: "successor" in document)
    elif step == "aside":
        after(freezing, "describe")
    elif step == "named":
        after(freezing, "place_segment")
    else:
        after(second, "write", lambda origin, *_: segments.number(origin) == 2)


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_after_each_step_is_finished_by_the_same_call(
    ledger: Ledger, second: Memory, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    fill(ledger, 3)
    with monkeypatch.context() as patched:
        _kill(patched, second, step)
        with pytest.raises(Killed):
            freeze(ledger, second, METADATA, 2)
    again = Ledger.open(ledger.root)
    report = verify(again.root)
    assert report.state in ("intact", "incomplete"), report.sentence()
    # Before it is frozen, and after it goes on, entries are taken; in between they are refused.
    if step in ("frozen", "kept", "aside"):
        assert [problem.kind for problem in report.problems if problem.kind != "unsigned"] == ["not_continued"]
        assert stranger_says(again.root) == stranger.INCOMPLETE
        with pytest.raises(LedgerFrozen, match="is frozen and takes no entry"):
            say(again, number=9)
        with pytest.raises(LedgerFrozen):
            again.preview(type="validation", event="sast", data={}, metadata=METADATA)
        first = next(again.entries())
        assert say(again, id=first.id, **{k: v for k, v in first.data.items() if k != "event"}).changed is False
    elif step != "signed":
        say(again, number=9)
    done = freeze(again, second, METADATA, 2)
    assert (done.segment, done.changed) == (2, True)
    assert freeze(again, second, METADATA, 2).changed is False
    report = verify(again.root)
    assert (report.state, report.unanchored, report.segments) == ("intact", 0, 2), report.sentence()
    assert [e.event for e in again.entries() if e.event in segments.RESERVED] == ["frozen", "continued"]
    assert [path.name for path in (again.root / "segments").iterdir()] == ["2"]
    say(again, number=10)
    assert stranger_says(again.root) == stranger.INTACT


def test_a_freeze_is_finished_with_a_key_that_was_rotated_meanwhile(
    ledger: Ledger, second: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(ledger, 3)
    with monkeypatch.context() as patched:
        _kill(patched, second, "frozen")
        with pytest.raises(Killed):
            freeze(ledger, second, METADATA, 2)
    second.rotate(seed=2)
    old = heads.keys(ledger.path)
    freeze(Ledger.open(ledger.root), second, METADATA, 2)
    assert heads.keys(ledger.root) == old
    assert verify(ledger.root).state == "intact"


@pytest.mark.parametrize("step", ["frozen", "kept", "named"])
def test_a_freeze_is_finished_when_the_second_place_was_lost_meanwhile(
    ledger: Ledger, second: Memory, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    fill(ledger, 3)
    with monkeypatch.context() as patched:
        _kill(patched, second, step)
        with pytest.raises(Killed):
            freeze(ledger, second, METADATA, 2)
    again, new = Ledger.open(ledger.root), Memory(seed=8)
    with pytest.raises(AnchorBroken) as caught:
        freeze(again, new, METADATA, 2)
    assert caught.value.kind == "vault_lost"
    sign(again, new, accept_replaced=True)
    freeze(again, new, METADATA, 2)
    report = verify(again.root)
    assert (report.state, report.segments) == ("intact", 2), report.sentence()


def test_an_error_of_the_disk_leaves_no_segment(
    ledger: Ledger, second: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    fill(ledger, 1)
    with monkeypatch.context() as patched:
        patched.setattr(freezing.shutil, "rmtree", full)
        (ledger.root / "segments" / ".new-2").mkdir(parents=True)
        with pytest.raises(LedgerError, match=r"Cannot begin segment 2 of .*: No space left"):
            freeze(ledger, second, METADATA, 2)
    assert segments.numbers(ledger.root) == [1]
    assert freeze(ledger, second, METADATA, 2).segment == 2


# --- attacks ---


def _move(three: Ledger, number: int, aside: Path) -> None:
    segments.place(three.root, number).rename(aside)


def test_a_missing_segment_is_named(three: Ledger, tmp_path: Path) -> None:
    _move(three, 2, tmp_path / "gone")
    assert (2, None, "segment_missing") in found(three.root)
    assert verify(three.root).state == "broken"
    assert stranger_says(three.root) == stranger.BROKEN
    with pytest.raises(LedgerBroken, match="segment 2 is missing although segment 3 is there"):
        Ledger.open(three.root)


def test_a_segment_that_was_cut_off_is_named(three: Ledger, second: Memory, tmp_path: Path) -> None:
    backup(three, tmp_path / "copy")
    _move(three, 3, tmp_path / "gone")
    # In itself it is a freeze that was interrupted; the second place and the copy know better.
    assert found(three.root) == [(2, 4, "not_continued")]
    assert stranger_says(three.root) == stranger.INCOMPLETE
    cut = Ledger.open(three.root)
    for act in (lambda: sign(cut, second), lambda: freeze(cut, second, METADATA, 3)):
        with pytest.raises(AnchorBroken, match="segment 3 was cut off") as caught:
            act()
        assert caught.value.kind == "segment_missing"
    problem = compare(three.root, tmp_path / "copy")
    assert problem == Problem(None, "segment_missing", problem.message if problem else "", 3)


def _replaced(three: Ledger, number: int, tmp_path: Path) -> None:
    """Exchange a segment with one of the same name and key, made by whoever can write and sign."""
    forger = Memory()
    forged = Ledger.create(tmp_path / "forged", ORIGIN)
    fill(forged, 3, "forged")
    freeze(forged, forger, METADATA, 2)
    fill(forged, 2, "forged")
    freeze(forged, forger, METADATA, 3)
    names = ("entries.jsonl", "tile", "checkpoint", "checkpoints", "keys")
    for name in names:
        target = segments.place(three.root, number) / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        source = segments.place(forged.root, number) / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)


@pytest.mark.parametrize("number", [1, 2])
def test_an_exchanged_segment_is_named(three: Ledger, second: Memory, tmp_path: Path, number: int) -> None:
    _replaced(three, number, tmp_path)
    assert {verify_segment(segments.place(three.root, n)).state for n in (1, 2, 3)} == {"intact"}
    assert found(three.root)[0] == (2, 0, "predecessor")
    assert stranger_says(three.root) == stranger.BROKEN
    with pytest.raises(LedgerBroken, match="is not the one that it continues"):
        Ledger.open(three.root)
    with pytest.raises(AnchorBroken) as caught:
        sign(Ledger.open(three.root, edge=False), second)
    assert caught.value.kind == "predecessor"


def test_a_successor_that_names_another_head_is_named(three: Ledger, second: Memory) -> None:
    path = three.root / "segments/2/entries.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    old = entry.parse(lines[0][:-1])
    changed = entry.seal(
        sequence=0,
        id=old.id,
        timestamp=old.timestamp,
        type=old.type,
        data={**old.data, "size": 4},
        metadata=old.metadata,
        previous_hash=old.previous_hash,
    )
    path.write_bytes(b"".join([changed.line + b"\n", *lines[1:]]))
    assert (2, 0, "predecessor") in found(three.root)
    assert stranger_says(three.root) == stranger.BROKEN
    with pytest.raises(AnchorBroken):
        sign(Ledger.open(three.root, edge=False), second)


def test_a_rewritten_segment_is_found_by_a_full_verification(three: Ledger) -> None:
    path = three.root / "entries.jsonl"
    path.write_bytes(b"".join(_resealed(path.read_bytes().splitlines(keepends=True), 1)))
    kinds = {(segment, kind) for segment, _sequence, kind in found(three.root)}
    assert {(1, "rewritten"), (2, "predecessor")} <= kinds


def test_an_entry_after_the_frozen_one_is_named(ledger: Ledger, second: Memory, monkeypatch: Any) -> None:
    fill(ledger, 2)
    with monkeypatch.context() as patched:
        _kill(patched, second, "kept")
        with pytest.raises(Killed):
            freeze(ledger, second, METADATA, 2)
    sign(ledger, second)
    last = ledger.last()
    assert last is not None
    extra = entry.seal(
        sequence=4,
        id=ID,
        timestamp=last.timestamp,
        type="validation",
        data={"event": "sast"},
        metadata=METADATA,
        previous_hash=last.hash,
    )
    with ledger.entries_path.open("ab") as stream:
        stream.write(extra.line + b"\n")
    assert found(ledger.root) == [(1, 4, "after_frozen")]
    assert stranger_says(ledger.root) == stranger.BROKEN
    with pytest.raises(LedgerBroken, match="follows the entry that froze"):
        sign(Ledger.open(ledger.root), second)


def test_a_first_head_needs_a_final_one_before_it(three: Ledger, second: Memory) -> None:
    """Of the new origin nothing is kept yet: the old one's head decides."""
    version, text = second.kept[f"{ORIGIN}/segment/2"]
    del second.kept[f"{ORIGIN}/segment/3"]
    for name in ("checkpoint", "keys"):
        (three.path / name).unlink()
    shutil.rmtree(three.path / "checkpoints")
    for change, kind in (
        (lambda d: d.pop("successor"), "vault_older"),
        (lambda d: d.update(successor="other"), "predecessor"),
        (lambda d: d.update(hash="0" * 64), "predecessor"),
    ):
        document = json.loads(text)
        change(document)
        second.kept[f"{ORIGIN}/segment/2"] = (version, json.dumps(document))
        with pytest.raises(AnchorBroken) as caught:
            sign(three, second)
        assert caught.value.kind == kind
    second.kept[f"{ORIGIN}/segment/2"] = (version, text)
    assert sign(three, second).size == 3


# --- copies and trust ---


def test_the_copy_has_segments_too(three: Ledger, tmp_path: Path) -> None:
    objects = [ledger.objects.put_bytes(b"x" * 10) for ledger in (three,)]
    say(three, report=dict(objects[0]))
    done = backup(three, tmp_path / "copy")
    assert (done.size, done.changed, done.copied_objects) == (14, True, 1)
    assert backup(three, tmp_path / "copy").changed is False
    copied = Ledger.open(tmp_path / "copy", ORIGIN)
    assert [found.line for found in copied.entries()] == [found.line for found in three.entries()]
    report = verify(tmp_path / "copy")
    assert (report.state, report.segments, report.objects) == ("intact", 3, 1)
    assert compare(three.root, tmp_path / "copy") is None


def test_a_copy_follows_a_freeze(ledger: Ledger, second: Memory, tmp_path: Path) -> None:
    fill(ledger, 2)
    backup(ledger, tmp_path / "copy")
    freeze(ledger, second, METADATA, 2)
    assert backup(ledger, tmp_path / "copy").changed
    lines = ledger.root / "entries.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b'"number":0', b'"number":7'))
    assert compare(ledger.root, tmp_path / "copy") == Problem(
        0, "rewritten", f"it is not what the copy {tmp_path}/copy holds"
    )


def test_a_trusted_checkpoint_may_be_of_any_segment(three: Ledger, tmp_path: Path) -> None:
    for number, trusted in ((1, 5), (2, 10), (3, 13)):
        note = segments.place(three.root, number) / "checkpoint"
        report = check(three.root, ORIGIN, None, trusted=note)
        assert (report.state, report.size, report.trusted) == ("intact", 13, trusted)
        assert stranger_says(three.root, "--from", str(note)) == stranger.INTACT
    (three.root / "segments/2/entries.jsonl").unlink()
    report = check(three.root, ORIGIN, None, trusted=three.path / "checkpoint")
    assert report.state == "broken"


def test_frozen_segments_are_not_read_again(three: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[int, Any] = {}
    assert verify(three.root, verified=known).state == "intact"
    assert sorted(known) == [1, 2]
    (three.root / "entries.jsonl").write_bytes(
        (three.root / "entries.jsonl").read_bytes().replace(b'"number":0', b'"number":7')
    )
    assert verify(three.root, verified=known).state == "intact"
    assert verify(three.root, verified={}).state == "broken"


def test_a_segment_and_its_copy_are_two(three: Ledger, second: Memory, tmp_path: Path) -> None:
    """Whoever has the ledger's segment be the copy's, by a link, has one of them only."""
    backup(three, tmp_path / "copy")
    with pytest.raises(LedgerError, match="cannot be the ledger itself"):
        backup(three, three.root)
    place = segments.place(three.root, 2)
    shutil.rmtree(place)
    place.symlink_to(segments.place(tmp_path / "copy", 2))
    with pytest.raises(LedgerError, match="cannot be that segment itself: one of the two is a link"):
        backup(Ledger.open(three.root), tmp_path / "copy")


def test_a_link_to_another_segment_is_named(three: Ledger, tmp_path: Path) -> None:
    for number, target in ((2, three.root / "segments/3"), (3, three.root / "segments/2"), (2, tmp_path / "nowhere")):
        place = segments.place(three.root, number)
        place.rename(tmp_path / "aside")
        place.symlink_to(target)
        assert verify(three.root).state == "broken"
        assert stranger_says(three.root) in (stranger.BROKEN, stranger.UNUSABLE)
        with pytest.raises(LedgerError):
            Ledger.open(three.root)
        place.unlink()
        (tmp_path / "aside").rename(place)
    assert verify(three.root).intact


@pytest.mark.parametrize("name", ["03", "٣", "3.", "1", "0", "1000000", "+3", "new"])
def test_what_is_not_named_like_a_segment_is_none(three: Ledger, name: str) -> None:
    shutil.copytree(three.path, three.root / "segments" / name)
    assert Ledger.open(three.root).number == 3
    assert verify(three.root).segments == 3 and verify(three.root).intact
    assert stranger_says(three.root) == stranger.INTACT


def test_the_older_state_of_a_segment_is_named(three: Ledger, second: Memory, tmp_path: Path) -> None:
    """Each is put back to what it was: in itself that holds, but not for who was told of more."""
    shutil.copytree(three.path, tmp_path / "older")
    fill(three, 2, "later")
    sign(three, second)
    shutil.rmtree(three.path)
    shutil.copytree(tmp_path / "older", three.path)
    assert verify(three.root).intact
    with pytest.raises(AnchorBroken) as caught:
        sign(Ledger.open(three.root), second)
    assert caught.value.kind == "restored"
    # A frozen one: the next was begun after all of it.
    place = segments.place(three.root, 2)
    lines = (place / "entries.jsonl").read_bytes().splitlines(keepends=True)
    (place / "entries.jsonl").write_bytes(b"".join(lines[:4]))
    shutil.copy(place / "checkpoints/4", place / "checkpoint")
    (place / "checkpoints/5").unlink()
    assert (3, 0, "predecessor") in found(three.root)
    assert stranger_says(three.root) == stranger.BROKEN
