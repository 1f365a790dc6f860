# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server goes away at each request in turn, for one or for the rest of the run, in each way in which servers do.

The run finishes, or ends with one sentence that names the server; then the next run ends as if nothing had happened.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import KubernetesCluster
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.anchoring import (
    checkpoint,
    copy_and_anchor,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import anchor
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion import evaluate as evaluation
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.engine import Promoter
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.gates import Scanners
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.gates.health import health
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.leases import Leases
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import SANDBOX
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.rollback import roll_back
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.runs import Owner
from ansible_collections.golden_goose.compliance.plugins.module_utils.vault import PromoterVault, VaultDown
from ansible_collections.golden_goose.compliance.plugins.module_utils.vault_heads import VaultHeads
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import D1, D2, METADATA, Bench
from .kills import Keeping, ended
from .servers import API, FAULTS, NAMES, PROMETHEUS, VAULT, Network
from .test_kill_points import first_promotion, next_promotion, next_rollout_unhealthy
from .test_kill_sets import all_or_nothing, healthy

Scenario = Callable[[Bench], Callable[[], Any]]


class Wired(Keeping):
    """A bench whose promoter reaches API server, Vault and Prometheus over a network that can fail."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.network = Network(self.cluster, self.second)
        kubeconfig = self.root / "kubeconfig"
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "clusters": [{"name": "c", "cluster": {"server": API}}],
                    "users": [{"name": "u", "user": {"token": "t"}}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                    "current-context": "x",
                }
            )
        )
        self.api = KubernetesCluster(kubeconfig)
        self.vault = PromoterVault(VAULT, "role", "secret")
        service = self.root / "services/svc/service.yml"
        service.write_text(service.read_text().replace("gates: {}", "gates: {health: {query: up}}"))

    @property
    def promoter(self) -> Promoter:
        return replace(
            super().promoter,
            cluster=self.api,
            lease=Leases(self.api).hold,
            signer=lambda: self.vault,
            rollout_timeout=1.0,
        )

    @property
    def scanners(self) -> Scanners:
        return replace(super().scanners, prometheus=PROMETHEUS)

    def sign(self) -> object:
        return anchor(self.evidence.ledger, VaultHeads(self.vault), METADATA)

    def keep(self) -> bool:
        return copy_and_anchor(self.evidence.ledger, VaultHeads(self.vault), METADATA, self.root / "backup")


def wired(folder: Path, scenario: Scenario) -> tuple[Wired, Callable[[], Any]]:
    folder.mkdir()
    bench = Wired(folder)
    bench.cluster.run(SANDBOX, "svc", D1)
    with bench.network.connected():
        return bench, scenario(bench)


def rollback(bench: Bench) -> Callable[[], Any]:
    bench.promoted(D1, D2)
    return lambda: roll_back(replace(bench.promoter, anchor=None, keep=None), "svc", "it is slow")


def settled(bench: Bench) -> dict[str, Any]:
    """Return how it ended, without what could not be told and was asked again, after the other gates."""
    found = ended(bench)
    told = [
        {key: value for key, value in said.items() if key != "attempt"}
        for said in found["evidence"]
        if said.get("verdict") != "defer"
    ]
    verdicts = sorted((said for said in told if "verdict" in said), key=lambda said: (said["promotion"], said["gate"]))
    return found | {"evidence": [said for said in told if "verdict" not in said], "verdicts": verdicts}


def run(action: Callable[[], Any]) -> str:
    """Run to the end; return the sentence of an error."""
    try:
        action()
    except GoldenGooseError as error:
        return str(error)
    return ""


def disturbed(folder: Path, scenario: Scenario, away: tuple[str, int, int, Any]) -> tuple[dict[str, Any], str]:
    """Run the scenario with the outage and, where it did not finish, once more; return its end and what it said."""
    bench, action = wired(folder, scenario)
    with bench.network.connected():
        with bench.network.outage(*away):
            said = run(action)
        assert bench.evidence.require_sound().state in ("intact", "incomplete")
        # A rollout that was not healthy, and has been put back, would only be tried anew.
        if said and bench.events()[-1] != "rolled_back":
            run(action)
    return settled(bench), said


def undisturbed(folder: Path, scenario: Scenario) -> tuple[dict[str, Any], dict[str, list[str]]]:
    bench, action = wired(folder, scenario)
    for asked in bench.network.asked.values():
        asked.clear()
    with bench.network.connected():
        run(action)
        asked = {server: list(requests) for server, requests in bench.network.asked.items()}
    return settled(bench), asked


@pytest.fixture
def real_health(gate_verdicts: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(evaluation.GATES, "health", health)


def at_any_request(server: str, scenario: Scenario, count: int, folder: Path) -> None:
    expected, asked = undisturbed(folder / "calm", scenario)
    assert asked[server]
    for number, what in enumerate(asked[server]):
        how = FAULTS[server][number % len(FAULTS[server])]
        found, said = disturbed(folder / str(number), scenario, (server, number, count, how))
        where = f"request {number} ({what}): {how}: {said}"
        assert found == expected, where
        assert not said or NAMES[server] in said or "did not become healthy" in said, where


FOR = pytest.mark.parametrize("count", [1, 0], ids=["for one request", "for the rest of the run"])


@FOR
@pytest.mark.parametrize(
    ("server", "scenario"),
    [
        (API, first_promotion),
        (API, next_promotion),
        (API, rollback),
        (VAULT, first_promotion),
        (PROMETHEUS, first_promotion),
    ],
)
@pytest.mark.usefixtures("real_health")
def test_a_server_is_away_at_any_request_and_the_next_run_finishes(
    server: str, scenario: Scenario, count: int, tmp_path: Path
) -> None:
    at_any_request(server, scenario, count, tmp_path)


@FOR
@pytest.mark.usefixtures("gate_verdicts")
def test_the_api_server_is_away_while_a_rollout_fails(count: int, tmp_path: Path) -> None:
    at_any_request(API, next_rollout_unhealthy, count, tmp_path)


@settings(max_examples=14, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([healthy, all_or_nothing]),
    st.sampled_from([API, VAULT]),
    st.floats(0, 0.999),
    st.sampled_from([1, 3, 0]),
    st.integers(0, 7),
)
@pytest.mark.usefixtures("gate_verdicts")
def test_a_server_is_away_while_a_set_is_promoted(
    scenario: Scenario, server: str, place: float, count: int, how: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        expected, asked = undisturbed(Path(folder, "calm"), scenario)
        bench, action = wired(Path(folder, "away"), scenario)
        away = (server, int(place * len(asked[server])), count, FAULTS[server][how % len(FAULTS[server])])
        with bench.network.connected():
            with bench.network.outage(*away):
                run(action)
            run(action)
            found = settled(bench)
            assert (found["objects"], found["admitted"]) == (expected["objects"], expected["admitted"])
            run(bench.keep)
            bench.assert_kept()


def test_a_lease_is_kept_through_a_short_absence_and_expires_through_a_long_one(tmp_path: Path) -> None:
    bench, _action = wired(tmp_path / "bench", first_promotion)
    ours = Leases(bench.api, seconds=0.9)
    with bench.network.connected(), ours.hold("svc", "promotion of svc"):
        before = bench.network.leases["promotion-svc"]["spec"]["renewTime"]
        with bench.network.outage(API, 0, 1, FAULTS[API][0]):
            assert _within(3, lambda: bench.network.leases["promotion-svc"]["spec"]["renewTime"] != before)
        with bench.network.outage(API, 0, 0, FAULTS[API][0]):
            assert _within(3, lambda: len(bench.network.asked[API]) >= 2)
        # The release at the end is not answered either: that is no failure of what was done.
        bench.network.away = (API, 0, 0, FAULTS[API][2])
    bench.network.away = None
    assert "promotion-svc" in bench.network.leases
    with (
        bench.network.connected(),
        Leases(bench.api, Owner(1, "1", "other"), wait_seconds=5, host="other").hold("svc", "promotion of svc"),
    ):
        assert bench.network.leases["promotion-svc"]["spec"]["holderIdentity"].startswith("other/")


@pytest.mark.parametrize("how", FAULTS[VAULT])
@pytest.mark.usefixtures("gate_verdicts")
def test_entries_are_kept_unanchored_while_vault_is_away_where_it_is_not_required(how: Any, tmp_path: Path) -> None:
    bench, play = wired(tmp_path / "bench", first_promotion)
    with bench.network.connected():
        play()
        bench.evidence.record("stopped", {"reason": "audit", "by": {"name": "bob"}})
        with bench.network.outage(VAULT, 0, 0, how):
            done = checkpoint(bench.evidence.ledger, VaultHeads(bench.vault), METADATA, required=False)
        assert (done.changed, done.unanchored) == (False, 1)
        assert f"1 entries are not anchored: Vault at {VAULT}" in done.warning
        assert checkpoint(bench.evidence.ledger, VaultHeads(bench.vault), METADATA).unanchored == 0


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def test_a_rollback_does_without_vault(bench: Bench) -> None:
    bench.promoted(D1, D2)
    bench.signer.failure = VaultDown("Vault at http://test does not answer (ConnectionError); start it.")
    assert roll_back(bench.promoter, "svc", "it is slow").digest == D1
