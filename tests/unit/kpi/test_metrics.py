# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Names, labels and values of what is served."""

from __future__ import annotations

import math
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.kpi import exporter
from ansible_collections.golden_goose.compliance.plugins.module_utils.kpi.metrics import (
    compliance_metric_name,
    metrics,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.kpi.program import archive, install
from ansible_collections.golden_goose.compliance.plugins.module_utils.kpi.watch import Watch

from .story import Story


def values(path: Path) -> dict[str, float]:
    """Return every sample as name{label values} → value."""
    return {
        f"{metric.name}{{{','.join(labels)}}}" if labels else metric.name: value
        for metric in metrics(Watch(path), ["service-a"])
        for labels, value in metric.samples
    }


def test_the_three_required_series_exist_before_the_ledger_does(tmp_path: Path) -> None:
    found = values(tmp_path / "nowhere")
    assert found["service_a_compliance_state"] == 0
    assert math.isnan(found["promotion_success_rate"])
    assert math.isnan(found["evidence_completeness"])
    assert found["golden_goose_ledger_state{nothing_to_verify}"] == 1
    assert "golden_goose_ledger_last_entry_timestamp_seconds" not in found


def test_they_follow_the_ledger(story: Story) -> None:
    story.promote()
    story.step(story.request(), "refused", reason="no")
    found = values(story.ledger.path)
    assert found["service_a_compliance_state"] == 1
    assert found["promotion_success_rate"] == 0.5
    assert found["evidence_completeness"] == 1
    assert found["golden_goose_last_promotion_failed{service-a}"] == 1
    assert found["golden_goose_promotions{service-a,refused}"] == 1
    assert found["golden_goose_ledger_entries"] == 10
    assert found["golden_goose_ledger_bytes"] == story.ledger.entries_path.stat().st_size


def test_a_broken_chain_is_a_value(story: Story) -> None:
    story.promote()
    story.edit(b'"verdict":"allow"', b'"verdict":"alloW"')
    found = values(story.ledger.path)
    assert found["golden_goose_audit_chain_intact"] == 0
    assert found["golden_goose_ledger_state{broken}"] == 1
    assert found["golden_goose_ledger_state{intact}"] == 0
    assert found["service_a_compliance_state"] == 0


@pytest.mark.parametrize(
    ("service", "name"),
    [("service-a", "service_a_compliance_state"), ("a.b-c", "a_b_c_compliance_state")],
)
def test_the_name_of_a_service_becomes_a_metric_name(service: str, name: str) -> None:
    assert compliance_metric_name(service) == name


def test_the_program_is_reproducible_and_runs_without_ansible(tmp_path: Path) -> None:
    path = tmp_path / "kpi-exporter.pyz"
    assert archive() == archive()
    assert install(path, check=True) and not path.exists()
    assert install(path) and not install(path) and not install(path, check=True)
    # -S and -I: no site-packages, nothing of this checkout.
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(path), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "--ledger" in done.stdout, done.stderr


def test_a_bad_address_is_refused_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exporter.main(["--ledger", str(tmp_path), "--listen", "nonsense"]) == 2
    assert capsys.readouterr().err == "--listen nonsense is not host:port.\n"


def test_a_port_in_use_is_refused_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert exporter.main(["--ledger", str(tmp_path), "--listen", f"127.0.0.1:{port}"]) == 1
    assert f"Cannot serve on 127.0.0.1:{port}: " in capsys.readouterr().err
