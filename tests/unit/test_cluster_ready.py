# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a cluster is ready: answers of an API server, and a small DNS server."""

from __future__ import annotations

import base64
import json
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils import cluster_ready
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import (
    ClusterUnavailable,
    KubernetesCluster,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster_ready import read_account, wait_ready
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.ports import Answer

NAME = "kubernetes.default.svc.cluster.local"
COREDNS = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
READY = {"type": "Ready", "status": "True"}


class FakeCluster(KubernetesCluster):
    """Answers from a dictionary of path to document, status, or error."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__(Path("/nonexistent"))
        self.answers: dict[str, Any] = {"/version": {"gitVersion": "v1.34.4"}, **answers}
        self.asked: list[str] = []

    def request(self, method: str, path: str, *_more: Any, **_options: Any) -> Answer:
        self.asked.append(f"{method} {path}")
        answer = self.answers.get(path, 404)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        return Answer(answer, b"{}") if isinstance(answer, int) else Answer(200, json.dumps(answer).encode())


def nodes(*conditions: list[dict[str, str]]) -> dict[str, Any]:
    named = enumerate(conditions)
    return {"items": [{"metadata": {"name": f"node{n}"}, "status": {"conditions": c}} for n, c in named]}


def deployment(available: int, wanted: int = 1) -> dict[str, Any]:
    return {"spec": {"replicas": wanted}, "status": {"availableReplicas": available}}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_ready, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(cluster_ready, "_DNS_SECONDS", 0.2)


def wait(cluster: FakeCluster, *deployments: str, dns: str | None = None, timeout: float = 0.05) -> dict[str, Any]:
    return wait_ready(cluster, deployments, dns, NAME, timeout)


def test_ready() -> None:
    cluster = FakeCluster({"/api/v1/nodes": nodes([READY], [READY]), COREDNS: deployment(2, 2)})
    found = wait(cluster, "kube-system/coredns")
    assert (found["nodes"], found["version"]) == (["node0", "node1"], "v1.34.4")
    assert 0 <= found["waited"] < 5


def test_waits_for_what_comes() -> None:
    not_ready = {"type": "Ready", "status": "False", "message": "soon"}
    steps = [ClusterUnavailable("away"), 503, nodes(), nodes([]), nodes([not_ready]), nodes([READY])]
    cluster = FakeCluster({"/api/v1/nodes": steps, COREDNS: [404, deployment(0), deployment(1)]})
    assert wait(cluster, "kube-system/coredns", timeout=30)["nodes"] == ["node0"]
    assert cluster.asked.count("GET /api/v1/nodes") == 8


@pytest.mark.parametrize(
    ("answers", "seen"),
    [
        ({"/api/v1/nodes": ClusterUnavailable("nothing answers")}, "nothing answers"),
        ({"/api/v1/nodes": 403}, "the API server answered 403 to GET /api/v1/nodes"),
        ({"/api/v1/nodes": nodes()}, "no node has registered"),
        ({"/api/v1/nodes": nodes([READY], [])}, "node node1 is not Ready: no condition yet"),
        (
            {"/api/v1/nodes": nodes([{"type": "Ready", "status": "False", "message": "no CNI"}])},
            "node node0 is not Ready: no CNI",
        ),
        ({"/api/v1/nodes": nodes([READY])}, "deployment kube-system/coredns has 0 of 1 pods available"),
        (
            {"/api/v1/nodes": nodes([READY]), COREDNS: deployment(1, 2)},
            "deployment kube-system/coredns has 1 of 2 pods available",
        ),
    ],
)
def test_says_what_was_last_seen(answers: dict[str, Any], seen: str) -> None:
    with pytest.raises(GoldenGooseError) as caught:
        wait(FakeCluster(answers), "kube-system/coredns")
    assert str(caught.value) == f"The cluster was not ready after 0 s; last seen: {seen}"


class DnsServer:
    """Answers each question by its rule: (code, number of answers), what to send as it is, or nothing."""

    def __init__(self) -> None:
        self.rule: tuple[int, int] | bytes | None = (0, 1)
        self.questions: list[bytes] = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            question, client = self.socket.recvfrom(512)
            if question == b"end":
                self.socket.close()
                return
            self.questions.append(question)
            if isinstance(self.rule, tuple):
                code, answers = self.rule
                flags = 0x8180 | code
                reply = question[:2] + struct.pack(">HHHHH", flags, 1, answers, 0, 0) + question[12:]
                self.socket.sendto(reply, client)
            elif self.rule is not None:
                self.socket.sendto(self.rule, client)

    def end(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"end", ("127.0.0.1", self.port))


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[DnsServer]:
    server = DnsServer()
    monkeypatch.setattr(cluster_ready, "_DNS_PORT", server.port)
    yield server
    server.end()


def test_asks_dns_a_question_as_rfc_1035_has_it(dns: DnsServer) -> None:
    wait(FakeCluster({"/api/v1/nodes": nodes([READY])}), dns="127.0.0.1", timeout=5)
    (question,) = dns.questions
    # Recursion desired, one question; the name label by label; type A, class IN.
    assert question[2:12] == bytes.fromhex("01000001000000000000")
    assert question[12:] == b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\0" + bytes.fromhex("00010001")


@pytest.mark.parametrize(
    ("rule", "seen"),
    [
        ((3, 0), f"DNS at 127.0.0.1 does not know {NAME} (code 3, 0 answers)"),
        ((0, 0), f"DNS at 127.0.0.1 does not know {NAME} (code 0, 0 answers)"),
        (b"short", "DNS at 127.0.0.1 sent an answer of 5 bytes"),
        # Somebody else's answer: the identity is another (in all but one of 65536 runs).
        (b"\0\0" + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0), "DNS at 127.0.0.1 does not know"),
        (None, "DNS at 127.0.0.1 does not answer (timed out)"),
    ],
)
def test_says_what_dns_answered(dns: DnsServer, rule: tuple[int, int] | bytes | None, seen: str) -> None:
    dns.rule = rule
    with pytest.raises(GoldenGooseError) as caught:
        wait(FakeCluster({"/api/v1/nodes": nodes([READY])}), dns="127.0.0.1")
    assert f"last seen: {seen}" in str(caught.value)


def test_dns_that_nobody_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        monkeypatch.setattr(cluster_ready, "_DNS_PORT", client.getsockname()[1])
    with pytest.raises(GoldenGooseError, match=r"DNS at 127\.0\.0\.1 does not answer"):
        wait(FakeCluster({"/api/v1/nodes": nodes([READY])}), dns="127.0.0.1")


SECRET = "/api/v1/namespaces/golden-goose/secrets/prometheus"


def encoded(**data: str) -> dict[str, Any]:
    return {"data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}}


def test_account_once_the_controller_has_written_it() -> None:
    written = encoded(token="abc", **{"ca.crt": "PEM"})
    cluster = FakeCluster({SECRET: [404, 503, {"data": None}, encoded(namespace="x"), written]})
    account = read_account(cluster, "golden-goose", "prometheus", 30)
    assert (account.token, account.authority) == ("abc", "PEM")


@pytest.mark.parametrize(
    ("answer", "seen"),
    [(404, "the Secret has no token yet"), (403, f"the API server answered 403 to GET {SECRET}")],
)
def test_an_account_that_does_not_come(answer: int, seen: str) -> None:
    with pytest.raises(GoldenGooseError) as caught:
        read_account(FakeCluster({SECRET: answer}), "golden-goose", "prometheus", 0.05)
    assert str(caught.value).startswith(f"No token for golden-goose/prometheus after 0 s; last seen: {seen}.")
