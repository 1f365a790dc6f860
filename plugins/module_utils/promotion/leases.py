# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One run on a service in the whole cluster: a Kubernetes Lease that expires when nobody renews it.

The locks of runs.py keep runs on one machine apart; a Lease does so for all machines that promote to one cluster.
https://kubernetes.io/docs/concepts/architecture/leases/
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from ..cluster import ClusterDenied, ClusterError, ClusterUnavailable
from .model import COMPLIANT, Refused
from .ports import Answer
from .runs import Owner, owner_of

_POLL_SECONDS = 0.5
_DOING = "golden-goose.local/doing"
_COLLECTION = f"/apis/coordination.k8s.io/v1/namespaces/{COMPLIANT}/leases"


class Api(Protocol):
    """The one call of cluster.py that leases need."""

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Return what the API server answers to one request, whatever the status."""


@dataclass(frozen=True)
class Leases:
    """The leases of one cluster, held for ``owner`` (default: this process).

    ``seconds`` is how long a lease lasts that nobody renews, ``wait_seconds`` how long to wait for another run.
    """

    api: Api
    owner: Owner | None = None
    seconds: float = 60.0
    wait_seconds: float = 0.0
    host: str = socket.gethostname()

    @contextmanager
    def hold(self, service: str, doing: str) -> Iterator[None]:
        """Hold the lease of ``service`` for the block, and renew it meanwhile.

        :raises Refused: another run holds it; the sentence says who and until when.
        :raises ClusterError: the API server does not answer or refuses.
        """
        self._acquire(service, doing)
        done = threading.Event()
        renewal = threading.Thread(target=self._keep, args=(service, doing, done), daemon=True)
        renewal.start()
        try:
            yield
        finally:
            done.set()
            renewal.join()
            # It expires by itself; a promotion that is completed does not fail for this.
            with suppress(ClusterError):
                self._release(service)

    @property
    def identity(self) -> str:
        """Host, boot, process and its start: what no other process is, ever."""
        owner = self.owner or owner_of(os.getpid())
        return f"{self.host}/{owner.boot}/{owner.pid}/{owner.started}" if owner else f"{self.host}//{os.getpid()}/"

    def _acquire(self, service: str, doing: str) -> None:
        deadline = time.monotonic() + self.wait_seconds
        while True:
            held = self._read(service)
            if held is None:
                answer = self.api.request("POST", _COLLECTION, self._document(service, doing, None))
            elif self._free(held):
                answer = self.api.request(
                    "PUT", f"{_COLLECTION}/{_name(service)}", self._document(service, doing, held)
                )
            elif time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                continue
            else:
                raise Refused(f"{service} is being worked on by another run: {_said(held)}; wait until it has ended.")
            if answer.status in (200, 201):
                return
            # Another run was quicker: see who it is.
            if answer.status not in (404, 409):
                raise _error(answer, service)

    def _read(self, service: str) -> dict[str, Any] | None:
        answer = self.api.request("GET", f"{_COLLECTION}/{_name(service)}")
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise _error(answer, service)
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def _free(self, lease: Mapping[str, Any]) -> bool:
        holder = lease["spec"].get("holderIdentity") or ""
        if holder in ("", self.identity) or datetime.now(UTC) > _expiry(lease):
            return True
        return self._gone(holder)

    def _gone(self, holder: str) -> bool:
        """Whether the holder was a process of this machine and boot that has ended: no need to wait then."""
        host, boot, pid, started = [*holder.split("/"), "", "", ""][:4]
        if host != self.host or not boot or not pid.isdigit():
            return False
        ours = owner_of(os.getpid())
        return ours is not None and ours.boot == boot and not Owner(int(pid), started, boot).alive

    def _document(self, service: str, doing: str, before: Mapping[str, Any] | None) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = before["spec"] if before else {}
        same = spec.get("holderIdentity") == self.identity
        metadata: dict[str, Any] = {
            "name": _name(service),
            "namespace": COMPLIANT,
            "annotations": {_DOING: doing},
        }
        if before:
            metadata["resourceVersion"] = before["metadata"]["resourceVersion"]
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": max(1, round(self.seconds)),
                "acquireTime": spec.get("acquireTime", now) if same else now,
                "renewTime": now,
                "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (0 if same or not before else 1),
            },
        }

    def _keep(self, service: str, doing: str, done: threading.Event) -> None:
        while not done.wait(self.seconds / 3):
            # An API server that is away now is asked again; the lease lasts three rounds.
            with suppress(ClusterError):
                held = self._read(service)
                if held is None or held["spec"].get("holderIdentity") != self.identity:
                    return
                self.api.request("PUT", f"{_COLLECTION}/{_name(service)}", self._document(service, doing, held))

    def _release(self, service: str) -> None:
        held = self._read(service)
        if held and held["spec"].get("holderIdentity") == self.identity:
            metadata = held["metadata"]
            conditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
            body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": conditions}
            self.api.request("DELETE", f"{_COLLECTION}/{_name(service)}", body)


def _name(service: str) -> str:
    return f"promotion-{service}"


def _expiry(lease: Mapping[str, Any]) -> datetime:
    spec = lease["spec"]
    renewed = datetime.fromisoformat(str(spec.get("renewTime") or spec.get("acquireTime") or "1970-01-01T00:00:00Z"))
    return renewed + timedelta(seconds=int(spec.get("leaseDurationSeconds") or 0))


def _said(lease: Mapping[str, Any]) -> str:
    host, _boot, pid = [*str(lease["spec"]["holderIdentity"]).split("/"), "?", "?"][:3]
    doing = (lease["metadata"].get("annotations") or {}).get(_DOING, "it does not say what")
    until = _expiry(lease).isoformat(timespec="seconds")
    return f"{doing} (on {host}, pid {pid}, lease until {until})"


def _error(answer: Answer, service: str) -> ClusterError:
    said = json.loads(answer.body).get("message") if answer.body[:1] == b"{" else f"status {answer.status}"
    sentence = f"The API server does not give the lease of {service} in {COMPLIANT}: {str(said).rstrip('.')}"
    if answer.status in (401, 403):
        return ClusterDenied(f"{sentence}; run playbooks/sandbox.yml to renew the promoter's role.")
    return (
        ClusterUnavailable(f"{sentence}.")
        if answer.status == 429 or answer.status >= 500
        else ClusterError(f"{sentence}.")
    )
