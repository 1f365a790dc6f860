# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not promoted: one sentence that says why, an entry, and a cluster that was not touched."""

from __future__ import annotations

import shutil
import time
from typing import Any

import pytest

from .instance import Instance, edit


@pytest.fixture(scope="module")
def service_b(promoted: Instance) -> str:
    """A copy of the template service with another name, running in the sandbox."""
    promoted.copy_service("service-b")
    promoted.play("deploy", service="service-b")
    return "service-b"


def refused(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the data of the one refusal among ``entries``."""
    found = [entry["data"] for entry in entries if entry["data"]["event"] == "refused"]
    assert len(found) == 1, entries
    return found[0]


def denials(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the data of each verdict among ``entries`` that is not allow, by gate."""
    return {
        entry["data"]["gate"]: entry["data"] for entry in entries if entry["data"].get("verdict", "allow") != "allow"
    }


@pytest.mark.parametrize("playbook", ["deploy", "promote"])
def test_an_unknown_service(promoted: Instance, playbook: str) -> None:
    with promoted.compliant_untouched(), promoted.appended() as added:
        message = promoted.refused(playbook, service="service-x")
    assert message.startswith(f"There is no service 'service-x' in {promoted.services}; known are: service-a")
    assert refused(added)["service"] == "service-x"
    assert refused(added)["reason"] == message


def test_no_service_at_all(promoted: Instance) -> None:
    assert promoted.refused("promote") == (
        "No service is named; say which with -e service=<name>, for example -e service=service-a."
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("port: 8080", "port: http", "port"),
        ("gates:", "gates: [", "service.yml"),
        ("min_percent: 90", "min_percent: 900", "gates.coverage.min_percent"),
    ],
)
def test_a_malformed_service_yml(promoted: Instance, old: str, new: str, said: str) -> None:
    folder = promoted.copy_service("service-m")
    edit(folder / "service.yml", old, new)
    with promoted.compliant_untouched(), promoted.appended() as added:
        message = promoted.refused("promote", service="service-m")
    assert str(folder / "service.yml") in message
    assert said in message
    assert refused(added)["reason"] == message
    shutil.rmtree(folder)


def test_three_nodes_in_sandbox_mode(promoted: Instance) -> None:
    infrastructure = {
        "kubernetes": {"nodes": 3, "mode": "sandbox"},
        "vault": {"instance": "lightweight", "mode": "dev"},
        "monitoring": {"prometheus": "basic", "grafana": "essential-dashboards"},
        "storage": {"audit": "local-with-backup", "evidence": "hash-chain-only"},
    }
    with promoted.appended() as added:
        message = promoted.refused("sandbox", infrastructure=infrastructure)
    assert "kubernetes.nodes is 3, it has to be 1 in sandbox mode" in message
    assert refused(added)["subject"] == "infrastructure"


def test_a_service_without_tests_is_not_even_deployed(promoted: Instance) -> None:
    folder = promoted.copy_service("service-t")
    for file in (folder / "tests").glob("test_*.py"):
        file.unlink()
    with promoted.appended() as added:
        message = promoted.refused("deploy", service="service-t")
    assert message.startswith("Service service-t has no tests:")
    assert refused(added)["reason"] == message
    assert "Deployment/service-t" not in promoted.objects("sandbox")


def test_the_gates_deny_what_has_no_tests(promoted: Instance) -> None:
    digest = promoted.entries("build")[0]["data"]["digest"]
    folder = promoted.copy_service("service-t")
    for file in (folder / "tests").glob("test_*.py"):
        file.unlink()
    with promoted.compliant_untouched(), promoted.appended() as added:
        message = promoted.refused("promote", service="service-t", digest=digest)
    assert "gate coverage denies: there are no tests in tests of service-t (required: " in message
    # Nor was this image built from this source, or deployed.
    assert set(denials(added)) == {"coverage", "provenance", "health"}
    assert {item["gate"] for item in refused(added)["denied"]} == {"coverage", "provenance", "health"}


def test_no_package_of_what_was_not_promoted(promoted: Instance) -> None:
    message = promoted.refused("package", service="service-x")
    assert message.startswith("No package of service-x is made, because a requirement is not met.")
    assert "service_promotion_validated: service-x has no completed promotion" in message
    assert not (promoted.packages / "service-x").exists()


def test_an_unhealthy_sandbox(promoted: Instance, service_b: str) -> None:
    _scale(promoted, service_b, 0)
    try:
        with promoted.compliant_untouched(), promoted.appended() as added:
            message = promoted.refused("promote", service=service_b)
    finally:
        _scale(promoted, service_b, 1)
    assert "gate health denies: 0 pods are ready in sandbox (required: at least 1)" in message
    assert set(denials(added)) == {"health"}
    assert denials(added)["health"]["observed"]["ready"] == 0
    assert refused(added)["final"] is True


def test_another_digest_than_the_sandbox_runs(promoted: Instance, service_b: str) -> None:
    other = "sha256:" + "0" * 64
    with promoted.compliant_untouched(), promoted.appended() as added:
        message = promoted.refused("promote", service=service_b, digest=other)
    assert "gate provenance denies: " in message
    assert "sandbox runs sha256:" in message
    assert "(required: sha256:000000000000…)" in message
    assert {"provenance", "health"} == set(denials(added))
    assert refused(added)["digest"] == other


def test_the_api_server_is_down(promoted: Instance, service_b: str) -> None:
    before = promoted.objects("compliant")
    with promoted.stopped("kube-apiserver", kill=True), promoted.appended() as added:
        message = promoted.refused("promote", service=service_b)
    assert message.startswith("The API server at https://10.245.0.1:6443 does not answer")
    assert [entry["data"]["event"] for entry in added] == ["refused"]
    assert refused(added)["reason"] == message
    promoted.wait_ready()
    assert promoted.objects("compliant") == before


def test_vault_is_down_and_the_promotion_is_finished_later(promoted: Instance, service_b: str) -> None:
    # The API server was away in the test before.
    promoted.kubectl("rollout", "status", f"deployment/{service_b}", "-n", "sandbox", "--timeout=60s")
    with promoted.compliant_untouched(), promoted.appended() as stopped, promoted.stopped("vault"):
        message = promoted.refused("promote", service=service_b)
    assert message.startswith("Vault at http://127.0.0.1:8200 does not answer")
    assert refused(stopped)["reason"] == message
    assert refused(stopped)["final"] is False
    assert "started" not in [entry["data"]["event"] for entry in stopped]

    with promoted.appended() as finished:
        outcome = promoted.play("promote", service=service_b).record.artifacts["golden_goose_promotions"][service_b]
    assert outcome["outcome"] == "compliant"
    # The same promotion: its gates are not evaluated again.
    assert [entry["data"]["event"] for entry in finished][:2] == ["started", "completed"]
    assert finished[0]["data"]["promotion_id"] == refused(stopped)["promotion_id"]
    assert promoted.ask("compliant", service_b, "/version")["name"] == service_b


def _scale(instance: Instance, service: str, replicas: int) -> None:
    instance.kubectl("scale", "deployment", service, "-n", "sandbox", f"--replicas={replicas}")
    deadline = time.monotonic() + 60
    template = "jsonpath={.status.readyReplicas}"
    while (instance.kubectl("get", "deployment", service, "-n", "sandbox", "-o", template) or "0") != str(replicas):
        assert time.monotonic() < deadline, f"{service} is not scaled to {replicas} within a minute"
        time.sleep(0.2)
