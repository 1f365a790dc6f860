# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is done in whatever order, killed or cut off or not: what the ledger says is what the cluster runs."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import ClusterUnavailable
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Entry
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion import evaluate as evaluation
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.identity import Identity
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import (
    COMPLIANT,
    REQUIRED_GATES,
    SANDBOX,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.people import (
    Voice,
    lift,
    resume,
    stop,
    veto,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.policy import Policy
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.rollback import roll_back
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.sets import to_take_back
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.standing import Standing
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.state import fold
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from .conftest import Bench, FakeCluster, Killed, fake_gate
from .kills import Killer

NAMES = ("a", "b", "c")
DEPENDENCIES = {"a": [], "b": ["a"], "c": ["a", "b"]}
DIGESTS = [f"sha256:{digit * 64}" for digit in "123"]
SOMEONE = Voice(Identity("operator"))

names, digests = st.sampled_from(NAMES), st.sampled_from(DIGESTS)


class Life(RuleBasedStateMachine):
    """Three services, each depending on those before it, under one ledger and one cluster."""

    @initialize(on_failure=st.sampled_from(["stop", "continue", "all_or_nothing"]))
    def begin(self, on_failure: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.patched = pytest.MonkeyPatch()
        self.verdicts = dict.fromkeys(REQUIRED_GATES, "allow")
        fakes = {name: fake_gate(name, self.verdicts) for name in REQUIRED_GATES}
        self.patched.setattr(evaluation, "GATES", fakes)
        self.bench = Bench(Path(self.folder.name), policy=Policy(order="dependency", on_failure=on_failure))
        self.said, self.looked_at = list[str](), 0
        for name in NAMES:
            self.bench.add(name, DIGESTS[0], DEPENDENCIES[name])

    def teardown(self) -> None:
        if hasattr(self, "patched"):
            self.patched.undo()
            self.folder.cleanup()

    @rule(name=names, digest=digests)
    def deploy(self, name: str, digest: str) -> None:
        self.bench.cluster.run(SANDBOX, name, digest)

    @rule(digest=digests)
    def break_or_mend(self, digest: str) -> None:
        # What runs in compliant stays as healthy as it was.
        running = {self.bench.cluster.digest(COMPLIANT, name) for name in NAMES}
        if digest not in running:
            self.bench.cluster.broken ^= {digest}

    @rule(name=names)
    def deny_or_allow(self, name: str) -> None:
        key = f"sast:{name}"
        self.verdicts[key] = "allow" if self.verdicts.get(key) == "deny" else "deny"

    @rule(name=names)
    def request_only(self, name: str) -> None:
        with suppress(GoldenGooseError):
            self.bench.promoter.request(name, None, "tester")

    @rule(members=st.sets(names, min_size=1))
    def promote(self, members: set[str]) -> None:
        settled = None
        with suppress(GoldenGooseError):
            settled = self.bench.play_set(sorted(members))
        # All or nothing: after a run that ended, nothing of a set that failed is left to be taken back.
        if settled is not None and settled.missing:
            assert to_take_back(settled.plan, fold(self.bench.evidence.entries())) == []

    @rule(members=st.sets(names, min_size=1), at=st.integers(0, 40), count=st.sampled_from([1, 2, 1000]))
    def promote_while_the_api_server_is_away_and_again(self, members: set[str], at: int, count: int) -> None:
        calls = iter(range(1_000_000))

        def answer(_cluster: FakeCluster) -> None:
            if at <= next(calls) < at + count:
                raise ClusterUnavailable("The API server at https://test does not answer.")

        with pytest.MonkeyPatch.context() as patched, suppress(GoldenGooseError):
            patched.setattr(FakeCluster, "_answer", answer)
            self.bench.play_set(sorted(members))
        with suppress(GoldenGooseError):
            self.bench.play_set(sorted(members))

    @rule(members=st.sets(names, min_size=1), at=st.integers(0, 30))
    def promote_killed_and_again(self, members: set[str], at: int) -> None:
        with Killer(at).armed(), suppress(Killed, GoldenGooseError):
            self.bench.play_set(sorted(members))
        with suppress(GoldenGooseError):
            self.bench.play_set(sorted(members))

    @rule(name=names, remove=st.booleans())
    def go_back(self, name: str, remove: bool) -> None:
        with suppress(GoldenGooseError):
            roll_back(self.bench.promoter, name, "it is slow", remove=remove)

    @rule(digest=digests)
    def veto_or_lift(self, digest: str) -> None:
        vetoed = digest in Standing.of(self.bench.evidence.entries()).vetoes
        (lift if vetoed else veto)(self.bench.evidence, SOMEONE, digest, "so")

    @rule(name=st.sampled_from([*NAMES, None]))
    def stop_or_resume(self, name: str | None) -> None:
        stopped = (name or "") in Standing.of(self.bench.evidence.entries()).stops
        (resume if stopped else stop)(self.bench.evidence, SOMEONE, name, "so")

    @invariant()
    def what_was_said_stays_said(self) -> None:
        if not hasattr(self, "bench"):
            return
        said = [entry.hash for entry in self.bench.evidence.entries()]
        assert said[: len(self.said)] == self.said
        self.said = said

    @invariant()
    def nothing_was_started_before_what_it_depends_on_or_while_the_line_was_stopped(self) -> None:
        if not hasattr(self, "bench"):
            return
        before: list[Entry] = []
        for entry in self.bench.evidence.entries():
            if entry.data["event"] == "started" and entry.sequence >= self.looked_at:
                name, states = entry.data["service"], fold(before)
                assert all(states[other].compliant for other in DEPENDENCIES[name]), name
                assert Standing.of(before).stop_of(name) is None
            before.append(entry)
        self.looked_at = len(before)

    @invariant()
    def the_cluster_runs_what_the_ledger_says(self) -> None:
        if not hasattr(self, "bench"):
            return
        states = fold(self.bench.evidence.entries())
        for name in NAMES:
            state = states.get(name)
            if state is not None and state.open is not None and state.open.phase != "requested":
                continue
            said = state.compliant.digest if state and state.compliant else None
            assert self.bench.cluster.digest(COMPLIANT, name) == said, name

    @invariant()
    def what_runs_is_on_the_list_and_no_step_is_there_twice(self) -> None:
        if not hasattr(self, "bench"):
            return
        for name in NAMES:
            digest = self.bench.cluster.digest(COMPLIANT, name)
            assert digest is None or f"golden-goose.local/{name}@{digest}" in self.bench.cluster.admitted
        identities = [entry.id for entry in self.bench.evidence.entries()]
        assert len(identities) == len(set(identities))
        assert self.bench.evidence.require_sound().state in ("intact", "nothing_to_verify")

    @invariant()
    def nothing_vetoed_was_started(self) -> None:
        if not hasattr(self, "bench"):
            return
        vetoed: set[str] = set()
        for entry in self.bench.evidence.entries():
            event, digest = entry.data["event"], entry.data.get("digest")
            if event == "vetoed":
                vetoed.add(str(digest))
            elif event == "veto_lifted":
                vetoed.discard(str(digest))
            assert not (event == "started" and digest in vetoed)


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=30,
    stateful_step_count=16,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
