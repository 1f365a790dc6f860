# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key figures from the ledger through the exporter into a real Prometheus, and the alerts on them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible_collections.golden_goose.compliance.plugins.module_utils.kpi.program import install
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import (
    REQUIRED_GATES,
    step_id,
)

from .programs import REPOSITORY, free_port, prometheus, running

ROLE = REPOSITORY / "roles/prometheus"
RULES = ROLE / "files/golden-goose.rules.yml"
METADATA: dict[str, Any] = {"sprint": "1", "provisional": True, "tags": ["sprint1_poc"]}
DIGEST = "sha256:" + "a" * 64
ALERTS = {"promotion_failure", "evidence_gap", "audit_chain_break"}


@dataclass
class Monitoring:
    """A ledger, an exporter that reads it and a Prometheus that scrapes that every second."""

    ledger: Path
    exporter: str
    prometheus: str

    def get(self, path: str) -> Any:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.prometheus}{path}", timeout=10) as answer:
            return json.load(answer)["data"]

    def value(self, query: str) -> float | None:
        found = self.get(f"/api/v1/query?{urllib.parse.urlencode({'query': query})}")["result"]
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> set[str]:
        return {a["labels"]["alertname"] for a in self.get("/api/v1/alerts")["alerts"] if a["state"] == "firing"}


def eventually(ask: Any, expected: object, seconds: float = 20) -> None:
    """Wait until ``ask()`` returns what is expected: scrapes and evaluations take their time."""
    deadline = time.monotonic() + seconds
    while (found := ask()) != expected:
        assert time.monotonic() < deadline, f"still {found!r} instead of {expected!r}"
        time.sleep(0.2)


def promote(path: Path, ending: str) -> None:
    """Write the entries of one promotion of service-a that ends as ``ending``."""
    ledger = Ledger.create(path, "example.test/sandbox")
    promotion = str(uuid.uuid4())
    said = {"service": "service-a", "digest": DIGEST}
    ledger.append(type="promotion", event="requested", data=said, metadata=METADATA, id=promotion)
    said["promotion_id"] = promotion
    for gate in REQUIRED_GATES:
        ledger.append(
            type="validation",
            event=gate,
            data={**said, "gate": gate, "verdict": "allow"},
            metadata=METADATA,
            id=step_id(promotion, f"gate:{gate}"),
        )
    for event in ["started", ending] if ending == "completed" else [ending]:
        ledger.append(type="promotion", event=event, data=said, metadata=METADATA, id=step_id(promotion, event))


def configuration(folder: Path, port: int, exporter: str, **more: Any) -> Path:
    """Render the role's template; scrapes and evaluations are every second."""
    shutil.copy(RULES, folder)
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["to_json"] = json.dumps
    environment.filters["to_nice_yaml"] = lambda value, indent: yaml.safe_dump(value, indent=indent)
    text = environment.from_string((ROLE / "templates/prometheus.yml.j2").read_text()).render(
        prometheus_scrape_interval="1s",
        prometheus_instance="test",
        prometheus_config_dir=folder,
        prometheus_exporter_address=exporter,
        prometheus_host="127.0.0.1",
        prometheus_port=port,
        **{
            "prometheus_kubernetes_address": "127.0.0.1:1",
            "prometheus_extra_rule_files": [],
            "prometheus_extra_scrape_configs": [],
            "_prometheus_kubernetes": False,
            **more,
        },
    )
    path = folder / "prometheus.yml"
    path.write_text(text)
    return path


@pytest.fixture
def monitoring(tmp_path: Path) -> Iterator[Monitoring]:
    port, exporter = free_port(), f"127.0.0.1:{free_port()}"
    program = tmp_path / "kpi-exporter.pyz"
    install(program)
    serve = [
        prometheus(),
        f"--config.file={configuration(tmp_path, port, exporter)}",
        f"--storage.tsdb.path={tmp_path / 'samples'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    found = Monitoring(tmp_path / "ledger", f"http://{exporter}/metrics", f"http://127.0.0.1:{port}")
    export = [sys.executable, program, f"--ledger={found.ledger}", f"--listen={exporter}", "--service=service-a"]
    with (
        running(export, tmp_path / "exporter.log", found.exporter),
        running(serve, tmp_path / "prometheus.log", f"{found.prometheus}/-/ready"),
    ):
        yield found


def test_the_ledger_becomes_series_and_alerts(monitoring: Monitoring) -> None:
    rules = monitoring.get("/api/v1/rules?type=alert")["groups"]
    assert {rule["name"] for group in rules for rule in group["rules"]} == ALERTS
    eventually(lambda: monitoring.value("service_a_compliance_state"), 0.0)
    assert monitoring.firing() == set()

    promote(monitoring.ledger, "completed")
    eventually(lambda: monitoring.value("service_a_compliance_state"), 1.0)
    assert monitoring.value("promotion_success_rate") == 1.0
    assert monitoring.value("evidence_completeness") == 1.0
    assert monitoring.value('golden_goose_promotions{service="service-a",outcome="completed"}') == 1.0
    eventually(monitoring.firing, set())

    promote(monitoring.ledger, "refused")
    eventually(monitoring.firing, {"promotion_failure"})
    assert monitoring.value("promotion_success_rate") == 0.5
    assert monitoring.value("service_a_compliance_state") == 1.0

    entries = monitoring.ledger / "entries.jsonl"
    entries.write_bytes(entries.read_bytes().replace(b'"verdict":"allow"', b'"verdict":"alloW"', 1))
    eventually(lambda: {"audit_chain_break", "evidence_gap"} <= monitoring.firing(), True)
    assert monitoring.value("service_a_compliance_state") == 0.0
    assert monitoring.value('up{job="kpi_exporter"}') == 1.0


def test_the_four_figures_of_dora_are_what_the_readme_asks_for(monitoring: Monitoring) -> None:
    text = (
        (REPOSITORY / "roles/kpi_exporter/README.md")
        .read_text()
        .partition("| figure | PromQL |\n")[2]
        .partition("\n\n")[0]
    )
    asked = dict(re.findall(r"^\| ([a-z, ]+) \| `(.+)` \|$", text, re.MULTILINE))
    assert set(asked) == {"deployments a day", "lead time, median", "change failure rate", "time to restore, median"}
    eventually(lambda: monitoring.value("golden_goose_promotions_completed_total"), 0.0)
    ledger = Ledger.create(monitoring.ledger, "example.test/sandbox")
    built = {"service": "service-a", "digest": DIGEST}
    ledger.append(type="validation", event="build", data=built, metadata=METADATA)
    for ending in ("completed", "completed", "failed", "completed"):
        promote(monitoring.ledger, ending)
    eventually(lambda: monitoring.value("golden_goose_promotions_completed_total"), 3.0)
    # Two samples after the first are there, so that there is an increase.
    eventually(lambda: (monitoring.value(asked["deployments a day"]) or 0) > 0, True)
    rate = monitoring.value(asked["change failure rate"])
    assert rate is not None and abs(rate - 1 / 4) < 1e-9
    for figure in ("lead time, median", "time to restore, median"):
        median = monitoring.value(asked[figure])
        # All happened at once, so it is within the first bucket.
        assert median is not None and 0 < median <= 60, figure


def test_a_ledger_that_became_shorter_is_noticed(monitoring: Monitoring) -> None:
    for _promotion in range(2):
        promote(monitoring.ledger, "completed")
    eventually(lambda: monitoring.value("golden_goose_ledger_entries"), 16.0)
    entries = monitoring.ledger / "entries.jsonl"
    entries.write_bytes(b"".join(entries.read_bytes().splitlines(keepends=True)[:8]))
    eventually(monitoring.firing, {"audit_chain_break"})
    # What is left holds as a chain: only its length gives it away.
    assert monitoring.value("golden_goose_audit_chain_intact") == 1.0


def promtool(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(prometheus("promtool")), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_rules_alert_when_they_should(tmp_path: Path) -> None:
    for path in (RULES, REPOSITORY / "tests/integration/rules/golden-goose.test.yml"):
        shutil.copy(path, tmp_path)
    done = promtool("test", "rules", "golden-goose.test.yml", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_refuses_broken_rules(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text(RULES.read_text().replace("evidence_completeness < 1", "evidence_completeness <"))
    assert promtool("check", "rules", broken, folder=tmp_path).returncode != 0
    assert promtool("check", "rules", "--lint-fatal", RULES, folder=tmp_path).returncode == 0


def test_the_configuration_with_everything_in_it_is_sound(tmp_path: Path) -> None:
    for name in ("kubernetes.token", "kubernetes-ca.crt", "mine.rules.yml"):
        (tmp_path / name).touch()
    extra = [
        {"job_name": "mine", "static_configs": [{"targets": ["127.0.0.1:1", "127.0.0.1:2"]}]},
        {"job_name": "yours", "static_configs": [{"targets": ["127.0.0.1:3"]}]},
    ]
    path = configuration(
        tmp_path,
        9090,
        "127.0.0.1:9474",
        _prometheus_kubernetes=True,
        prometheus_kubernetes_address="10.245.0.1:6443",
        prometheus_extra_rule_files=[str(tmp_path / "mine.rules.yml")],
        prometheus_extra_scrape_configs=extra,
    )
    done = promtool("check", "config", path, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = [job["job_name"] for job in yaml.safe_load(path.read_text())["scrape_configs"]]
    assert jobs == ["kpi_exporter", "prometheus", "kubernetes_api", "mine", "yours"]
