# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""See whether a cluster is ready to take services: its node, its own deployments, its DNS."""

from __future__ import annotations

import base64
import json
import secrets
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .cluster import ClusterUnavailable, KubernetesCluster
from .errors import GoldenGooseError

_POLL_SECONDS = 0.25
_DNS_SECONDS = 1.0
_DNS_PORT = 53
_TYPE_A = 1
_CLASS_IN = 1


def wait_ready(
    cluster: KubernetesCluster,
    deployments: Sequence[str],
    dns_server: str | None,
    dns_name: str,
    timeout: float,
) -> dict[str, Any]:
    """Wait until all nodes are Ready, the deployments are available and DNS answers.

    :param deployments: ``namespace/name`` each.
    :param dns_server: address to ask for ``dns_name``; None leaves DNS out.
    :param timeout: seconds.
    :returns: ``nodes`` (names), ``version`` of the API server and ``waited`` in seconds.
    :raises GoldenGooseError: the time is over; the sentence says what was last seen.
    """
    started = time.monotonic()
    while True:
        waited = time.monotonic() - started
        try:
            nodes, seen = _look(cluster, deployments)
            if seen is None and dns_server:
                seen = _ask(dns_server, dns_name)
        except ClusterUnavailable as error:
            nodes, seen = [], str(error)
        if seen is None:
            return {"nodes": nodes, "version": _version(cluster), "waited": round(waited, 1)}
        if waited > timeout:
            raise GoldenGooseError(f"The cluster was not ready after {timeout:.0f} s; last seen: {seen}")
        time.sleep(_POLL_SECONDS)


def _look(cluster: KubernetesCluster, deployments: Sequence[str]) -> tuple[list[str], str | None]:
    """Return the names of the nodes, and what is not ready yet, or None."""
    items = _get(cluster, "/api/v1/nodes").get("items", [])
    nodes = [str(node["metadata"]["name"]) for node in items]
    if not nodes:
        return [], "no node has registered"
    for node in items:
        conditions = {c["type"]: c for c in node["status"].get("conditions", [])}
        ready = conditions.get("Ready", {})
        if ready.get("status") != "True":
            return nodes, f"node {node['metadata']['name']} is not Ready: {ready.get('message', 'no condition yet')}"
    for deployment in deployments:
        namespace, _slash, name = deployment.partition("/")
        document = _get(cluster, f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
        status, wanted = document.get("status", {}), document.get("spec", {}).get("replicas", 1)
        available = status.get("availableReplicas", 0)
        if available < wanted:
            return nodes, f"deployment {deployment} has {available} of {wanted} pods available"
    return nodes, None


def _get(cluster: KubernetesCluster, path: str) -> dict[str, Any]:
    answer = cluster.request("GET", path)
    if answer.status == 404:
        return {}
    if answer.status != 200:
        raise ClusterUnavailable(f"the API server answered {answer.status} to GET {path}")
    document: dict[str, Any] = json.loads(answer.body)
    return document


def _version(cluster: KubernetesCluster) -> str:
    return str(_get(cluster, "/version").get("gitVersion", "unknown"))


def _ask(server: str, name: str) -> str | None:
    """Ask ``server`` for the address of ``name`` over UDP (RFC 1035); return None when it knows one."""
    identity = secrets.randbits(16)
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    question = struct.pack(">HHHHHH", identity, 0x0100, 1, 0, 0, 0) + labels + b"\0"
    question += struct.pack(">HH", _TYPE_A, _CLASS_IN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(_DNS_SECONDS)
        try:
            client.sendto(question, (server, _DNS_PORT))
            answer = client.recv(512)
        except OSError as error:
            return f"DNS at {server} does not answer ({error})"
    if len(answer) < 12:
        return f"DNS at {server} sent an answer of {len(answer)} bytes"
    given, flags, _questions, answers = struct.unpack(">HHHH", answer[:8])
    if given != identity or flags & 0x000F or not answers:
        return f"DNS at {server} does not know {name} (code {flags & 0x000F}, {answers} answers)"
    return None


@dataclass(frozen=True)
class AccountCredentials:
    """A service account's bearer token, and the PEM of the authority of the API server's certificate."""

    token: str
    authority: str


def read_account(cluster: KubernetesCluster, namespace: str, secret: str, timeout: float) -> AccountCredentials:
    """Return what the controller has put into a service account's Secret.

    :param timeout: seconds to wait for the controller.
    :raises GoldenGooseError: it is not there in time.
    """
    path = f"/api/v1/namespaces/{namespace}/secrets/{secret}"
    deadline = time.monotonic() + timeout
    while True:
        try:
            data = _get(cluster, path).get("data") or {}
            seen = "the Secret has no token yet"
        except ClusterUnavailable as error:
            data, seen = {}, str(error)
        if data.get("token"):
            return AccountCredentials(_decode(data["token"]), _decode(data.get("ca.crt", "")))
        if time.monotonic() > deadline:
            raise GoldenGooseError(
                f"No token for {namespace}/{secret} after {timeout:.0f} s; last seen: {seen}. "
                "The controller manager writes it: read its log."
            )
        time.sleep(_POLL_SECONDS)


def _decode(text: str) -> str:
    return base64.b64decode(text).decode()
