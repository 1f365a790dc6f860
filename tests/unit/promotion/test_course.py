# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A promotion in one call, copy and anchor included: killed between any two steps, refused, and asked for again."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.anchoring import copy_and_anchor
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import anchor, heads
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.course import Course, run_course
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.engine import Denied, Promoter, Waiting
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.evidence import AlreadyRecorded
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import REQUIRED_GATES, SANDBOX
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.plan import Requester
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.policy import Policy

from tests.unit.ledger.second_place import Memory

from .conftest import D1, D2, METADATA, Bench, FakeSignature, FakeSigner
from .test_kill_points import EFFECTS, Killed, Killer


class KeySigner(FakeSigner):
    """Signs with the key of the second place, as Vault does."""

    second: Memory

    def sign(self, data: bytes) -> FakeSignature:
        super().sign(data)
        _version, public = self.second.public_keys()[0]
        signature, key = self.second.sign(data, 1), base64.b64encode(public).decode()
        return FakeSignature(base64.b64encode(signature).decode(), public_key=key)


class Keeping(Bench):
    """A bench whose promoter has a copy and a second place, as promote.yml gives it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.second = Memory()
        self.signer = KeySigner()
        self.signer.second = self.second

    @property
    def promoter(self) -> Promoter:
        return replace(super().promoter, anchor=self.sign, keep=self.keep)

    def sign(self) -> object:
        return anchor(self.evidence.ledger, self.second, METADATA)

    def keep(self) -> bool:
        return copy_and_anchor(self.evidence.ledger, self.second, METADATA, self.root / "backup")

    def course(self, **wish: Any) -> Course:
        return run_course(self.promoter, "svc", Requester("tester"), self.scanners, **wish)

    def signed(self) -> int:
        ledger = self.evidence.ledger
        latest = heads.latest(ledger.path, heads.keys(ledger.path))
        return latest.size if latest else 0

    def copied(self) -> bytes:
        file = self.root / "backup/entries.jsonl"
        return file.read_bytes() if file.exists() else b""

    def story(self) -> list[str]:
        """The events, without those that say that they were kept."""
        return [event for event in self.events() if event not in ("backup", "signing_key")]

    def assert_kept(self) -> None:
        assert self.copied() == self.evidence.ledger.entries_path.read_bytes()
        assert self.signed() == self.evidence.ledger.head().size
        assert self.evidence.require_sound().state == "intact"


@pytest.fixture
def keeping(tmp_path: Path, gate_verdicts: dict[str, str]) -> Keeping:
    return at(tmp_path / "kept")


def at(folder: Path) -> Keeping:
    folder.mkdir()
    made = Keeping(folder)
    made.cluster.run(SANDBOX, "svc", D1)
    return made


def test_one_call_does_all_of_it_and_keeps_the_evidence(keeping: Keeping) -> None:
    course = keeping.course()
    assert (course.outcome.outcome, course.before, course.changed) == ("compliant", None, True)
    assert keeping.story() == ["requested", *REQUIRED_GATES, "started", "completed"]
    assert keeping.events()[-1] == "backup"
    keeping.assert_kept()


def test_again_it_changes_nothing(keeping: Keeping) -> None:
    keeping.course()
    before = keeping.events(), list(keeping.cluster.writes), list(keeping.second.kept.items())
    again = keeping.course()
    assert (again.outcome.outcome, again.before, again.changed) == ("unchanged", D1, False)
    assert (keeping.events(), keeping.cluster.writes, list(keeping.second.kept.items())) == before


@pytest.mark.parametrize("earlier", [[], [D1]])
def test_killed_between_any_two_steps_the_next_call_ends_the_same(
    earlier: list[str], tmp_path: Path, gate_verdicts: dict[str, str]
) -> None:
    def world(folder: Path) -> Keeping:
        made = at(folder)
        made.promoted(*earlier)
        made.cluster.run(SANDBOX, "svc", D2)
        return made

    effects = [*EFFECTS, (Memory, "sign"), (Memory, "write"), (Keeping, "sign"), (Keeping, "keep")]
    calm, counter = world(tmp_path / "calm"), Killer()
    with pytest.MonkeyPatch.context() as patched:
        counter.arm(patched, effects)
        calm.course()
    expected = calm.story(), calm.compliant_digest(), calm.cluster.admitted
    # Beside the first time the next one differs in few steps.
    for number in range(0, counter.count, 2 if earlier else 1):
        for after in (False, True):
            where = f"{'after' if after else 'before'} effect {number} ({counter.log[number]})"
            bench = world(tmp_path / f"{number}-{after}")
            with pytest.MonkeyPatch.context() as patched:
                Killer(number, after).arm(patched, effects)
                with pytest.raises(Killed):
                    bench.course()
            bench.course()
            assert (bench.story(), bench.compliant_digest(), bench.cluster.admitted) == expected, where
            bench.assert_kept()


def test_after_a_refusal_nothing_is_copied_and_nothing_is_signed(
    keeping: Keeping, gate_verdicts: dict[str, str]
) -> None:
    gate_verdicts["sast"] = "deny"
    with pytest.raises(Denied, match="gate sast denies"):
        keeping.course()
    assert keeping.story() == ["requested", *REQUIRED_GATES, "refused"]
    assert (keeping.copied(), keeping.signed(), keeping.cluster.writes) == (b"", 0, [])


def test_verdicts_that_are_there_are_not_asked_for_again(keeping: Keeping, gate_verdicts: dict[str, str]) -> None:
    keeping.second.down = True
    with pytest.raises(GoldenGooseError, match="it does not answer"):
        keeping.course()
    # Were a gate asked again, it would deny now.
    gate_verdicts["sast"] = "deny"
    keeping.second.down = False
    assert keeping.course().outcome.outcome == "compliant"
    assert keeping.events().count("sast") == 1
    keeping.assert_kept()


def test_a_copy_that_cannot_be_written_is_told_and_what_is_complete_is_anchored(keeping: Keeping) -> None:
    (keeping.root / "backup").write_text("a file where the folder should be")
    with pytest.raises(AlreadyRecorded, match=r"complete, but the last entries are not copied and anchored: .*backup"):
        keeping.course()
    assert keeping.events()[-1] == "completed"
    assert keeping.signed() == keeping.evidence.ledger.head().size
    (keeping.root / "backup").unlink()
    assert keeping.course().outcome.outcome == "unchanged"
    keeping.assert_kept()


def test_with_a_quorum_the_plan_is_announced_and_the_call_waits_for_people(keeping: Keeping) -> None:
    keeping.policy = Policy(quorum=1)
    with pytest.raises(Waiting, match="gate approvals cannot tell"):
        run_course(keeping.promoter, "svc", Requester("carol", "e-carol"), keeping.scanners)
    assert keeping.story()[:2] == ["planned", "requested"]
    assert keeping.cluster.writes == []


def test_in_check_mode_nothing_is_written(keeping: Keeping) -> None:
    promoter = replace(keeping.promoter, dry_run=True, keep=lambda: False)
    course = run_course(promoter, "svc", Requester("tester"), keeping.scanners)
    assert (course.outcome.outcome, course.outcome.reason) == ("requested", "a promotion would be requested")
    assert (keeping.events(), keeping.cluster.writes) == ([], [])
    assert not keeping.evidence.ledger.objects.path(course.plan.sha256).exists()
