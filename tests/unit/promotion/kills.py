# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills: at which effect a run ends, and what is compared after it was run again.

A kill just before one effect is a kill just after the one before it: in between, a run only reads.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.anchoring import copy_and_anchor
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.keeping import check
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    Ledger,
    Objects,
    anchor,
    heads,
    segments,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.course import Course, run_course
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.engine import Promoter, RolloutFailed
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import SANDBOX
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.plan import Requester

from tests.unit.ledger.second_place import Memory

from .conftest import D1, METADATA, Bench, FakeCluster, FakeSignature, FakeSigner, Killed

# From a bench to what is run in it.
Scenario = Callable[[Bench], Callable[[], Any]]
EFFECTS: list[tuple[Any, str]] = [
    (Ledger, "append"),
    (Objects, "put_bytes"),
    (FakeSigner, "sign"),
    (FakeCluster, "apply"),
    (FakeCluster, "delete"),
    (FakeCluster, "admit"),
    (FakeCluster, "dismiss"),
    (Memory, "write"),
]
# With these a kill comes in the middle of a step: between the lines of ledger, objects, copy and tree.
SYSTEM_CALLS: list[tuple[Any, str]] = [
    *((os, name) for name in ("pwrite", "replace", "rename")),
    *(effect for effect in EFFECTS if effect[0] not in (Ledger, Objects)),
]
# What a ledger says of itself, and of what stopped a run: a kill may leave more or less of it.
_OF_ITSELF = frozenset({"repair", "frozen", "continued", "signing_key"})
_SAID = ("event", "service", "digest", "from_digest", "previous_digest", "gate", "verdict", "attempt", "reason")
_SAID_TOO = ("automatic", "plan", "replicas", "answered", "order", "requested_by", "rollback_to", "stage", "by")


class Killer:
    """Counts effects and kills before number ``at``. What comes after a kill has no effect, cleaning up neither.

    :param half: have the first half of what is written reach the file before the kill.
    """

    def __init__(
        self, at: int | None = None, effects: Sequence[tuple[Any, str]] = tuple(EFFECTS), half: bool = False
    ) -> None:
        self.at, self.effects, self.half, self.log = at, effects, half, list[str]()
        self.dead = False

    @property
    def count(self) -> int:
        return len(self.log)

    @contextmanager
    def armed(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patched:
            for owner, name in self.effects:
                patched.setattr(owner, name, self._wrap(getattr(owner, name), name))
            yield

    def _wrap(self, effect: Callable[..., Any], name: str) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if options.get("dry_run"):
                return effect(*arguments, **options)
            if self.dead or len(self.log) == self.at:
                if self.half and not self.dead and name == "pwrite":
                    effect(arguments[0], arguments[1][: len(arguments[1]) // 2], arguments[2])
                self.dead = True
                raise Killed
            self.log.append(name)
            return effect(*arguments, **options)

        return wrapped


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
        file = segments.place(self.root / "backup", self.evidence.ledger.number) / "entries.jsonl"
        return file.read_bytes() if file.exists() else b""

    def assert_kept(self) -> None:
        assert self.copied() == self.evidence.ledger.entries_path.read_bytes()
        assert self.signed() == self.evidence.ledger.head().size
        assert check(self.root / "ledger", None, self.root / "backup").state == "intact"


def reopened(bench: Bench) -> None:
    """Have the bench forget what the killed process knew of the ledger."""
    bench.evidence = replace(bench.evidence, ledger=Ledger.open(bench.root / "ledger"))


def evidence(bench: Bench) -> list[dict[str, Any]]:
    """Return what each entry says, without what no two runs have in common: times, hashes and random ids."""
    numbers: dict[str, int] = {}
    found = []
    for data in bench.entries():
        passing = data["event"] == "refused" and not data["final"]
        if data["event"] in _OF_ITSELF or passing:
            continue
        said = {key: data[key] for key in (*_SAID, *_SAID_TOO) if key in data}
        if data.get("gate") == "chain":
            del said["reason"]  # It counts the entries.
        if "promotion_id" in data:
            said["promotion"] = numbers.setdefault(data["promotion_id"], len(numbers))
        found.append(said)
    return found


def steps(bench: Bench) -> list[tuple[Any, ...]]:
    """Return the steps of promotions that the ledger tells of; none may be there twice."""
    return [
        (data["promotion_id"], data["event"], data.get("attempt", 1))
        for data in bench.entries()
        if "promotion_id" in data and data.get("final", True)
    ]


def ended(bench: Bench) -> dict[str, Any]:
    """Return what is compared: the evidence, all objects of the cluster, and the list of images."""
    found = steps(bench)
    assert len(found) == len(set(found)), "a step is there twice"
    assert bench.evidence.require_sound().state == "intact"
    return {
        "evidence": evidence(bench),
        "objects": {key: _without_id(item) for key, item in bench.cluster.objects.items()},
        "admitted": bench.cluster.admitted,
    }


def run(action: Callable[[], Any]) -> None:
    """Run to the end, be it a rollout that failed."""
    with suppress(RolloutFailed):
        action()


def fresh(folder: Path) -> Keeping:
    """Return a bench in a folder of its own, with something in the sandbox."""
    folder.mkdir()
    bench = Keeping(folder)
    bench.cluster.run(SANDBOX, "svc", D1)
    return bench


def calm(
    scenario: Scenario, folder: Path, effects: Sequence[tuple[Any, str]] = tuple(EFFECTS)
) -> tuple[dict[str, Any], list[str]]:
    """Return how the scenario ends when nothing disturbs it, and its effects."""
    bench = fresh(folder)
    action, counter = scenario(bench), Killer(effects=effects)
    with counter.armed():
        run(action)
    return ended(bench), counter.log


def again(scenario: Scenario, folder: Path, killer: Killer, expected: dict[str, Any]) -> tuple[Keeping, dict[str, Any]]:
    """Run the scenario into the kill, then again; return how it ends."""
    bench = fresh(folder)
    action = scenario(bench)
    with killer.armed(), pytest.raises(Killed):
        action()
    reopened(bench)
    if not (_failed(bench) and _unkept(evidence(bench)) == _unkept(expected["evidence"])):
        run(action)
    elif expected["evidence"][-1]["event"] == "backup":
        # A failure that is told of is not finished by another run, which would try anew; only the copy is.
        bench.keep()
    return bench, ended(bench)


def killed_before_each(
    scenario: Scenario, folder: Path, expected: dict[str, Any], effects: Sequence[str]
) -> list[Keeping]:
    """Kill the scenario before each of its ``effects`` in turn; each must end as ``expected`` when run again."""
    benches = []
    for number, name in enumerate(effects):
        bench, found = again(scenario, folder / str(number), Killer(number), expected)
        assert found == expected, f"before effect {number} ({name})"
        benches.append(bench)
    return benches


def _failed(bench: Bench) -> bool:
    return any(data["event"] == "rolled_back" and data["automatic"] for data in bench.entries())


def _unkept(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in said if one["event"] != "backup"]


def _without_id(item: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in item["metadata"].items() if key != "annotations"}
    return item | {"metadata": metadata}
