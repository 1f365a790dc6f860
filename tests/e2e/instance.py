# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One Golden Goose beside the machine's own: its variables, its playbooks, and what its ledger and cluster show."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner
import hvac
import requests
from demo_events import RunRecord, fold, plain

from .leftovers import OWN_NETWORK, daemons
from .namespace import run

REPOSITORY = Path(__file__).resolve().parents[2]
# Another name, of at most 8 characters, is another instance, which runs beside the first.
NAME = os.environ.get("GOLDEN_GOOSE_E2E_NAME", "gg-e2e")
# Unix sockets lie below it, and their paths hold 107 bytes.
FOLDER = Path("/var/tmp", NAME)
CACHE = Path("/var/cache/golden-goose")
_PLAY_SECONDS = 300
_LAST_LINES = 40


@dataclass(frozen=True)
class Play:
    """One run of a playbook: whether it ended well, what it reported, its last lines of output."""

    name: str
    succeeded: bool
    record: RunRecord
    output: str

    @property
    def message(self) -> str:
        """Return the sentence of the task that failed last."""
        return self.record.failures[-1].message if self.record.failures else self.record.failure()


@dataclass
class Instance:
    """An instance in ``folder``: ``root`` holds all that playbooks write, ``services`` what they promote."""

    folder: Path = FOLDER
    name: str = NAME
    variables: dict[str, Any] = field(default_factory=dict)
    play_seconds: int = _PLAY_SECONDS

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def services(self) -> Path:
        return self.folder / "services"

    @property
    def config(self) -> Path:
        return self.root / "etc/golden-goose"

    @property
    def state(self) -> Path:
        return self.root / "var/lib/golden-goose"

    @property
    def ledger(self) -> Path:
        return self.state / "ledger"

    @property
    def backup(self) -> Path:
        return self.root / "var/backups/golden-goose/ledger"

    @property
    def packages(self) -> Path:
        return self.state / "packages"

    def extra_vars(self) -> dict[str, Any]:
        """Return the variables that make a playbook work on this instance."""
        return {
            "golden_goose_root": str(self.root),
            "golden_goose_instance": self.name,
            "golden_goose_cache_dir": str(CACHE),
            "golden_goose_services_dir": str(self.services),
            "golden_goose_rollout_timeout": 60,
            "prometheus_remove_package": False,
            **self.variables,
        }

    # Playbooks

    def run(self, playbook: str, **more: Any) -> Play:
        """Run ``playbooks/<playbook>.yml`` and return what came of it; ``check`` and ``env`` are no variables of it."""
        record = RunRecord()
        lines: list[str] = []
        (self.folder / "runner").mkdir(parents=True, exist_ok=True, mode=0o700)

        def on_event(event: dict[str, Any]) -> bool:
            fold(record, event)
            lines.extend(plain(str(event.get("stdout") or "")).splitlines())
            return False

        check = bool(more.pop("check", False))
        env = {str(name): str(value) for name, value in more.pop("env", {}).items()}
        began = time.monotonic()
        runner = ansible_runner.run(
            private_data_dir=str(self.folder / "runner"),
            project_dir=str(REPOSITORY),
            playbook=f"playbooks/{playbook}.yml",
            cmdline=shlex.join([*self.arguments(**more), *(["--check"] if check else [])]),
            envvars=environment() | env,
            settings={"pexpect_timeout": 1},
            timeout=self.play_seconds,
            event_handler=on_event,
            rotate_artifacts=5,
            suppress_env_files=True,
            quiet=True,
        )
        ended = "ok" if runner.rc == 0 else f"failed: {record.failure()}"
        print(f"{playbook} {more or ''} · {time.monotonic() - began:.1f} s · changed={record.changed} · {ended}")
        return Play(playbook, runner.rc == 0, record, "\n".join(lines[-_LAST_LINES:]))

    def play(self, playbook: str, **more: Any) -> Play:
        """Run a playbook that has to succeed."""
        done = self.run(playbook, **more)
        assert done.succeeded, f"playbooks/{playbook}.yml failed: {done.record.failure()}\n{done.output}"
        return done

    def refused(self, playbook: str, **more: Any) -> str:
        """Run a playbook that has to fail; return the one sentence that it gives as its reason."""
        done = self.run(playbook, **more)
        assert not done.succeeded, f"playbooks/{playbook}.yml succeeded, though it should have refused\n{done.output}"
        assert done.record.failures, f"playbooks/{playbook}.yml ended without a failed task\n{done.output}"
        assert "Traceback" not in done.output, f"a traceback instead of a sentence\n{done.output}"
        return done.message

    def arguments(self, **more: Any) -> list[str]:
        """Return the options of ansible-playbook, or of tools/demo.py, for this instance."""
        return ["-e", f"@{self._variables_file()}", *(["-e", json.dumps(more)] if more else [])]

    def _variables_file(self) -> Path:
        file = self.folder / "variables.json"
        file.write_text(json.dumps(self.extra_vars()))
        return file

    # Processes

    @contextmanager
    def stopped(self, daemon: str, kill: bool = False) -> Iterator[None]:
        """Have one daemon stopped for the duration of the block, with its manager's own tool and past our roles.

        :param kill: do not wait for an orderly end, which takes an API server up to a minute.
        """
        pid = daemons(self.name)[daemon]
        with subprocess.Popen(self._manage("stop", daemon), stdout=subprocess.DEVNULL) as stopping:
            deadline = time.monotonic() + 10
            # Once its manager is about to stop it, a killed process is not started again.
            while kill and not self._is_stopping(daemon):
                assert time.monotonic() < deadline, f"{daemon} is not being stopped"
            if kill:
                os.kill(pid, signal.SIGKILL)
        assert stopping.returncode == 0, f"{daemon} could not be stopped"
        try:
            yield
        finally:
            run(*self._manage("start", daemon))

    def _is_stopping(self, daemon: str) -> bool:
        command = self._manage("status" if OWN_NETWORK else "is-active", daemon)
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        return "STOPPING" in said or "deactivating" in said

    def _manage(self, action: str, daemon: str) -> list[str]:
        if not OWN_NETWORK:
            return ["systemctl", action, f"{self.name}-{daemon}"]
        program = self.root / "opt/golden-goose/supervisor/bin/supervisorctl"
        return [str(program), "-c", str(self.config / "supervisor/supervisord.conf"), action, f"{self.name}-{daemon}"]

    # Evidence

    def entries(self, *events: str) -> list[dict[str, Any]]:
        """Return the entries of the ledger, or those of ``events``, oldest first."""
        lines = (self.ledger / "entries.jsonl").read_bytes().splitlines()
        entries = [json.loads(line) for line in lines]
        return [entry for entry in entries if not events or entry["data"]["event"] in events]

    @contextmanager
    def appended(self) -> Iterator[list[dict[str, Any]]]:
        """Yield a list that holds, after the block, the entries that were appended in it."""
        before = len(self.entries())
        added: list[dict[str, Any]] = []
        yield added
        added += self.entries()[before:]

    def public_key(self, version: int = 1, wait: float = 0) -> str:
        """Return the public half of the evidence key (base64), with the promoter's credentials.

        :param wait: seconds that Vault may take to answer.
        """
        approle = json.loads((self.config / "vault/promoter-approle.json").read_text())
        vault = hvac.Client(url=approle["address"])
        deadline = time.monotonic() + wait
        while True:
            try:
                vault.auth.approle.login(role_id=approle["role_id"], secret_id=approle["secret_id"])
                break
            except (requests.ConnectionError, hvac.exceptions.VaultError) as error:
                assert time.monotonic() < deadline, f"Vault does not let the promoter in: {error}"
            time.sleep(0.2)
        key = vault.secrets.transit.read_key(approle["key"], mount_point=approle["transit_mount"])
        public: str = key["data"]["keys"][str(version)]["public_key"]
        return public

    # Services

    def copy_service(self, name: str, original: str = "service-a") -> Path:
        """Copy the template service, rename it as its README says, and return its folder.

        What ``tests/e2e/services`` has of that name is laid over the copy.
        """
        folder = self.services / name
        shutil.rmtree(folder, ignore_errors=True)
        ignored = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(REPOSITORY / "services" / original, folder, ignore=ignored)
        overlay = Path(__file__).parent / "services" / name
        if overlay.is_dir():
            shutil.copytree(overlay, folder, dirs_exist_ok=True)
        elif name != original:
            edit(folder / "service.yml", original, name)
        return folder

    def forget_images(self) -> None:
        """Remove from the shared cache what was built of services that only these tests have."""
        first = next(iter(self.entries("build")), None)
        for entry in self.entries("build"):
            service, digest = entry["data"]["service"], entry["data"]["digest"]
            if first and service == "service-a" and digest != first["data"]["digest"]:
                (CACHE / "images" / service / f"{digest.partition(':')[2]}.tar").unlink(missing_ok=True)
            elif service != "service-a":
                shutil.rmtree(CACHE / "images" / service, ignore_errors=True)

    # Cluster

    def kubectl(self, *arguments: str) -> str:
        """Return what kubectl prints, as the cluster's administrator."""
        program = self.root / "opt/golden-goose/kubernetes/bin/kubectl"
        return run(str(program), "--kubeconfig", str(self.config / "kubernetes/admin.kubeconfig"), *arguments)

    def objects(self, namespace: str, *kinds: str) -> dict[str, Any]:
        """Return what was asked of the cluster in ``namespace``: uid and spec of each object, by kind and name."""
        wanted = kinds or ("deployments", "services", "configmaps", "serviceaccounts", "networkpolicies")
        listing = json.loads(self.kubectl("get", ",".join(wanted), "-n", namespace, "-o", "json"))
        return {
            f"{item['kind']}/{item['metadata']['name']}": (item["metadata"]["uid"], item.get("spec"))
            for item in listing["items"]
        }

    def images(self, namespace: str, service: str) -> set[str]:
        """Return the images of the running pods of ``service``."""
        selector = f"app.kubernetes.io/name={service}"
        pods = json.loads(self.kubectl("get", "pods", "-n", namespace, "-l", selector, "-o", "json"))["items"]
        return {
            container["image"]
            for pod in pods
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
            for container in pod["spec"]["containers"]
        }

    def ask(self, namespace: str, service: str, path: str) -> dict[str, Any]:
        """Return the JSON that the service answers, through the API server."""
        url = f"/api/v1/namespaces/{namespace}/services/{service}:http/proxy{path}"
        answer: dict[str, Any] = json.loads(self.kubectl("get", "--raw", url))
        return answer

    def wait_answer(self, namespace: str, service: str, path: str, seconds: float = 30) -> None:
        """Return when the service answers through the API server."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.ask(namespace, service, path)
                return
            except AssertionError as error:
                assert time.monotonic() < deadline, f"{service} does not answer after {seconds:.0f} s: {error}"
            time.sleep(0.2)

    def address(self, namespace: str, service: str) -> str:
        """Return the URL of the service's ClusterIP."""
        spec = json.loads(self.kubectl("get", "service", service, "-n", namespace, "-o", "json"))["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}"

    def wait_ready(self, seconds: float = 60) -> None:
        """Return when the API server says that it is ready."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.kubectl("get", "--raw", "/readyz")
                return
            except AssertionError as error:
                assert time.monotonic() < deadline, f"the API server is not ready after {seconds:.0f} s: {error}"
            time.sleep(0.2)

    @contextmanager
    def compliant_untouched(self) -> Iterator[None]:
        """Require that nothing in ``compliant`` is another after the block than before."""
        before = self.objects("compliant")
        yield
        assert self.objects("compliant") == before, "the namespace compliant was changed"


def edit(file: Path, old: str, new: str) -> None:
    """Replace ``old``, which has to be there, by ``new`` in a text file."""
    text = file.read_text()
    assert old in text, f"{file} does not hold {old!r}"
    file.write_text(text.replace(old, new))


def environment() -> dict[str, str]:
    """Return what a playbook needs beside our own environment; programs come from our virtual environment."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {"ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "PATH": programs}
