# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role grafana does with each kind of Grafana.

No package registry has Grafana's server. So the API is played here, as far as the modules of community.grafana
use it: it stores what it is sent and gives it back.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .programs import REPOSITORY

TOKEN = "a-service-account-token"
PLAY = """
- hosts: localhost
  gather_facts: false
  roles:
    - role: golden_goose.compliance.grafana
"""


class Grafana(ThreadingHTTPServer):
    """Keeps one data source, and dashboards by uid."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.datasource: dict[str, Any] | None = None
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.writes: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Grafana

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stored(self, found: object) -> None:
        self._answer(200 if found else 404, found or {"message": "not found"})

    def do_GET(self) -> None:
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer(401, {"message": "Invalid API key"})
        elif self.path.startswith("/api/datasources/name/"):
            self._stored(self.server.datasource)
        elif self.path.startswith("/api/dashboards/uid/"):
            self._stored(self.server.dashboards.get(self.path.rpartition("/")[2]))
        elif self.path.startswith("/api/frontend/settings"):
            self._answer(200, {"buildInfo": {"version": "11.6.0"}})
        elif self.path.startswith("/api/search"):
            self._answer(200, [])
        else:
            self._answer(404, {"message": f"not played: {self.path}"})

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.writes.append(self.path)
        if self.path == "/api/datasources":
            self.server.datasource = {**document, "id": 1, "version": 1}
            self._answer(200, {"id": 1, "datasource": self.server.datasource})
        elif self.path == "/api/dashboards/db":
            uid = document["dashboard"]["uid"]
            self.server.dashboards[uid] = {
                "dashboard": {**document["dashboard"], "id": 1, "version": 1},
                "meta": {"folderId": 0},
            }
            self._answer(200, {"uid": uid, "status": "success", "id": 1})
        else:
            self._answer(404, {"message": f"not played: {self.path}"})


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    with Grafana() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def play(folder: Path, token: str = TOKEN, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run the role against everything in ``folder``."""
    path = folder / "play.yml"
    path.write_text(PLAY)
    extra = {"golden_goose_root": str(folder), **variables}
    paths = {f"golden_goose_{name}_dir": f"{folder}/{name}" for name in ("program", "config", "state", "log", "run")}
    return subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", str(path), "-e", json.dumps({**paths, **extra})],
        cwd=REPOSITORY,
        env={**os.environ, "GRAFANA_TOKEN": token, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def changed(done: subprocess.CompletedProcess[str]) -> int:
    assert done.returncode == 0, done.stdout + done.stderr
    recap = next(line for line in done.stdout.splitlines() if "changed=" in line)
    return int(recap.split("changed=")[1].split()[0])


def shown(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_without_any_grafana_one_line_says_how_to_add_it(tmp_path: Path) -> None:
    done = play(tmp_path)
    assert changed(done) == 0
    assert "Grafana was not installed" in done.stdout
    assert "grafana_archive=FILE.tar.gz" in done.stdout


def test_an_existing_grafana_gets_data_source_and_dashboard_once(tmp_path: Path, grafana: Grafana) -> None:
    done = play(tmp_path, grafana_address=grafana.address, prometheus_address="http://127.0.0.1:19999")
    assert changed(done) > 0
    assert grafana.datasource is not None
    assert set(grafana.dashboards) == {"service-compliance", "service-delivery"}
    assert grafana.datasource["url"] == "http://127.0.0.1:19999"
    compliance, delivery = (grafana.dashboards[uid]["dashboard"] for uid in ("service-compliance", "service-delivery"))
    assert (compliance["title"], delivery["title"]) == ("service_compliance", "service_delivery")
    assert shown(compliance) == ["service_a_compliance_state", "promotion_success_rate", "evidence_completeness"]
    # test_prometheus.py asks a Prometheus what the README says.
    readme = (REPOSITORY / "roles/kpi_exporter/README.md").read_text().partition("| figure | PromQL |\n")[2]
    assert shown(delivery) == re.findall(r"^\| [a-z, ]+ \| `(.+)` \|$", readme, re.MULTILINE)
    assert {panel["targets"][0]["legendFormat"] for panel in delivery["panels"]} == {"{{service}}"}
    sources = {panel["datasource"]["uid"] for panel in (*compliance["panels"], *delivery["panels"])}
    assert sources == {grafana.datasource["uid"]}
    assert TOKEN not in done.stdout

    writes = list(grafana.writes)
    assert changed(play(tmp_path, grafana_address=grafana.address, prometheus_address="http://127.0.0.1:19999")) == 0
    assert grafana.writes == writes


def test_an_existing_grafana_without_a_token_is_refused(tmp_path: Path, grafana: Grafana) -> None:
    done = play(tmp_path, token="", grafana_address=grafana.address)
    assert done.returncode != 0
    assert "put the token in the environment variable GRAFANA_TOKEN" in " ".join(done.stdout.split())
    assert grafana.writes == []
