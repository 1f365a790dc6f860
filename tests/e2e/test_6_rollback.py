# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The next versions of service-a: one that fails in compliant, one that is good, and back."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .instance import REPOSITORY, Instance, edit, environment
from .watch import watched


@pytest.fixture(scope="module")
def first_digest(promoted: Instance) -> str:
    """The digest of service-a that the demo promoted."""
    digest: str = promoted.entries("completed")[0]["data"]["digest"]
    return digest


@pytest.fixture(scope="module")
def second_digest(promoted: Instance, first_digest: str) -> str:
    """The digest of the next, good version of service-a, which runs in the sandbox."""
    edit(promoted.copy_service("service-a") / "service.yml", 'version: "1.0.0"', 'version: "1.1.0"')
    promoted.play("deploy", service="service-a")
    digest: str = promoted.entries("build")[-1]["data"]["digest"]
    assert digest != first_digest
    return digest


def test_a_rollout_that_does_not_become_healthy_is_rolled_back(promoted: Instance, first_digest: str) -> None:
    # Every gate lets it pass, for it works in the sandbox.
    edit(
        promoted.copy_service("service-a") / "src/converter/__main__.py",
        "    try:\n        settings = load",
        '    if os.environ.get("STAGE") == "compliant":\n        return 3\n    try:\n        settings = load',
    )
    promoted.play("deploy", service="service-a")
    bad = promoted.entries("build")[-1]["data"]["digest"]
    with promoted.appended() as added, watched(f"{promoted.address('compliant', 'service-a')}/healthz") as answers:
        message = promoted.refused("promote", service="service-a")
    assert message.startswith("service-a is not promoted: service-a in compliant ")
    assert f"compliant was put back to {first_digest[:19]}" in message
    assert [entry["data"]["event"] for entry in added][-2:] == ["failed", "rolled_back"]
    failed, rolled_back = (entry["data"] for entry in added[-2:])
    assert failed["digest"] == bad
    assert (rolled_back["digest"], rolled_back["from_digest"]) == (first_digest, bad)
    assert rolled_back["automatic"] is True
    assert _runs(promoted, first_digest)
    assert answers.good > 10
    assert answers.failures == []


def test_a_second_run_at_the_same_time_is_refused_and_the_first_goes_on(promoted: Instance, second_digest: str) -> None:
    with _promotion_in_background(promoted, "service-a") as first:
        with promoted.appended() as added:
            message = promoted.refused("promote", service="service-a")
        assert first.poll() is None, "the first run has ended too early for this test"
        assert first.wait(timeout=120) == 0, first.stdout.read() if first.stdout else ""
    # The pid is that of the play, or of its module that holds the lock just then.
    holder = r"promotion of service-a \((ansible-playbook, )?pid \d+, since [^)]+\)"
    assert re.match(f"service-a is being worked on by another run: {holder}", message), message
    refusals = [entry["data"]["reason"] for entry in added if entry["data"]["event"] == "refused"]
    assert refusals == [message]
    assert promoted.entries("completed")[-1]["data"]["digest"] == second_digest
    assert _runs(promoted, second_digest)


def test_a_rollback_by_hand_goes_to_the_version_before(
    promoted: Instance, first_digest: str, second_digest: str
) -> None:
    assert _compliant(promoted) == second_digest, "the test before has promoted it"
    with promoted.appended() as added:
        outcome = _outcome(promoted.play("rollback", service="service-a", reason="it answers too slowly"))
    assert outcome["outcome"] == "rolled_back"
    rolled_back = next(entry["data"] for entry in added if entry["data"]["event"] == "rolled_back")
    assert (rolled_back["digest"], rolled_back["from_digest"]) == (first_digest, second_digest)
    assert rolled_back["automatic"] is False
    assert rolled_back["reason"] == "it answers too slowly"
    assert _runs(promoted, first_digest)
    assert promoted.ask("compliant", "service-a", "/version")["version"] == "1.0.0"


def test_a_rollback_again_changes_nothing(promoted: Instance, first_digest: str) -> None:
    assert _compliant(promoted) == first_digest
    with promoted.compliant_untouched(), promoted.appended() as added:
        again = promoted.play("rollback", service="service-a", reason="once more")
    assert again.record.changed == 0
    assert _outcome(again)["outcome"] == "unchanged"
    assert added == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"service": "service-a"}, "A rollback needs a service and a reason"),
        ({"service": "service-x", "reason": "r"}, "service-x is not rolled back: the ledger has no promotion"),
        ({"service": "service-a", "reason": "r", "digest": "sha256:" + "0" * 64}, "was not compliant before"),
    ],
)
def test_a_rollback_that_cannot_be(promoted: Instance, given: dict[str, str], said: str) -> None:
    with promoted.compliant_untouched():
        assert said in promoted.refused("rollback", **given)


def test_the_package_of_the_version_that_is_back_is_still_good(promoted: Instance) -> None:
    first = promoted.entries("completed")[0]
    facts = promoted.play("package", service="service-a").record.artifacts["golden_goose_packages"]["service-a"]
    assert facts["hash_chain_id"] == first["hash"]
    assert (promoted.packages / "service-a" / "latest").resolve().name == first["hash"]


@contextmanager
def _promotion_in_background(instance: Instance, service: str) -> Iterator[subprocess.Popen[str]]:
    """Have a promotion running; the block begins when it has taken the service for itself."""
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "playbooks/promote.yml"]
    process = subprocess.Popen(
        [*command, *instance.arguments(service=service)],
        cwd=REPOSITORY,
        env={**os.environ, **environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    note = instance.root / f"run/golden-goose/promotion/{service}.run"
    deadline = time.monotonic() + 60
    try:
        while not note.exists() or str(process.pid) not in note.read_text():
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            assert time.monotonic() < deadline, f"no note of pid {process.pid} in {note}"
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def _compliant(instance: Instance) -> str:
    deployed: str = instance.kubectl(
        "get", "deployment", "service-a", "-n", "compliant", "-o", "jsonpath={.spec.template.spec.containers[0].image}"
    )
    return deployed.partition("@")[2]


def _runs(instance: Instance, digest: str) -> bool:
    """Return whether soon all pods of service-a in compliant are of ``digest``; those before it drain."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if instance.images("compliant", "service-a") == {f"golden-goose.local/service-a@{digest}"}:
            return True
        time.sleep(0.2)
    return False


def _outcome(play: Any) -> dict[str, Any]:
    outcome: dict[str, Any] = play.record.artifacts["golden_goose_promotions"]["service-a"]
    return outcome
