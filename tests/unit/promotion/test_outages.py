# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server goes away at each call of a promotion in turn: one sentence that names it, and the next run finishes.

Every call of the API server and of Vault (signature, anchor) is numbered, reads as well as writes; from one of them on
the server answers nothing more, until it is back for the next run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import ClusterUnavailable
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.engine import Promoter
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.rollback import roll_back
from ansible_collections.golden_goose.compliance.plugins.module_utils.vault import VaultDown

from .conftest import D1, D2, Bench, FakeCluster, FakeSigner
from .kills import fresh
from .test_kill_points import compliant_objects, next_promotion, rollback

API = "The API server at https://test does not answer (ConnectTimeoutError); start it."
VAULT = "Vault at http://test does not answer (ConnectionError); start it."


class Outage:
    """Counts the calls of one server; from call ``at`` on, it is away."""

    def __init__(self, error: GoldenGooseError, calls: list[tuple[type, str]], at: int | None = None) -> None:
        self.error, self.calls, self.at, self.log = error, calls, at, list[str]()

    def arm(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for owner, name in self.calls:
            monkeypatch.setattr(owner, name, self._wrap(getattr(owner, name), name))

    def _wrap(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            self.log.append(name)
            if self.at is not None and len(self.log) > self.at:
                raise type(self.error)(str(self.error))
            return call(*arguments, **options)

        return wrapped


class Anchoring(Bench):
    """A bench whose promoter keeps the head in Vault."""

    @property
    def promoter(self) -> Promoter:
        return replace(super().promoter, anchor=self.anchor)

    def anchor(self) -> None:
        """Stand in for Vault's key-value store."""


def anchoring(folder: Path) -> Bench:
    folder.mkdir()
    bench = Anchoring(folder)
    bench.cluster.run("sandbox", "svc", D1)
    return bench


CLUSTER_CALLS = [
    (FakeCluster, name)
    for name in ("deployment", "apply", "admit", "dismiss", "delete", "wait_rollout", "get", "wait_answer")
]
SERVERS: dict[str, tuple[GoldenGooseError, list[tuple[type, str]]]] = {
    "api": (ClusterUnavailable(API), CLUSTER_CALLS),
    "vault": (VaultDown(VAULT), [(FakeSigner, "sign"), (Anchoring, "anchor")]),
}


def first(bench: Bench) -> Callable[[], Any]:
    return bench.play


def done(bench: Bench) -> list[tuple[str, str | None]]:
    """Return what has happened, without refusals that left the promotion open and what could not be told."""
    return [
        (data["event"], data.get("digest"))
        for data in bench.entries()
        if data.get("final", True) and data.get("verdict", "allow") == "allow"
    ]


@pytest.mark.parametrize(
    ("server", "scenario"),
    [("api", first), ("api", next_promotion), ("api", rollback), ("vault", first), ("vault", next_promotion)],
)
def test_a_server_goes_away_at_any_call_and_the_next_run_finishes(
    server: str, scenario: Callable[[Bench], Callable[[], Any]], tmp_path: Path, gate_verdicts: dict[str, str]
) -> None:
    make = anchoring if server == "vault" else fresh
    error, calls = SERVERS[server]
    calm = make(tmp_path / "calm")
    action, counter = scenario(calm), Outage(error, calls)
    with pytest.MonkeyPatch.context() as patched:
        counter.arm(patched)
        action()
    expected = (done(calm), calm.compliant_digest(), compliant_objects(calm), calm.cluster.admitted)
    assert len(counter.log) > 1
    for number, name in enumerate(counter.log):
        where = f"from call {number} ({name}) on"
        bench = make(tmp_path / str(number))
        action = scenario(bench)
        with pytest.MonkeyPatch.context() as patched:
            Outage(error, calls, number).arm(patched)
            with pytest.raises(GoldenGooseError) as raised:
                action()
        assert str(error).rstrip(".").partition(";")[0] in str(raised.value), where
        assert bench.evidence.require_sound().state == "intact", where
        action()
        ended = (done(bench), bench.compliant_digest(), compliant_objects(bench), bench.cluster.admitted)
        assert ended == expected, where


def test_a_rollback_does_without_vault(bench: Bench) -> None:
    bench.promoted(D1, D2)
    bench.signer.failure = VaultDown(VAULT)
    assert roll_back(bench.promoter, "svc", "it is slow").digest == D1
