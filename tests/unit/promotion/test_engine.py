# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine on good and bad days: what it writes, what it touches, what it refuses."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    Ledger,
    LedgerBroken,
    LedgerError,
    backup,
    canonical,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.engine import Denied, RolloutFailed
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import (
    COMPLIANT,
    REQUIRED_GATES,
    SANDBOX,
    Refused,
    step_id,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.state import state_of

from .conftest import D1, D2, Bench

HAPPY = ["requested", *REQUIRED_GATES, "started", "completed"]


def test_a_promotion_leaves_its_steps_in_order_and_the_digest_in_compliant(bench: Bench) -> None:
    outcome = bench.play()
    assert bench.events() == HAPPY
    assert bench.compliant_digest() == D1
    completed = list(bench.evidence.entries())[-1]
    assert (outcome.outcome, outcome.changed, outcome.hash_chain_id) == ("compliant", True, completed.hash)
    assert completed.id == step_id(outcome.promotion_id, "completed")
    assert completed.data["answered"] == {"path": "/healthz", "status": 200, "version": "1.0.0"}


def test_a_second_run_writes_and_changes_nothing(bench: Bench) -> None:
    first = bench.play()
    writes = list(bench.cluster.writes)
    second = bench.play()
    assert (second.outcome, second.changed) == ("unchanged", False)
    assert second.hash_chain_id == first.hash_chain_id
    assert bench.events() == HAPPY
    assert bench.cluster.writes == writes


def test_a_compliant_service_that_the_cluster_lost_is_promoted_again(bench: Bench) -> None:
    bench.play()
    bench.cluster.objects.pop((COMPLIANT, "Deployment", "svc"))
    assert bench.play().outcome == "compliant"
    assert bench.events() == HAPPY * 2


def test_the_signature_is_over_what_the_started_entry_says(bench: Bench) -> None:
    bench.play()
    started = next(data for data in bench.entries() if data["event"] == "started")
    content = canonical.encode({key: started[key] for key in ("promotion_id", "service", "digest", "verdicts")})
    assert bench.signer.signed == [content]
    assert started["verdicts_sha256"] == hashlib.sha256(content).hexdigest()
    hashes = {entry.id: entry.hash for entry in bench.evidence.entries()}
    assert all(hashes[verdict["entry"]] == verdict["hash"] for verdict in started["verdicts"])


@pytest.mark.parametrize("gate", REQUIRED_GATES)
@pytest.mark.parametrize("verdict", ["deny", "defer"])
def test_one_gate_that_does_not_allow_stops_it_before_cluster_and_vault(
    bench: Bench, gate_verdicts: dict[str, str], gate: str, verdict: str
) -> None:
    gate_verdicts[gate] = verdict
    with pytest.raises(Denied, match=rf"gate {gate} .*: {gate} saw 1 \(required: 0\)\.$") as caught:
        bench.play()
    assert bench.cluster.writes == []
    assert bench.signer.signed == []
    assert bench.events() == ["requested", *REQUIRED_GATES, "refused"]
    assert caught.value.facts["denied"][0] == {
        "gate": gate,
        "verdict": verdict,
        "reason": f"{gate} saw 1 (required: 0)",
        "observed": {"n": 1},
        "required": {"n": 0},
    }


def test_after_a_denial_the_next_run_starts_over(bench: Bench, gate_verdicts: dict[str, str]) -> None:
    gate_verdicts["sast"] = "deny"
    with pytest.raises(Denied):
        bench.play()
    gate_verdicts["sast"] = "allow"
    assert bench.play().outcome == "compliant"
    assert bench.events() == ["requested", *REQUIRED_GATES, "refused", *HAPPY]


@pytest.mark.parametrize("missing", REQUIRED_GATES)
def test_a_gate_that_was_not_evaluated_is_a_deny(bench: Bench, missing: str) -> None:
    bench.promoter.request("svc", None, "tester")
    bench.promoter.evaluate("svc", bench.scanners, [gate for gate in REQUIRED_GATES if gate != missing])
    with pytest.raises(Denied, match=f"gate {missing} denies: there is no verdict"):
        bench.promoter.promote("svc")
    assert bench.cluster.writes == []


def test_a_verdict_written_past_the_engine_does_not_count(bench: Bench) -> None:
    requested = bench.promoter.request("svc", None, "tester")
    for gate in REQUIRED_GATES:
        forged = {"promotion_id": requested.promotion_id, "digest": D1, "gate": gate, "verdict": "allow"}
        bench.evidence.record(gate, forged, type="validation")
    with pytest.raises(Denied, match="gate provenance denies: there is no verdict"):
        bench.promoter.promote("svc")


def test_an_unknown_service_is_refused_and_recorded(bench: Bench) -> None:
    with pytest.raises(GoldenGooseError, match=r"There is no service '\.\./svc'"):
        bench.promoter.request("../svc", None, "tester")
    assert bench.entries()[-1]["event"] == "refused"
    assert not list((bench.root / "run").glob("**/*"))


def test_a_malformed_service_is_refused_and_recorded(bench: Bench) -> None:
    (bench.root / "services" / "svc" / "service.yml").write_text("name: svc\nport: 8080\n")
    with pytest.raises(GoldenGooseError, match="image"):
        bench.play()
    assert bench.events() == ["refused"]


def test_a_service_that_sandbox_does_not_run_is_refused(bench: Bench) -> None:
    bench.cluster.objects.clear()
    with pytest.raises(Refused, match=r"svc is not deployed in sandbox; deploy it with playbooks/deploy.yml"):
        bench.play()
    assert bench.events() == ["refused"]


def test_an_image_without_a_digest_is_refused(bench: Bench) -> None:
    bench.cluster.objects[SANDBOX, "Deployment", "svc"]["spec"]["template"]["spec"]["containers"][0]["image"] = "x:1"
    with pytest.raises(Refused, match="runs x:1, which is not pinned by digest"):
        bench.play()


def test_with_the_api_server_down_nothing_but_a_refusal_is_left(bench: Bench) -> None:
    bench.cluster.down = True
    with pytest.raises(GoldenGooseError, match="does not answer"):
        bench.play()
    assert bench.events() == ["refused"]


def test_with_vault_down_it_stops_before_the_cluster_and_resumes_later(bench: Bench) -> None:
    bench.signer.failure = GoldenGooseError("Vault at http://127.0.0.1:8200 does not answer.")
    with pytest.raises(GoldenGooseError, match="Vault at"):
        bench.play()
    assert bench.cluster.writes == []
    assert bench.entries()[-1]["event"] == "refused"
    assert bench.entries()[-1]["final"] is False
    bench.signer.failure = None
    assert bench.play().outcome == "compliant"
    assert bench.events() == ["requested", *REQUIRED_GATES, "refused", "started", "completed"]


def test_an_api_server_that_goes_away_during_the_rollout_leaves_it_to_be_finished(bench: Bench) -> None:
    bench.promoter.request("svc", None, "tester")
    bench.promoter.evaluate("svc", bench.scanners, REQUIRED_GATES)
    wait = bench.cluster.wait_rollout

    def away(*_: object) -> None:
        bench.cluster.down = True
        bench.cluster.deployment(COMPLIANT, "svc")

    bench.cluster.wait_rollout = away  # type: ignore[assignment]
    with pytest.raises(GoldenGooseError, match="has started and is finished by running it again"):
        bench.promoter.promote("svc")
    bench.cluster.down, bench.cluster.wait_rollout = False, wait  # type: ignore[method-assign]
    assert bench.play().outcome == "compliant"
    assert bench.events().count("started") == bench.events().count("completed") == 1


def test_an_unhealthy_first_rollout_is_taken_out_again(bench: Bench) -> None:
    bench.cluster.broken.add(D1)
    with pytest.raises(RolloutFailed, match=r"0 of 1 pods ready; compliant is empty again"):
        bench.play()
    assert bench.compliant_digest() is None
    assert bench.events()[-3:] == ["started", "failed", "rolled_back"]
    assert bench.entries()[-1] | {"promotion_id": "", "reason": "", "plan": ""} == {
        "event": "rolled_back",
        "promotion_id": "",
        "plan": "",
        "service": "svc",
        "digest": None,
        "from_digest": D1,
        "reason": "",
        "automatic": True,
    }


def test_an_unhealthy_rollout_is_put_back_to_the_previous_digest(bench: Bench) -> None:
    bench.promoted(D1)
    bench.cluster.run(SANDBOX, "svc", D2)
    bench.cluster.broken.add(D2)
    with pytest.raises(RolloutFailed, match="compliant was put back to sha256:111111111111"):
        bench.play()
    assert bench.compliant_digest() == D1
    state = state_of(bench.evidence.entries(), "svc")
    assert state.compliant is not None and state.compliant.digest == D1
    assert state.open is None


def test_objects_that_the_new_version_no_longer_has_are_removed(bench: Bench) -> None:
    extra = bench.root / "services" / "svc" / "deploy" / "config.yaml.j2"
    extra.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old}\n")
    bench.promoted(D1)
    assert (COMPLIANT, "ConfigMap", "old") in bench.cluster.objects
    extra.unlink()
    bench.promoted(D2)
    assert (COMPLIANT, "ConfigMap", "old") not in bench.cluster.objects


def test_a_request_for_another_digest_closes_the_unfinished_one(bench: Bench) -> None:
    bench.promoter.request("svc", None, "tester")
    bench.promoted(D2)
    assert bench.events() == ["requested", "refused", *HAPPY]
    assert bench.entries()[1]["final"] is True


def test_a_request_for_another_digest_puts_a_half_done_rollout_back(bench: Bench) -> None:
    bench.promoted(D1)
    bench.cluster.run(SANDBOX, "svc", D2)
    bench.promoter.request("svc", None, "tester")
    bench.promoter.evaluate("svc", bench.scanners, REQUIRED_GATES)
    bench.cluster.down = False
    complete = bench.promoter.cluster.wait_rollout

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    bench.cluster.wait_rollout = killed  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        bench.promoter.promote("svc")
    assert bench.compliant_digest() == D2
    bench.cluster.wait_rollout = complete  # type: ignore[method-assign]
    bench.cluster.run(SANDBOX, "svc", D1)
    assert bench.play().outcome == "unchanged"
    assert bench.compliant_digest() == D1
    assert bench.events()[-2:] == ["failed", "rolled_back"]


def test_an_old_request_is_not_resumed_with_its_old_verdicts(bench: Bench) -> None:
    early = Ledger(bench.evidence.ledger.path, "test", now=lambda: datetime.now(UTC) - timedelta(hours=2))
    early.append(
        type="promotion",
        event="requested",
        data={"service": "svc", "digest": D1},
        metadata=bench.evidence.metadata,
    )
    assert bench.play().outcome == "compliant"
    assert bench.events() == ["requested", "refused", *HAPPY]
    assert "older than 3600 s" in bench.entries()[1]["reason"]


@pytest.mark.parametrize("damage", ["edit", "remove", "swap", "cut"])
@pytest.mark.parametrize("step", ["request", "evaluate", "promote"])
def test_a_damaged_ledger_stops_every_step_and_gets_no_more_entries(bench: Bench, damage: str, step: str) -> None:
    bench.promoter.request("svc", None, "tester")
    bench.promoter.evaluate("svc", bench.scanners, REQUIRED_GATES)
    backup(bench.evidence.ledger, bench.root / "backup")
    file = bench.evidence.ledger.entries_path
    lines = file.read_bytes().splitlines(keepends=True)
    damaged = {
        "edit": [lines[0], lines[1].replace(b'"allow"', b'"Allow"'), *lines[2:]],
        "remove": [lines[0], *lines[2:]],
        "swap": [lines[1], lines[0], *lines[2:]],
        "cut": lines[:-1],
    }[damage]
    assert damaged != lines
    file.write_bytes(b"".join(damaged))
    call = {
        "request": lambda: bench.promoter.request("svc", None, "tester"),
        "evaluate": lambda: bench.promoter.evaluate("svc", bench.scanners, REQUIRED_GATES),
        "promote": lambda: bench.promoter.promote("svc"),
    }[step]
    with pytest.raises(LedgerBroken, match="nothing was appended and nothing was promoted"):
        call()
    assert file.read_bytes() == b"".join(damaged)
    assert bench.cluster.writes == []
    assert bench.signer.signed == []


def test_a_full_disk_is_said_and_leaves_the_cluster_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.promoter.request("svc", None, "tester")
    bench.promoter.evaluate("svc", bench.scanners, REQUIRED_GATES)

    def full(*_: object, **__: object) -> None:
        raise LedgerError("Cannot append to the ledger: No space left on device.")

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "append", full)
        with pytest.raises(LedgerError, match="No space left"):
            bench.promoter.promote("svc")
    assert bench.cluster.writes == []
    assert bench.promoter.promote("svc").outcome == "compliant"


def test_check_mode_says_what_would_be_and_writes_nothing(bench: Bench) -> None:
    before = bench.evidence.ledger.entries_path.read_bytes()
    promoter = bench.promoter.__class__(
        **{
            **bench.promoter.__dict__,
            "dry_run": True,
            "evidence": bench.evidence.__class__(**{**bench.evidence.__dict__, "read_only": True}),
        }
    )
    assert promoter.request("svc", None, "tester").changed is True
    with pytest.raises(GoldenGooseError):
        promoter.request("nobody", None, "tester")
    assert bench.evidence.ledger.entries_path.read_bytes() == before
    assert not (bench.root / "run").exists()


def test_promote_without_a_request_is_refused(bench: Bench) -> None:
    with pytest.raises(Refused, match="There is no open promotion of svc"):
        bench.promoter.promote("svc")
    assert json.dumps(bench.entries()[-1]["reason"])


@pytest.mark.parametrize("digest", ["latest", "sha256:12", f"sha512:{'1' * 64}"])
def test_what_is_not_a_digest_is_refused(bench: Bench, digest: str) -> None:
    with pytest.raises(Refused, match=f"'{digest}' is not the digest of an image"):
        bench.promoter.request("svc", digest, "tester")
    assert bench.events() == ["refused"]
