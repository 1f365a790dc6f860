# Copyright: Contributors to Golden Goose
# SPDX-License-Identifier: GPL-3.0-or-later
"""Promotion against kubectl, on an instance of its own. Usage: python -m bench.promotion [services of the set]

The verdicts are there before the clock starts: of one service by ``promote.yml`` while the line is stopped, of a set as
fleet.py says. Timed is ``promote.yml`` as users run it: plan, request, choke point, rollout, copy and anchor. The other
side applies the same manifests, of the same image, in a namespace of its own and waits for the rollout. The instance
has the name GOLDEN_GOOSE_E2E_NAME (default: gg-bench); with GOLDEN_GOOSE_E2E_KEEP=1 it is found and left running.
"""

from __future__ import annotations

import json
import os
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("GOLDEN_GOOSE_E2E_NAME", "gg-bench")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion import people
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.evidence import Evidence
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.identity import Identity
from ansible_collections.golden_goose.compliance.plugins.module_utils.services.model import find_service
from ansible_collections.golden_goose.compliance.plugins.module_utils.services.render import (
    render_manifests,
)

from tests.e2e.instance import Instance
from tests.e2e.lifecycle import running

from . import fleet
from .__main__ import CACHE, Row, report

NAMESPACE = "bench-kubectl"
ROUNDS = 3
ONE = "service-a"
POLICY = {"version": "bench", "order": "dependency"}


@contextmanager
def stopped_line(instance: Instance) -> Iterator[None]:
    """Have the line stopped, so that gates are evaluated and nothing is rolled out."""
    evidence = Evidence(Ledger.open(instance.ledger), instance.entries()[0]["metadata"])
    speaker = people.Voice(Identity("bench"))
    people.stop(evidence, speaker, None, "only verdicts are wanted now")
    try:
        yield
    finally:
        people.resume(evidence, speaker, None, "the verdicts are there")


def timed(what: Callable[[], Any]) -> float:
    """Return the seconds that ``what`` takes; print them with the CPU of the programs that it has run."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    what()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"  {seconds:.2f} s, of which its own programs {cpu:.2f} s of CPU; load {os.getloadavg()[0]:.1f}")
    return seconds


def collect(instance: Instance, **wish: Any) -> float:
    """Have the gates give their verdicts; return the seconds."""
    with stopped_line(instance):
        return timed(lambda: instance.refused("promote", **wish))


def by_kubectl(instance: Instance, names: list[str]) -> float:
    """Apply the manifests of ``names`` all at once and wait for their rollouts; return the seconds."""
    objects = []
    for name in names:
        digest = [e["data"]["digest"] for e in instance.entries("deployed") if e["data"]["service"] == name][-1]
        objects += render_manifests(find_service(instance.services, name), "compliant", digest, NAMESPACE)
    file = instance.folder / "kubectl.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def apply() -> None:
        instance.kubectl("apply", "-f", str(file))
        for name in names:
            instance.kubectl(
                "rollout", "status", f"deployment/{name}", "-n", NAMESPACE, f"--timeout={fleet.ROLLOUT_SECONDS}s"
            )

    return timed(apply)


def one(instance: Instance) -> list[Row]:
    """Promote one service several times, each time a new image, and let kubectl do the same before or after."""
    ours, other, version = [], [], int(time.time())
    for number in range(ROUNDS + 1):
        file = instance.services / ONE / "service.yml"
        file.write_text(re.sub(r'version: ".*"', f'version: "{version}.{number}.0"', file.read_text()))
        instance.play("deploy", service=ONE)
        collect(instance, service=ONE)
        sides = [
            lambda: ours.append(timed(lambda: instance.play("promote", service=ONE))),
            lambda: other.append(by_kubectl(instance, [ONE])),
        ]
        for side in sides if number % 2 else reversed(sides):
            side()
    # The first round makes the deployment of kubectl; only the later ones replace one.
    mine, theirs = statistics.median(ours[1:]), statistics.median(other[1:])
    print("ours:", [round(value, 2) for value in ours], "kubectl:", [round(value, 2) for value in other])
    name = f"promote one service, its verdicts there: seconds more than kubectl (median of {ROUNDS})"
    return [Row(name, f"{mine:.2f} s", f"{theirs:.2f} s", mine - theirs, 3.0, at_most=True)]


def many(instance: Instance, count: int) -> list[Row]:
    """Promote a set of small services in waves, against applying them all at once."""
    fits = fleet.room(instance)
    if count > fits:
        print(
            f"The node has room for {fits} pods beside those of the system: the set has {fits} services, not {count}."
        )
        count = fits
    began = time.perf_counter()
    names = fleet.deploy_all(instance, count)
    built = time.perf_counter() - began
    gates = timed(lambda: fleet.collect(instance, names, POLICY))
    print(f"building and deploying {count} services: {built:.1f} s; their verdicts: {gates:.1f} s")
    # What is asked for stays in the sandbox; its pods would only take the processors from both sides.
    instance.kubectl("scale", "deployment", *names, "-n", "sandbox", "--replicas=0")
    gone(instance, "sandbox", names)
    theirs = by_kubectl(instance, names)
    instance.kubectl("delete", "deployment,service", *names, "-n", NAMESPACE, "--cascade=foreground")
    gone(instance, NAMESPACE, names)
    limit = {"golden_goose_rollout_timeout": fleet.ROLLOUT_SECONDS}
    mine = timed(lambda: instance.play("promote", services=names, golden_goose_promotion_policy=POLICY, **limit))
    waves = -(-count // fleet.WIDTH)
    name = f"promote {count} services in {waves} waves, their verdicts there: times kubectl, all at once"
    return [Row(name, f"{mine:.2f} s", f"{theirs:.2f} s", mine / theirs, 2.0, at_most=True)]


def gone(instance: Instance, namespace: str, names: list[str]) -> None:
    """Wait until no pod of ``names`` is left, with a limit; pods that end take the processors, too."""
    deadline = time.monotonic() + 300
    selector = f"app.kubernetes.io/name in ({','.join(names)})"
    while instance.kubectl("get", "pods", "-n", namespace, "-l", selector, "-o", "name").strip():
        assert time.monotonic() < deadline, f"after 300 s there are still pods of the set in {namespace}"
        time.sleep(1)


def main() -> None:
    """Measure on an instance that is made for it and removed."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    CACHE.mkdir(parents=True, exist_ok=True)
    with running() as instance:
        # The gates of a hundred services have to have ended by then, too.
        instance.play_seconds = 3600
        if not (instance.config / "kubernetes/admin.kubeconfig").exists():
            instance.play("site")
        instance.copy_service(ONE)
        instance.kubectl("create", "namespace", NAMESPACE)
        try:
            report([*one(instance), *many(instance, count)])
        finally:
            instance.kubectl("delete", "namespace", NAMESPACE)


if __name__ == "__main__":
    main()
