# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The head is kept in a second place: what is done to the ledger is named, with the first bad entry."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.keeping import check
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    AnchorBroken,
    Anchored,
    Appended,
    BadCheckpoint,
    Ledger,
    LedgerBroken,
    LedgerError,
    anchor,
    backup,
    entry,
    heads,
    tree,
    verify,
)

from .conftest import METADATA, ORIGIN, rewrite
from .second_place import Memory

# Its package has the function under this name.
anchor_module = sys.modules[anchor.__module__]

Add = Callable[..., Appended]


@pytest.fixture
def second() -> Memory:
    return Memory()


def fill(ledger: Ledger, count: int, tag: str = "x") -> None:
    for number in range(count):
        ledger.append(type="validation", event="sast", data={"number": number, "tag": tag}, metadata=METADATA)


def sign(ledger: Ledger, second: Memory, **options: Any) -> Anchored:
    return anchor(ledger, second, METADATA, **options)


def problems(ledger: Ledger) -> list[tuple[int | None, str]]:
    return [(problem.sequence, problem.kind) for problem in verify(ledger.path).problems]


def refused(ledger: Ledger, second: Memory) -> tuple[str, int | None]:
    """Return kind and sequence of the refusal, after seeing that nothing was written anywhere."""
    before = (dict(second.kept), _content(ledger.path))
    with pytest.raises(AnchorBroken) as caught:
        sign(ledger, second)
    assert (dict(second.kept), _content(ledger.path)) == before
    return caught.value.kind, caught.value.facts["sequence"]


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and "lock" not in path.name}


def test_entries_are_signed_and_kept(ledger: Ledger, second: Memory) -> None:
    fill(ledger, 3)
    assert verify(ledger.path).unanchored == 3
    done = sign(ledger, second)
    # The entry that names the key is the fourth.
    assert (done.size, done.added, done.changed) == (4, 4, True)
    report = verify(ledger.path)
    assert (report.state, report.signed, report.unanchored) == ("intact", 4, 0)
    assert sign(ledger, second).changed is False
    fill(ledger, 1)
    assert verify(ledger.path).unanchored == 1
    assert sign(ledger, second).added == 1


def test_the_order_is_stage_swap_apply_publish(ledger: Ledger, second: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(ledger, 2)
    sign(ledger, second)
    fill(ledger, 2)
    order: list[str] = []
    for module, name in ((heads, "stage"), (heads, "publish"), (tree.tiles, "write"), (tree.tiles, "drop_partial")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, real=real, name=name: (order.append(name), real(*a))[1])
    monkeypatch.setattr(second, "calls", order)
    sign(ledger, second)
    assert order == ["public_keys", "read", "sign", "stage", "write", "write", "publish", "drop_partial"]


@pytest.mark.parametrize("where", ["stage", "write", "publish"])
def test_a_kill_anywhere_is_finished_by_the_next_run(
    ledger: Ledger, second: Memory, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    fill(ledger, 2)
    sign(ledger, second)
    fill(ledger, 260)
    target = {"stage": (heads, "stage"), "write": (tree.tiles, "write"), "publish": (heads, "publish")}[where]

    def killed(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*target, killed)
        with pytest.raises(KeyboardInterrupt):
            sign(ledger, second)
    assert verify(ledger.path).state in ("intact", "incomplete")
    done = sign(ledger, second)
    assert done.size == 263
    assert (verify(ledger.path).state, verify(ledger.path).signed) == ("intact", 263)


def test_an_answer_that_was_lost_is_no_fork(ledger: Ledger, second: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(ledger, 2)
    sign(ledger, second)
    fill(ledger, 2)
    real = second.write

    def lost(*arguments: Any) -> None:
        real(*arguments)
        raise GoldenGooseError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(second, "write", lost)
        with pytest.raises(GoldenGooseError, match="no answer"):
            sign(ledger, second)
    assert sign(ledger, second).changed is False
    assert verify(ledger.path).signed == 5


def test_without_the_second_place_entries_are_durable_and_counted(ledger: Ledger, second: Memory) -> None:
    fill(ledger, 2)
    sign(ledger, second)
    second.down = True
    fill(ledger, 3)
    with pytest.raises(GoldenGooseError, match="does not answer"):
        sign(ledger, second)
    report = verify(ledger.path)
    assert (report.state, report.size, report.unanchored) == ("intact", 6, 3)


def test_a_cut_tail_is_named(ledger: Ledger, second: Memory) -> None:
    fill(ledger, 5)
    sign(ledger, second)
    rewrite(ledger, lambda lines: lines[:4])
    assert refused(ledger, second) == ("cut", 4)
    assert (4, "cut") in problems(ledger)
    with pytest.raises(LedgerBroken, match="cut off"):
        Ledger.open(ledger.path)


def test_a_restored_older_copy_is_named(ledger: Ledger, second: Memory, tmp_path: Path) -> None:
    fill(ledger, 3)
    sign(ledger, second)
    shutil.copytree(ledger.path, tmp_path / "copy")
    fill(ledger, 3)
    sign(ledger, second)
    shutil.rmtree(ledger.path)
    shutil.copytree(tmp_path / "copy", ledger.path)
    # It holds in itself: only the second place can tell.
    assert verify(ledger.path).state == "intact"
    assert refused(ledger, second) == ("restored", 4)


def test_a_fork_is_named(ledger: Ledger, second: Memory, tmp_path: Path) -> None:
    fill(ledger, 3)
    sign(ledger, second)
    shutil.copytree(ledger.path, tmp_path / "copy")
    fill(ledger, 3)
    sign(ledger, second)
    other = Ledger.open(tmp_path / "copy")
    fill(other, 5, "other")
    assert refused(other, second) == ("forked", 4)


def test_a_rewritten_ledger_is_named_with_its_first_entry(ledger: Ledger, second: Memory) -> None:
    fill(ledger, 3)
    sign(ledger, second)
    fill(ledger, 3)
    sign(ledger, second)
    rewrite(ledger, lambda lines: _resealed(lines, 5))
    assert problems(ledger)[-1] == (5, "rewritten")
    assert refused(ledger, second) == ("rewritten", 5)
    # Also when the forger makes the tiles again: then the last head that holds is the proof.
    shutil.rmtree(ledger.path / "tile")
    assert refused(ledger, second) == ("rewritten", 4)


def test_a_ledger_made_again_with_new_keys_is_named(ledger: Ledger, second: Memory, tmp_path: Path) -> None:
    fill(ledger, 5)
    sign(ledger, second)
    again = Ledger.create(tmp_path / "again", ORIGIN)
    fill(again, 9, "forged")
    sign(again, Memory(seed=7))
    assert verify(again.path).state == "intact"
    assert refused(again, second) == ("rewritten", 0)
    # With the true keys a stranger sees it, too.
    assert {p.kind for p in verify(again.path, keys=heads.keys(ledger.path)).problems} == {"checkpoint"}


def test_a_checkpoint_by_a_foreign_key_is_named(ledger: Ledger, second: Memory, tmp_path: Path) -> None:
    fill(ledger, 5)
    sign(ledger, second)
    forger = Memory(seed=7)
    forged = heads.checkpoint.Checkpoint(ORIGIN, 6, heads.latest_claimed(ledger.path).root)  # type: ignore[union-attr]
    key = heads.checkpoint.Key(ORIGIN, forger.public_keys()[0][1])
    heads.publish(ledger.path, forged.signed(key, forger.sign(forged.body().encode(), 1)))
    assert refused(ledger, second)[0] == "foreign_key"


def test_a_second_place_made_again_is_no_first_start(ledger: Ledger, second: Memory) -> None:
    fill(ledger, 3)
    sign(ledger, second)
    fill(ledger, 1)
    again = Memory(seed=9)
    assert refused(ledger, again)[0] == "vault_lost"
    # Also when the forger removes what shows that it was signed: the entries say so.
    for name in ("checkpoint", "keys"):
        (ledger.path / name).rename(ledger.path.parent / name)
    assert refused(ledger, again)[0] == "vault_lost"
    for name in ("checkpoint", "keys"):
        (ledger.path.parent / name).rename(ledger.path / name)
    done = sign(ledger, again, accept_replaced=True)
    assert done.added == done.size - 4
    assert [e.event for e in ledger.entries()][-2:] == ["anchor_replaced", "signing_key"]
    assert verify(ledger.path).state == "intact"
    assert sign(ledger, again).changed is False


def test_a_broken_ledger_does_not_replace_a_lost_head(ledger: Ledger, second: Memory) -> None:
    fill(ledger, 4)
    sign(ledger, second)
    rewrite(ledger, lambda lines: [lines[0].replace(b'"number":0', b'"number":1'), *lines[1:]])
    with pytest.raises(LedgerError, match="not replaced"):
        sign(ledger, Memory(seed=9), accept_replaced=True)


def test_a_second_place_put_back_is_named(ledger: Ledger, second: Memory) -> None:
    fill(ledger, 2)
    sign(ledger, second)
    old = dict(second.kept)
    fill(ledger, 2)
    sign(ledger, second)
    second.kept = old
    assert refused(ledger, second) == ("vault_older", 3)
    assert sign(ledger, second, accept_replaced=True).size == 6


def test_a_rotated_key_is_vouched_for_by_the_old_one(ledger: Ledger, second: Memory) -> None:
    fill(ledger, 2)
    sign(ledger, second)
    old = heads.keys(ledger.path)
    second.rotate(seed=2)
    fill(ledger, 1)
    done = sign(ledger, second)
    new = heads.keys(ledger.path)
    assert len(new) == 2 and done.key == str(new[1])
    # Who knows only the old key, or only the new one, believes this checkpoint; the other signature is ignored.
    assert heads.latest(ledger.path, old) and heads.latest(ledger.path, new[1:])
    assert any(e.event == "signing_key" and e.data["vkey"] == str(new[1]) for e in ledger.entries())
    fill(ledger, 1)
    sign(ledger, second)
    assert verify(ledger.path).state == "intact"
    assert {p.kind for p in verify(ledger.path, keys=old).problems} == {"checkpoint"}


def test_lost_tiles_are_made_again(ledger: Ledger, second: Memory) -> None:
    fill(ledger, 300)
    sign(ledger, second)
    before = _content(ledger.path / "tile")
    shutil.rmtree(ledger.path / "tile")
    assert verify(ledger.path).state == "incomplete"
    fill(ledger, 1)
    sign(ledger, second)
    assert verify(ledger.path).state == "intact"
    assert _content(ledger.path / "tile").items() >= {k: v for k, v in before.items() if ".p" not in k}.items()


def test_two_at_once_lose_nothing(ledger: Ledger, second: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine with the same ledger moves the head between our look and our swap."""
    fill(ledger, 2)
    real, done = second.write, []

    def raced(*arguments: Any) -> None:
        if not done:
            done.append(True)
            second.kept[ORIGIN] = (1, second.kept.get(ORIGIN, (0, "null"))[1])
        real(*arguments)

    monkeypatch.setattr(second, "write", raced)
    assert sign(ledger, second).size == 3


def _resealed(lines: list[bytes], first: int) -> list[bytes]:
    """Forge entry ``first`` and put right all hashes after it."""
    forged, previous = lines[:first], ""
    for line in lines[first:]:
        old = entry.parse(line[:-1])
        new = entry.seal(
            sequence=old.sequence,
            id=old.id,
            timestamp=old.timestamp,
            type=old.type,
            data={**old.data, "forged": True} if old.sequence == first else old.data,
            metadata=old.metadata,
            previous_hash=previous or old.previous_hash,
        )
        previous = new.hash
        forged.append(new.line + b"\n")
    return forged


def test_the_copy_has_checkpoints_and_tiles_of_its_own(ledger: Ledger, second: Memory, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    for _round in range(3):
        fill(ledger, 150)
        sign(ledger, second)
        fill(ledger, 1)
        assert backup(ledger, target).changed
    report = verify(target)
    assert (report.state, report.signed, report.unanchored) == ("intact", 453, 1)
    assert heads.sizes(target) == heads.sizes(ledger.path) == [151, 302, 453]
    assert backup(ledger, target).changed is False
    shutil.rmtree(target / "tile")
    assert backup(ledger, target).changed
    assert verify(target).state == "intact"


def test_without_the_library_checkpoints_are_compared_all_the_same(ledger: Ledger, second: Memory) -> None:
    fill(ledger, 3)
    sign(ledger, second)
    assert verify(ledger.path, signatures=False).state == "intact"
    rewrite(ledger, lambda lines: lines[:2])
    first = verify(ledger.path, signatures=False).problems[0]
    assert (first.sequence, first.kind) == (2, "cut")


def test_verification_goes_on_from_a_trusted_checkpoint(ledger: Ledger, second: Memory, tmp_path: Path) -> None:
    fill(ledger, 3)
    sign(ledger, second)
    trusted = tmp_path / "trusted"
    trusted.write_bytes((ledger.path / "checkpoint").read_bytes())
    fill(ledger, 300)
    sign(ledger, second)
    report = check(ledger.path, ORIGIN, None, trusted=trusted)
    assert (report.state, report.trusted, report.size) == ("intact", 4, 304)
    rewrite(ledger, lambda lines: lines[:3])
    assert (3, "cut") in [(p.sequence, p.kind) for p in check(ledger.path, ORIGIN, None, trusted=trusted).problems]
    trusted.write_text(trusted.read_text().replace("\n4\n", "\n3\n"))
    with pytest.raises(BadCheckpoint):
        check(ledger.path, ORIGIN, None, trusted=trusted)


def test_who_waited_for_another_process_does_not_sign_again(
    ledger: Ledger, second: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(ledger, 2)
    sign(ledger, second)
    fill(ledger, 3)
    whole = anchor_module.hold
    calls: list[str] = []

    @contextmanager
    def waited(*arguments: Any) -> Iterator[None]:
        monkeypatch.setattr(anchor_module, "hold", whole)
        assert sign(ledger, second).added == 3
        calls.extend(second.calls)
        with whole(*arguments):
            yield

    monkeypatch.setattr(anchor_module, "hold", waited)
    done = sign(ledger, second)
    assert (done.size, done.added, done.changed) == (ledger.head().size, 0, False)
    assert second.calls == calls
    # With nothing to wait for, the second place is always asked.
    assert sign(ledger, second).changed is False
    assert second.calls == [*calls, "public_keys", "read"]


def test_a_head_that_is_signed_by_nobody_known_is_not_taken_for_one(
    ledger: Ledger, second: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(ledger, 2)
    sign(ledger, second)
    fill(ledger, 3)
    whole = anchor_module.hold

    @contextmanager
    def forged(*arguments: Any) -> Iterator[None]:
        monkeypatch.setattr(anchor_module, "hold", whole)
        note = (ledger.path / heads.LATEST).read_text().splitlines()
        note[1] = str(ledger.head().size)
        (ledger.path / heads.LATEST).write_text("\n".join(note) + "\n")
        with whole(*arguments):
            yield

    monkeypatch.setattr(anchor_module, "hold", forged)
    with pytest.raises(AnchorBroken):
        sign(ledger, second)
