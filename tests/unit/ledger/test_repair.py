# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Repair: what can be proven is kept, what is lost is stated, and nothing is thrown away."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.repairing import repair_evidence
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    AnchorBroken,
    EntryRefused,
    Head,
    Key,
    Ledger,
    LedgerError,
    LedgerMissing,
    LossNotAccepted,
    Repaired,
    anchor,
    attributes,
    backup,
    entry,
    heads,
    verify,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger.diagnosis import compare
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger.kept import KeptHead
from ansible_collections.golden_goose.compliance.plugins.module_utils.locks import LockHeld, hold
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from .conftest import METADATA, ORIGIN, rewrite
from .second_place import Memory

Lines = list[bytes]


@pytest.fixture
def second() -> Memory:
    return Memory()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def fill(ledger: Ledger, count: int, **data: Any) -> None:
    ledger.append_many(
        [
            {"type": "validation", "event": "sast", "data": {"number": number, **data}, "metadata": METADATA}
            for number in range(count)
        ]
    )


def lines_of(path: Path) -> Lines:
    return (path / "entries.jsonl").read_bytes().splitlines(keepends=True)


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and "lock" not in p.name
    }


def mend(ledger: Ledger, copy: Path | None, second: Memory | None = None, **options: Any) -> Repaired:
    """Preview, which writes nothing, then repair; both say the same, and a second repair has nothing to do."""
    before = content(ledger.path)
    preview, _warning = repair_evidence(ledger.path, copy, METADATA, second=second, dry_run=True, **options)
    assert content(ledger.path) == before
    done, warning = repair_evidence(ledger.path, copy, METADATA, second=second, **options)
    assert warning == ""
    for name in ("changed", "kept", "head", "from_copy", "lost", "doubtful", "objects", "sequence"):
        assert getattr(preview, name) == getattr(done, name), name
    again, _warning = repair_evidence(ledger.path, copy, METADATA, second=second, **options)
    assert not again.changed and not again.behind, again.sentence()
    return done


def last(ledger: Ledger) -> entry.Entry:
    return list(Ledger.open(ledger.path).entries())[-1]


def reseal(lines: Lines, first: int, **changes: Any) -> Lines:
    """Rewrite entry ``first`` and put all hashes after it right."""
    kept, previous = lines[:first], entry.parse(lines[first - 1][:-1]).hash
    for line in lines[first:]:
        old = entry.parse(line[:-1])
        data = {**old.data, **(changes if old.sequence == first else {})}
        new = entry.seal(
            sequence=old.sequence,
            id=old.id,
            timestamp=old.timestamp,
            type=old.type,
            data=data,
            metadata=old.metadata,
            previous_hash=previous,
        )
        kept, previous = [*kept, new.line + b"\n"], new.hash
    return kept


def test_an_intact_ledger_is_left_alone(ledger: Ledger, copy: Path, second: Memory) -> None:
    fill(ledger, 3)
    anchor(ledger, second, METADATA)
    backup(ledger, copy)
    fill(ledger, 2)
    before = content(ledger.path)
    done = mend(ledger, copy, second)
    assert not done.changed and done.sentence() == "The ledger is intact, nothing to repair: 6 entries."
    assert content(ledger.path) == before


def test_a_bad_line_comes_from_the_copy_and_later_ones_stay(ledger: Ledger, copy: Path) -> None:
    fill(ledger, 5)
    backup(ledger, copy)
    fill(ledger, 3)
    original = lines_of(ledger.path)
    rewrite(ledger, lambda lines: [*lines[:2], lines[2].replace(b'"number":2', b'"number":7'), *lines[3:]])
    damaged = ledger.entries_path.read_bytes()
    done = mend(ledger, copy)
    assert (done.kept, done.from_copy, done.lost, done.sequence) == (8, 1, 0, 8)
    assert lines_of(ledger.path)[:8] == original
    said = last(ledger)
    assert (said.event, said.data["lost"], said.data["kept"], said.data["from_copy"]) == ("repaired", None, 8, 1)
    assert said.data["sha256"] == hashlib.sha256(damaged).hexdigest() and said.data["bytes"] == len(damaged)
    assert (ledger.path / said.data["set_aside"]).read_bytes() == damaged
    assert verify(ledger.path).intact and ledger.entries_path.stat().st_mode & 0o777 == 0o640
    fresh = Ledger.open(ledger.path)
    fresh.append(type="validation", event="sast", data={}, metadata=METADATA)
    assert backup(fresh, copy).size == 10


def test_lines_in_the_wrong_order_repeated_or_inserted_lose_nothing(ledger: Ledger) -> None:
    fill(ledger, 6)
    original = lines_of(ledger.path)
    rewrite(ledger, lambda x: [x[3], x[0], x[1], b"garbage\n", x[2], x[2], x[5], x[4], x[1]])
    done = mend(ledger, None)
    assert (done.kept, done.lost, done.from_copy) == (6, 0, 0)
    assert lines_of(ledger.path)[:6] == original and verify(ledger.path).intact


def test_a_loss_has_to_be_accepted_and_is_stated(ledger: Ledger, copy: Path) -> None:
    fill(ledger, 4)
    backup(ledger, copy)
    fill(ledger, 4)
    rewrite(ledger, lambda lines: [*lines[:5], *lines[6:]])
    before = content(ledger.path)
    with pytest.raises(
        LossNotAccepted, match=r"Entries 5 to 7 of .* can be restored from nowhere; .* accept_loss"
    ) as caught:
        repair_evidence(ledger.path, copy, METADATA)
    assert caught.value.facts["plan"]["lost"] == 3 and content(ledger.path) == before
    done = mend(ledger, copy, accept_loss=True)
    assert (done.kept, done.lost, done.sequence) == (5, 3, 5)
    assert last(ledger).data["lost"] == {
        "from": 5,
        "to": 7,
        "count": 3,
        "copy": hashlib.sha256((copy / "entries.jsonl").read_bytes()).hexdigest(),
    }
    assert verify(ledger.path).intact and backup(Ledger.open(ledger.path), copy).size == 6


def test_what_is_beyond_the_signed_head_of_vault_is_a_loss(ledger: Ledger, copy: Path, second: Memory) -> None:
    fill(ledger, 4)
    anchor(ledger, second, METADATA)
    backup(ledger, copy)
    fill(ledger, 4)
    lost = anchor(ledger, second, METADATA)
    # An older copy is put back: only Vault knows of more.
    shutil.rmtree(ledger.path)
    shutil.copytree(copy, ledger.path)
    with pytest.raises(AnchorBroken):
        anchor(Ledger.open(ledger.path), second, METADATA)
    with pytest.raises(LossNotAccepted, match="Entries 5 to 8"):
        repair_evidence(ledger.path, copy, METADATA, second=second)
    done = mend(ledger, copy, second, accept_loss=True)
    assert (done.kept, done.lost) == (5, 4)
    said = last(ledger).data["lost"]
    assert said["heads"] == [[lost.size, lost.as_dict()["root"]]]
    # Vault goes on from the repaired ledger, and shows what it kept before.
    version, document = second.read(ORIGIN)
    assert document is not None and (version, document["size"]) == (3, 6)
    assert document["lost"] == [[lost.size, lost.as_dict()["root"]]]
    fill(Ledger.open(ledger.path), 9)
    assert anchor(Ledger.open(ledger.path), second, METADATA).size == 15
    assert second.read(ORIGIN)[1]["lost"] == document["lost"]  # type: ignore[index]
    assert verify(ledger.path).signed == 15 and verify(ledger.path).intact


def test_nobody_moves_vaults_head_back_without_an_entry_that_says_so(
    ledger: Ledger, copy: Path, second: Memory
) -> None:
    fill(ledger, 4)
    anchor(ledger, second, METADATA)
    rewrite(ledger, lambda lines: lines[:2])
    shutil.rmtree(ledger.path / "checkpoints")
    (ledger.path / "checkpoint").unlink()
    for accept in (False, True):
        with pytest.raises(AnchorBroken, match="was cut"):
            anchor(Ledger.open(ledger.path), second, METADATA, accept_loss=accept)


def test_a_consistent_rewrite_against_a_signed_root_is_not_good(ledger: Ledger, copy: Path, second: Memory) -> None:
    fill(ledger, 8)
    anchor(ledger, second, METADATA)
    original = lines_of(ledger.path)
    backup(ledger, copy)
    rewrite(ledger, lambda lines: reseal(lines, 5, number=99))
    done = mend(ledger, copy, second)
    assert (done.kept, done.from_copy, done.lost, done.doubtful) == (9, 4, 0, 0)
    assert lines_of(ledger.path)[:9] == original


def test_the_bundles_are_another_copy(ledger: Ledger, second: Memory) -> None:
    fill(ledger, 300)
    anchor(ledger, second, METADATA)
    original = lines_of(ledger.path)
    rewrite(ledger, lambda lines: [*lines[:100], *lines[250:290]])
    done = mend(ledger, None, second)
    assert (done.kept, done.lost) == (301, 0) and lines_of(ledger.path)[:301] == original


def test_without_the_original_a_rewrite_is_kept_as_far_as_the_tiles_prove_it(
    ledger: Ledger, copy: Path, second: Memory
) -> None:
    fill(ledger, 8)
    anchor(ledger, second, METADATA)
    rewrite(ledger, lambda lines: reseal(lines, 5, number=99))
    shutil.rmtree(ledger.path / "tile" / "entries")
    done = mend(ledger, None, second, accept_loss=True)
    assert (done.kept, done.lost) == (5, 4)
    shutil.rmtree(ledger.path / "tile")
    assert verify(ledger.path).state == "incomplete"  # Tiles are made again by the next repair.
    assert mend(ledger, None, second).kept == 7  # With the entries about the repair and the key.


def test_the_leaves_tell_even_when_nothing_signed_is_reached(ledger: Ledger, second: Memory) -> None:
    fill(ledger, 8)
    anchor(ledger, second, METADATA)
    rewrite(ledger, lambda lines: reseal(lines, 5, number=99)[:7])
    shutil.rmtree(ledger.path / "tile" / "entries")
    done = mend(ledger, None, second, accept_loss=True)
    assert (done.kept, done.lost, done.proven) == (5, 4, 0)


def test_nothing_signed_decides_so_the_copy_does(ledger: Ledger, copy: Path) -> None:
    fill(ledger, 8)
    backup(ledger, copy)
    original = lines_of(ledger.path)
    rewrite(ledger, lambda lines: reseal(lines, 5, number=99))
    with pytest.raises(LossNotAccepted, match="contradict the copy"):
        repair_evidence(ledger.path, copy, METADATA)
    done = mend(ledger, copy, accept_loss=True)
    assert (done.kept, done.lost, done.doubtful) == (8, 0, 3)
    assert lines_of(ledger.path)[:8] == original and last(ledger).data["doubtful"] == 3


def test_a_forged_statement_of_a_loss_does_not_win_over_the_copy(ledger: Ledger, copy: Path, second: Memory) -> None:
    fill(ledger, 8)
    anchor(ledger, second, METADATA)
    backup(ledger, copy)
    original = lines_of(ledger.path)
    (ledger.path / "checkpoint").unlink()
    shutil.rmtree(ledger.path / "checkpoints")
    shutil.rmtree(ledger.path / "tile")
    rewrite(ledger, lambda lines: lines[:3])
    _version, document = second.read(ORIGIN)
    assert document is not None
    [root] = document["note"].splitlines()[2:3]
    data = {"lost": {"from": 3, "to": 8, "heads": [[9, root]]}}
    Ledger.open(ledger.path).append(type="validation", event="repaired", data=data, metadata=METADATA)
    done = mend(ledger, copy, second, accept_loss=True)
    assert (done.kept, done.lost) == (9, 0) and lines_of(ledger.path)[:9] == original


def test_a_folder_that_is_gone_comes_back_whole(ledger: Ledger, copy: Path, second: Memory) -> None:
    ledger.append(
        type="validation",
        event="sast",
        data={"object": dict(ledger.objects.put_bytes(b"report"))},
        metadata=METADATA,
    )
    anchor(ledger, second, METADATA)
    backup(ledger, copy)
    shutil.rmtree(ledger.path)
    done = mend(ledger, copy, second)
    assert (done.kept, done.objects, done.lost) == (2, 1, 0)
    report = verify(ledger.path, ORIGIN)
    assert report.intact and (report.objects, report.signed) == (1, 3)


def test_what_retention_dropped_is_not_brought_back(ledger: Ledger, copy: Path) -> None:
    reference = dict(ledger.objects.put_bytes(b"old"))
    ledger.append(type="validation", event="sast", data={"object": reference}, metadata=METADATA)
    backup(ledger, copy)
    data = {"objects": [{"sha256": reference["sha256"], "size": 3}]}
    ledger.append(type="validation", event="objects_dropped", data=data, metadata=METADATA)
    ledger.objects.path(str(reference["sha256"])).unlink()
    rewrite(ledger, lambda lines: lines[::-1])
    assert (mend(ledger, copy).objects, verify(ledger.path).dropped) == (0, 1)


def test_objects_are_restored_and_the_altered_ones_kept(ledger: Ledger, copy: Path) -> None:
    one, two, gone = (dict(ledger.objects.put_bytes(data)) for data in (b"one", b"two", b"gone"))
    data = {"objects": [one, two, gone]}
    ledger.append(type="validation", event="sast", data=data, metadata=METADATA)
    backup(ledger, copy)
    ledger.objects.path(str(one["sha256"])).write_bytes(b"One")
    ledger.objects.path(str(two["sha256"])).unlink()
    for objects in (ledger.objects, Ledger.open(copy).objects):
        objects.path(str(gone["sha256"])).unlink()
    done = mend(ledger, copy)
    assert (done.changed, done.objects, done.sequence) == (True, 2, None)
    report = verify(ledger.path)
    assert [problem.kind for problem in report.problems] == ["object_missing"]
    assert [path.read_bytes() for path in (ledger.path / done.set_aside).rglob("*") if path.is_file()] == [b"One"]
    again, _warning = repair_evidence(ledger.path, copy, METADATA)
    assert not again.changed and again.sentence().startswith(
        "Nothing more can be restored. The evidence is incomplete."
    )


@pytest.mark.parametrize("name", ["checkpoint", "keys", "tile/0/000.p/9", "tile/entries/000.p/9", "ledger.json"])
def test_derived_files_are_made_again(ledger: Ledger, copy: Path, second: Memory, name: str) -> None:
    fill(ledger, 8)
    anchor(ledger, second, METADATA)
    backup(ledger, copy)
    whole = (ledger.path / name).read_bytes()
    (ledger.path / name).write_bytes(b"x" + whole[:-3])
    assert not verify(ledger.path).intact
    done = mend(ledger, copy, second)
    assert (done.changed, done.lost, done.sequence) == (True, 0, None)
    assert (ledger.path / name).read_bytes() == whole and verify(ledger.path).intact
    assert list((ledger.path / "damaged").rglob("*")) != []


def test_vault_is_moved_by_a_later_run_when_it_did_not_answer(ledger: Ledger, copy: Path, second: Memory) -> None:
    fill(ledger, 8)
    anchor(ledger, second, METADATA)
    shutil.rmtree(ledger.path / "tile")
    rewrite(ledger, lambda lines: lines[:4])
    kept = KeptHead.parse(second.read(ORIGIN)[1], ORIGIN)  # type: ignore[arg-type]
    with monkey_sign(second), pytest.raises(GoldenGooseError, match="does not answer"):
        repair_evidence(ledger.path, None, METADATA, second=second, accept_loss=True)
    assert verify(ledger.path).state == "incomplete" or verify(ledger.path).intact
    with pytest.raises(LossNotAccepted, match="Vault keeps the head of entries"):
        repair_evidence(ledger.path, None, METADATA, second=second)
    done, _warning = repair_evidence(ledger.path, None, METADATA, second=second, accept_loss=True)
    assert done.behind and not done.changed
    compare(Ledger.open(ledger.path), KeptHead.parse(second.read(ORIGIN)[1], ORIGIN), kept.keys)  # type: ignore[arg-type]
    assert not mend(ledger, None, second).changed


def monkey_sign(second: Memory) -> Any:
    """Have the second place fail when it is to sign."""

    def sign(_data: bytes, _version: int) -> bytes:
        raise GoldenGooseError("it does not answer")

    patched = pytest.MonkeyPatch.context()
    return _Patched(patched, second, sign)


class _Patched:
    def __init__(self, context: Any, second: Memory, sign: Callable[[bytes, int], bytes]) -> None:
        self.context, self.second, self.sign = context, second, sign

    def __enter__(self) -> None:
        self.context.__enter__().setattr(self.second, "sign", self.sign)

    def __exit__(self, *error: Any) -> None:
        self.context.__exit__(*error)


def test_a_ledger_that_is_append_only_is_so_afterwards(ledger: Ledger, copy: Path) -> None:
    fill(ledger, 4)
    backup(ledger, copy)
    rewrite(ledger, lambda lines: lines[:2])
    if attributes.protect(ledger.path, "auto")[1]:
        pytest.skip("no append-only attribute here")
    assert mend(ledger, copy).kept == 4
    assert attributes.is_set(ledger.entries_path)
    attributes.release(ledger.path)


def test_refusals_say_one_sentence(ledger: Ledger, copy: Path, tmp_path: Path) -> None:
    fill(ledger, 4)
    rewrite(ledger, lambda lines: lines[1:])
    before = content(ledger.path)

    def refused(match: str, kind: type[GoldenGooseError] = LedgerError, **options: Any) -> None:
        arguments = {"path": ledger.path, "copy": None, "metadata": METADATA} | options
        with pytest.raises(kind, match=match):
            repair_evidence(**arguments)
        assert content(ledger.path) == before

    Ledger.create(copy, "example.test/other")
    refused(r"is no copy of .*: it is of the origin 'example.test/other'", copy=copy)
    refused("There is no copy of a ledger at", LedgerMissing, copy=tmp_path / "nowhere")
    refused("is of the origin 'example.test/sandbox', not 'example.test/x'", origin="example.test/x")
    refused("There is neither a ledger at", LedgerMissing, path=tmp_path / "nowhere")
    refused("needs 'sprint'", EntryRefused, metadata={}, accept_loss=True)
    with hold(ledger.path / "repair.lock", "another repair"):
        refused("is held by another repair", LockHeld)
    shutil.rmtree(copy)
    copy.mkdir()
    (copy / "ledger.json").write_bytes((ledger.path / "ledger.json").read_bytes())
    (copy / "entries.jsonl").mkdir()
    refused("Cannot repair .*Is a directory", copy=copy)


def test_keys_that_were_given_decide_what_is_signed(ledger: Ledger, copy: Path, second: Memory) -> None:
    fill(ledger, 4)
    anchor(ledger, second, METADATA)
    [key] = heads.keys(ledger.path)
    rewrite(ledger, lambda lines: lines[:3])
    shutil.rmtree(ledger.path / "tile")
    with pytest.raises(LossNotAccepted):
        repair_evidence(ledger.path, None, METADATA, keys=[key])
    done, _warning = repair_evidence(ledger.path, None, METADATA, keys=[Key(ORIGIN, b"k" * 32)])
    assert (done.kept, done.lost) == (3, 0)


Damage = Callable[[Lines], Lines]


@st.composite
def damage(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    kinds = st.sampled_from(["flip", "drop", "repeat", "swap", "insert", "cut", "torn"])
    return draw(st.lists(st.tuples(kinds, st.integers(0, 30), st.integers(0, 5000)), max_size=4))


def apply(lines: Lines, done: list[tuple[str, int, int]]) -> Lines:
    for kind, place, extra in done:
        at = place % len(lines) if lines else 0
        if not lines:
            return lines
        if kind == "flip":
            byte = extra % (len(lines[at]) - 1) if len(lines[at]) > 1 else 0
            lines[at] = lines[at][:byte] + bytes([lines[at][byte] ^ 1 << extra % 7]) + lines[at][byte + 1 :]
        elif kind == "drop":
            del lines[at]
        elif kind == "repeat":
            lines.insert(extra % (len(lines) + 1), lines[at])
        elif kind == "swap":
            other = extra % len(lines)
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == "insert":
            lines.insert(at, b'{"not":"an entry"}\n')
        elif kind == "cut":
            del lines[at:]
        elif kind == "torn":
            lines[-1] = lines[-1][: -1 - extra % len(lines[-1])]
        # Nothing is left of a line that was torn at its first byte, which the next damage could be done to.
        lines[:] = [line for line in lines if line]
    return lines


@pytest.fixture(scope="module")
def story() -> Lines:
    with tempfile.TemporaryDirectory() as name:
        ledger = Ledger.create(Path(name) / "l", ORIGIN)
        fill(ledger, 12)
        return lines_of(ledger.path)


@given(mine=damage(), theirs=damage(), copied=st.integers(0, 12))
@example(mine=[("torn", 0, 0), ("torn", 0, 456), ("flip", 1, 0)], theirs=[("torn", 0, 455)] * 3, copied=12)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_damage_what_can_be_proven_is_kept_and_nothing_else(
    story: Lines, mine: list[tuple[str, int, int]], theirs: list[tuple[str, int, int]], copied: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        ledger, copy = Ledger.create(Path(name) / "l", ORIGIN), Ledger.create(Path(name) / "c", ORIGIN)
        ours, other = apply([*story], mine), apply(story[:copied], theirs)
        ledger.entries_path.write_bytes(b"".join(ours))
        copy.entries_path.write_bytes(b"".join(other))
        there = {*lines_of(ledger.path), *lines_of(copy.path)}
        provable = next((n for n, line in enumerate(story) if line not in there), len(story))
        done, _warning = repair_evidence(ledger.path, copy.path, METADATA, accept_loss=True)
        assert done.kept == provable and done.doubtful == 0
        after = lines_of(ledger.path)
        assert after[:provable] == story[:provable] and len(after) <= provable + 1
        report = verify(ledger.path, trusted=Head(0, ""))
        assert report.state in ("intact", "nothing_to_verify") or [p.kind for p in report.problems] == ["torn_tail"]
        assert not repair_evidence(ledger.path, copy.path, METADATA, accept_loss=True)[0].changed


@given(
    mine=damage(), signed=st.integers(1, 12), copied=st.integers(0, 12), forged=st.integers(1, 12), gone=st.booleans()
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_signed_is_kept_whatever_was_forged(
    story: Lines, mine: list[tuple[str, int, int]], signed: int, copied: int, forged: int, gone: bool
) -> None:
    """Vault knows a head of ``signed`` entries; from ``forged`` on the ledger is rewritten, all hashes right."""
    with tempfile.TemporaryDirectory() as name:
        ledger, copy, second = (
            Ledger.create(Path(name) / "l", ORIGIN),
            Ledger.create(Path(name) / "c", ORIGIN),
            Memory(),
        )
        ledger.entries_path.write_bytes(b"".join(story[:signed]))
        head = anchor(ledger, second, METADATA).size  # With the entry that names the key.
        original = lines_of(ledger.path)
        copy.entries_path.write_bytes(b"".join(original[:copied]))
        if gone:
            shutil.rmtree(ledger.path / "tile")
        lines = reseal(original, forged, number=99) if forged < head else original
        ledger.entries_path.write_bytes(b"".join(apply([*lines], mine)))
        done, _warning = repair_evidence(ledger.path, copy.path, METADATA, second=second, accept_loss=True)
        after = lines_of(ledger.path)
        assert not gone or done.kept == head or done.lost
        if not gone:  # The bundles have all that was signed. An unreadable line after it may have been an entry.
            assert done.kept == head
            assert done.lost == 0 or any(kind in ("insert", "flip", "repeat", "swap") for kind, *_rest in mine)
        # Without the leaves that were signed nobody can tell what is beyond both the copy and a root.
        sure = done.kept if not gone else max(done.proven, min(copied, done.kept))
        assert after[:sure] == original[:sure]
        report = verify(ledger.path, keys=heads.keys(ledger.path))
        assert report.state == "intact" or [p.kind for p in report.problems] == ["torn_tail"], report.sentence()
        again, _warning = repair_evidence(ledger.path, copy.path, METADATA, second=second, accept_loss=True)
        assert not again.changed and not again.behind
