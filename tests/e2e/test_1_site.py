# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first run of the demo on a bare instance, and what it has built."""

from __future__ import annotations

import json
import socket
import struct
import time

from .conftest import Demo
from .instance import Instance
from .prometheus import query


def test_the_demo_ends_with_addresses_evidence_and_package(instance: Instance, first_demo: Demo) -> None:
    said = first_demo.output
    assert "service-a: compliant" in said
    assert f"export KUBECONFIG={instance.config}/kubernetes/admin.kubeconfig" in said
    assert "http://127.0.0.1:8200" in said
    completed = instance.entries("completed")[-1]
    assert completed["hash"] in said
    assert str(instance.packages / "service-a" / completed["hash"]) in said
    assert "Provisional" in said


def test_the_node_is_ready(promoted: Instance) -> None:
    nodes = json.loads(promoted.kubectl("get", "nodes", "-o", "json"))["items"]
    conditions = [{c["type"]: c["status"] for c in node["status"]["conditions"]} for node in nodes]
    assert [condition["Ready"] for condition in conditions] == ["True"]


def test_cluster_dns_answers(promoted: Instance) -> None:
    assert _lookup("kubernetes.default.svc.cluster.local", "10.96.0.10") == "10.96.0.1"
    address = promoted.address("compliant", "service-a").removeprefix("http://").partition(":")[0]
    assert _lookup("service-a.compliant.svc.cluster.local", "10.96.0.10") == address


def test_the_namespaces_enforce_restricted_pods(promoted: Instance) -> None:
    for name in ("sandbox", "compliant"):
        labels = json.loads(promoted.kubectl("get", "namespace", name, "-o", "json"))["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted", name


def test_prometheus_scrapes_everything_and_sees_the_service_compliant(promoted: Instance) -> None:
    wanted = "service_a_compliance_state == 1 and on() evidence_completeness == 1"
    deadline = time.monotonic() + 60
    while not (found := query(wanted)) or query("up == 0"):
        assert time.monotonic() < deadline, f"service-a: {found}; targets that are down: {query('up == 0')}"
        time.sleep(1)
    assert len(query("up == 1")) >= 3, "exporter, API server and Prometheus itself are scraped"


def test_keys_and_credentials_are_for_root_only(promoted: Instance) -> None:
    secret = [*promoted.config.rglob("*.key"), *promoted.config.rglob("*.kubeconfig"), *promoted.config.rglob("*.json")]
    secret += promoted.config.glob("kubernetes/*.token")
    assert len(secret) > 10
    assert [str(path) for path in secret if path.stat().st_mode & 0o077] == []


def _lookup(name: str, server: str) -> str:
    """Return the first IPv4 address of ``name`` (RFC 1035), asked of ``server`` over UDP."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = struct.pack(">HHHHHH", 1, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(question, (server, 53))
        answer = client.recv(512)
    assert struct.unpack(">H", answer[6:8])[0] > 0, f"{name} has no address"
    return socket.inet_ntoa(answer[-4:])
