# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""API server, Vault and Prometheus go away in the middle of a promotion, and the promotion itself is killed.

Each run ends with one sentence that names the server, or finishes; then more runs end as if nothing had happened, with
each step once.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from .instance import REPOSITORY, Instance, edit, environment
from .leftovers import daemons
from .proxy import Proxy

SERVICE = "service-o"
GATES = {"provenance", "sast", "coverage", "health", "chain"}
NAMES = {
    "api": "The API server at https://127.0.0.1:",
    "vault": "Vault at http://127.0.0.1:",
    "prometheus": "Prometheus",
}
_RUN_SECONDS = 120


@dataclass
class Promoting:
    """Promotions of one service, whose ways to the three servers can be cut."""

    instance: Instance
    ways: dict[str, Proxy]
    since: int = 0

    def begin(self) -> None:
        """Have the next promotion be a new one, and look only at entries from here on."""
        ours = [entry["data"]["event"] for entry in self.instance.entries() if entry["data"].get("service") == SERVICE]
        if ours[-1] not in ("deployed", "completed", "rolled_back"):
            self.run()  # What a test that failed has left.
        if f"Deployment/{SERVICE}" in self.instance.objects("compliant"):
            self.instance.play("rollback", service=SERVICE, reason="the next test", remove=True)
        self.since = len(self.instance.entries())

    def run(self) -> dict[str, Any]:
        """Run the module that playbooks/promote.yml calls, over the proxies."""
        with self.running() as process:
            output, _errors = process.communicate(timeout=_RUN_SECONDS)
        result: dict[str, Any] = json.loads(output)
        assert "exception" not in result, result
        return result

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """Have that module running during the block."""
        command = [sys.executable, str(Path(__file__).with_name("promotion_module.py")), str(self._arguments())]
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @contextmanager
    def playing(self) -> Iterator[subprocess.Popen[str]]:
        """Have playbooks/promote.yml running during the block, without the proxies."""
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "playbooks/promote.yml"]
        process = subprocess.Popen(
            [*command, *self.instance.arguments(service=SERVICE)],
            cwd=REPOSITORY,
            env={**os.environ, **environment()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            _kill_all(process.pid)
            process.wait()

    def wait(self, event: str, process: subprocess.Popen[str]) -> None:
        """Return when the promotion has written ``event``, or has ended."""
        deadline = time.monotonic() + _RUN_SECONDS
        while event not in self.events() and process.poll() is None:
            assert time.monotonic() < deadline, f"no entry {event} within {_RUN_SECONDS} s"
            time.sleep(0.01)

    def entries(self) -> list[dict[str, Any]]:
        return [entry["data"] for entry in self.instance.entries()[self.since :]]

    def events(self) -> list[str]:
        return [data["event"] for data in self.entries()]

    def assert_done_once(self) -> None:
        """Require what an undisturbed promotion leaves: each step once, of one promotion, and nothing else."""
        told = [
            data
            for data in self.entries()
            if data["event"] not in ("backup", "refused") and data.get("verdict") != "defer"
        ]
        events = [data["event"] for data in told]
        assert events[0] == "requested"
        assert set(events[1:-2]) == GATES and len(events) == len(GATES) + 3, events
        assert events[-2:] == ["started", "completed"]
        assert len({data["promotion_id"] for data in told[1:]}) == 1
        assert all(data["final"] is False for data in self.entries() if data["event"] == "refused")
        answer = self.instance.ask("compliant", SERVICE, "/version")
        assert answer["name"] == SERVICE
        assert (self.instance.ledger / "entries.jsonl").read_bytes() == (
            self.instance.backup / "entries.jsonl"
        ).read_bytes()
        # It verifies the ledger, and finds nothing left to do.
        assert self.run()["changed"] is False

    def _arguments(self) -> Path:
        instance, folder = self.instance, self.instance.folder / "outages"
        folder.mkdir(exist_ok=True)
        kubeconfig = yaml.safe_load((instance.config / "kubernetes/promoter.kubeconfig").read_text())
        kubeconfig["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{self.ways['api'].port}"
        (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
        approle = json.loads((instance.config / "vault/promoter-approle.json").read_text())
        approle["address"] = f"http://127.0.0.1:{self.ways['vault'].port}"
        (folder / "approle.json").write_text(json.dumps(approle))
        arguments = {
            "ledger": str(instance.ledger),
            "metadata": instance.entries("completed")[0]["metadata"],
            "service": SERVICE,
            "services_dir": str(instance.services),
            "kubeconfig": str(folder / "kubeconfig"),
            "run_dir": str(instance.root / "run/golden-goose/promotion"),
            "backup": str(instance.backup),
            "vault_approle": str(folder / "approle.json"),
            "semgrep_rules": str(instance.config / "promotion/semgrep"),
            "prometheus": f"http://127.0.0.1:{self.ways['prometheus'].port}",
            "rollout_timeout": 30,
            "state": "compliant",
            "whole": True,
        }
        (folder / "arguments.json").write_text(json.dumps(arguments))
        return folder / "arguments.json"


@pytest.fixture(scope="module")
def promoting(promoted: Instance) -> Iterator[Promoting]:
    folder = promoted.copy_service(SERVICE)
    edit(folder / "service.yml", "health: {min_ready: 1}", "health: {min_ready: 1, query: vector(1)}")
    promoted.variables["golden_goose_prometheus_address"] = "http://127.0.0.1:9090"
    promoted.play("deploy", service=SERVICE)
    ways = {
        "api": Proxy("10.245.0.1", 6443),
        "vault": Proxy("127.0.0.1", 8200),
        "prometheus": Proxy("127.0.0.1", 9090),
    }
    try:
        yield Promoting(promoted, ways)
    finally:
        for way in ways.values():
            way.close()
        del promoted.variables["golden_goose_prometheus_address"]


@pytest.mark.parametrize("server", ["api", "vault"])
def test_a_server_is_cut_off_at_request_after_request(promoting: Promoting, server: str) -> None:
    promoting.begin()
    way, pieces, seen = promoting.ways[server], 0, set[str]()
    while True:
        way.cut(pieces)
        result = promoting.run()
        cut = way.is_cut
        way.mend()
        if not result.get("failed"):
            break
        assert cut and NAMES[server] in result["msg"], result["msg"]
        events = promoting.events()
        seen.add(next((step for step in ("completed", "started", "chain", "requested") if step in events), "nothing"))
        print(f"{server} cut before piece {pieces}, after {events[-2:]}: {result['msg'][:140]}")
        pieces += 2
    # Each of these is where some run was cut off.
    assert seen >= ({"nothing", "chain", "started"} if server == "api" else {"chain", "completed"}), seen
    promoting.assert_done_once()


def test_a_server_is_back_before_the_run_has_ended(promoting: Promoting) -> None:
    promoting.begin()
    # In one promotion, which goes on from where it was: at its gates, in its rollout, and when it keeps its evidence.
    for server, event in (("prometheus", "requested"), ("api", "started"), ("vault", "completed")):
        with promoting.running() as process:
            promoting.wait(event, process)
            promoting.ways[server].cut()
            time.sleep(1)
            promoting.ways[server].mend()
            result = json.loads(process.communicate(timeout=_RUN_SECONDS)[0])
        print(f"{server} away for 1 s after {event}: {result.get('msg') or result['outcome']}")
        assert not result.get("failed") or NAMES[server] in result["msg"], result["msg"]
    assert promoting.run()["outcome"] in ("compliant", "unchanged")
    promoting.assert_done_once()


def test_the_servers_themselves_are_stopped_and_started_again(promoting: Promoting) -> None:
    instance = promoting.instance
    promoting.begin()
    with instance.stopped("prometheus"):
        result = promoting.run()
    assert "gate health cannot tell: Prometheus at http://127.0.0.1:" in result["msg"]
    vault = daemons(instance.name)["vault"]
    os.kill(vault, signal.SIGSTOP)
    try:
        result = promoting.run()
    finally:
        os.kill(vault, signal.SIGCONT)
    assert NAMES["vault"] in result["msg"]
    assert "started" not in promoting.events()
    api = daemons(instance.name)["kube-apiserver"]
    with promoting.playing() as play:
        promoting.wait("started", play)
        os.kill(api, signal.SIGKILL)
        output = play.communicate(timeout=_RUN_SECONDS)[0]
    print(f"the API server was killed after started: the play ended with {play.returncode}")
    assert play.returncode == 0 or "The API server at https://10.245.0.1:6443 " in output, output
    assert "Traceback" not in output
    instance.wait_ready()
    instance.play("promote", service=SERVICE)
    promoting.assert_done_once()


def test_the_promotion_is_killed_again_and_again(promoting: Promoting) -> None:
    promoting.begin()
    seed = random.randrange(1 << 32)
    chosen = random.Random(seed)
    print(f"seed {seed}")
    for event in ("requested", "sast", "started", "completed"):
        with promoting.playing() as play:
            promoting.wait(event, play)
            time.sleep(chosen.uniform(0, 0.3))
            _kill_all(play.pid)
            play.communicate()
        print(f"killed after {event}: {promoting.events()[-2:]}")
    promoting.instance.play("promote", service=SERVICE)
    promoting.assert_done_once()


def _kill_all(pid: int) -> None:
    """Kill a process and its descendants: the module that a play has started would go on without it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit():
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    for one in found:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
