# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything of the control plane is killed at once."""

from __future__ import annotations

import os
import signal
import time

from .instance import Instance
from .leftovers import daemons
from .watch import watched

CONTROL_PLANE = {
    "containerd",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubelet",
}
_SECONDS = 30


def test_the_cluster_is_back_within_30_seconds_and_the_service_never_stops(promoted: Instance) -> None:
    before = {name: pid for name, pid in daemons(promoted.name).items() if name in CONTROL_PLANE}
    assert set(before) == CONTROL_PLANE
    pods = promoted.kubectl("get", "pods", "-n", "compliant", "-o", "name")
    with watched(f"{promoted.address('compliant', 'service-a')}/healthz") as answers:
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        promoted.wait_ready(_SECONDS)
        took = time.monotonic() - killed
        while set(now := daemons(promoted.name)) & CONTROL_PLANE != CONTROL_PLANE:
            assert time.monotonic() < killed + _SECONDS, f"only {sorted(now)} are back"
            time.sleep(0.2)
        version = promoted.ask("compliant", "service-a", "/version")
    print(f"API server ready {took:.1f} s after kill -9; {answers.good} answers meanwhile")
    assert version["name"] == "service-a"
    assert answers.good > 10
    assert answers.failures == []
    assert all(now[name] != before[name] for name in CONTROL_PLANE), "a process that was killed is still the same"
    assert promoted.kubectl("get", "pods", "-n", "compliant", "-o", "name") == pods


def test_pods_can_be_started_again_afterwards(promoted: Instance) -> None:
    selector = ("-n", "sandbox", "-l", "app.kubernetes.io/name=service-a")
    before = promoted.kubectl("get", "pods", *selector, "-o", "name")
    promoted.kubectl("delete", "pods", *selector, "--grace-period=1")
    promoted.kubectl("rollout", "status", "deployment/service-a", "-n", "sandbox", "--timeout=60s")
    assert promoted.kubectl("get", "pods", *selector, "-o", "name") != before
    assert promoted.ask("sandbox", "service-a", "/healthz") == {"status": "ok"}


def test_vault_signs_with_the_same_key_after_kill_9(promoted: Instance) -> None:
    key = promoted.public_key()
    pid = daemons(promoted.name)["vault"]
    os.kill(pid, signal.SIGKILL)
    assert promoted.public_key(wait=30) == key
    assert daemons(promoted.name)["vault"] != pid
