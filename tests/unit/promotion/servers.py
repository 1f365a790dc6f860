# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""API server, Vault and Prometheus below the libraries that talk to them, and what these raise when one is away.

Our own clients are the real ones, and so are urllib3, requests, hvac and urllib above their connections: what is tested
is how errors of the libraries, and answers of servers that are not able to, become sentences.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import urllib3
from ansible_collections.golden_goose.compliance.plugins.module_utils import admission, cluster
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import ClusterError
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import HeadMoved

from tests.unit.ledger.second_place import Memory

from .conftest import FakeCluster

API, VAULT, PROMETHEUS = "http://api.test:6443", "http://vault.test:8200", "http://prometheus.test:9090"
NAMES = {API: "API server", VAULT: "Vault", PROMETHEUS: "Prometheus"}
_KINDS = {
    "deployments": "Deployment",
    "services": "Service",
    "configmaps": "ConfigMap",
    "serviceaccounts": "ServiceAccount",
    "networkpolicies": "NetworkPolicy",
}
_PATH = re.compile(r"/namespaces/(?P<namespace>[^/]+)/(?P<kind>[^/]+)(?:/(?P<name>[^/]+))?(?P<rest>/proxy.*)?$")
Reply = tuple[int, dict[str, Any]]


class Network:
    """Counts the requests to each server. One of them is away from request ``at`` on, for ``count`` (0: all the rest).

    ``how`` is one of ``FAULTS`` of the server: an error of its library, or the status of an answer.
    """

    def __init__(self, fake: FakeCluster, second: Memory) -> None:
        self.fake, self.second = fake, second
        self.asked: dict[str, list[str]] = {API: [], VAULT: [], PROMETHEUS: []}
        self.away: tuple[str, int, int, Any] | None = None
        self.leases: dict[str, dict[str, Any]] = {}

    def ask(self, server: str, what: str) -> Any:
        """Note a request; return the status to answer instead, or None; raise what the library would."""
        self.asked[server].append(what)
        if self.away is None or self.away[0] != server:
            return None
        _server, at, count, how = self.away
        number = len(self.asked[server]) - 1
        if number < at or (count and number >= at + count):
            return None
        if isinstance(how, int):
            return how
        raise how()

    @contextmanager
    def outage(self, server: str, at: int, count: int, how: Any) -> Iterator[None]:
        self.asked[server].clear()
        self.away = (server, at, count, how)
        try:
            yield
        finally:
            self.away = None

    def api(self, method: str, url: str, body: bytes | None = None, **_options: Any) -> Any:
        """Answer as ``urllib3.PoolManager.request`` does."""
        parts = urlsplit(url)
        status = self.ask(API, f"{method} {parts.path}")
        if status:
            said = {"kind": "Status", "message": "etcdserver: leader changed", "code": status}
            return SimpleNamespace(status=status, data=json.dumps(said).encode())
        document = json.loads(body) if body else {}
        status, answer = self._kubernetes(method, parts.path, dict(parse_qsl(parts.query)), document)
        data = answer.pop("raw") if "raw" in answer else json.dumps(answer).encode()
        return SimpleNamespace(status=status, data=data)

    def _kubernetes(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> Reply:
        found = _PATH.search(path)
        assert found, path
        namespace, kind, name = found["namespace"], found["kind"], found["name"]
        if kind == "leases":
            return self._lease(method, name, body)
        if path in (admission.PATH, admission.COLLECTION):
            return self._list(body)
        if found["rest"]:
            answer = self.fake.get(namespace, str(name).partition(":")[0], found["rest"].removeprefix("/proxy"))
            return answer.status, {"raw": answer.body}
        if kind == "pods":
            return 200, {"items": []}
        if method == "PATCH":
            try:
                self.fake.apply([body], dry_run="dryRun" in query)
            except ClusterError as error:
                return 422, {"message": str(error)}
            return 200, body
        item = self.fake.objects.get((namespace, _KINDS[kind], str(name)))
        if item is None:
            return 404, {"message": "not found"}
        if method == "DELETE":
            self.fake.delete([item])
            return 200, {}
        view = self.fake.deployment(namespace, str(name))
        assert view is not None
        status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": view.ready}
        return 200, item | {"metadata": item["metadata"] | {"generation": 1}, "status": status}

    def _list(self, body: dict[str, Any]) -> Reply:
        for key, image in (body.get("data") or {}).items():
            if image is None:
                self.fake.dismiss({known for known in self.fake.admitted if admission.key_of(known) == key})
            else:
                self.fake.admit({image})
        return 200, {}

    def _lease(self, method: str, name: str | None, body: dict[str, Any]) -> Reply:
        name = name or body["metadata"]["name"]
        known = self.leases.get(name)
        if method == "POST" or (method == "PUT" and known):
            version = str(int(known["metadata"]["resourceVersion"]) + 1) if known else "1"
            body["metadata"] |= {"resourceVersion": version, "uid": "u"}
            self.leases[name] = body
            return 200, body
        if known is None:
            return 404, {"message": "not found"}
        if method == "DELETE":
            del self.leases[name]
        return 200, known

    def vault(self, request: requests.PreparedRequest, **_options: Any) -> requests.Response:
        """Answer as ``requests.adapters.HTTPAdapter.send`` does."""
        path = urlsplit(str(request.url)).path
        status = self.ask(VAULT, f"{request.method} {path}")
        answer: dict[str, Any] = {"errors": ["local node not active"]}
        if not status:
            status, answer = self._secrets(str(request.method), path, json.loads(request.body or "{}"))
        response = requests.Response()
        response.status_code, response.raw, response.request = status, io.BytesIO(json.dumps(answer).encode()), request
        response.headers["Content-Type"] = "application/json"
        response.url = str(request.url)
        return response

    def _secrets(self, method: str, path: str, body: dict[str, Any]) -> Reply:
        if path.endswith("/login"):
            return 200, {"auth": {"client_token": "t"}}
        if path.endswith("/revoke-self"):
            return 204, {}
        if "/transit/keys/" in path:
            keys = {str(version): {"public_key": _text(public)} for version, public in self.second.public_keys()}
            return 200, {"data": {"latest_version": len(keys), "keys": keys}}
        if "/transit/sign/" in path:
            signature = self.second.sign(_bytes(body["input"]), int(body.get("key_version") or 1))
            return 200, {"data": {"signature": f"vault:v1:{_text(signature)}"}}
        assert "/data/ledger/" in path, path
        return self._head(method, path.rpartition("/")[2], body)

    def _head(self, method: str, name: str, body: dict[str, Any]) -> Reply:
        if method == "GET":
            version, document = self.second.read(name)
            if document is None:
                return 404, {"errors": []}
            return 200, {"data": {"data": document, "metadata": {"version": version}}}
        try:
            self.second.write(name, body["data"], body["options"]["cas"])
        except HeadMoved:
            return 400, {"errors": ["check-and-set parameter did not match the current version"]}
        return 200, {"data": {}}

    def prometheus(self, url: str, *_arguments: Any, **_options: Any) -> io.BytesIO:
        """Answer as ``urllib.request.OpenerDirector.open`` does."""
        status = self.ask(PROMETHEUS, "GET")
        if status:
            raise urllib.error.HTTPError(url, status, "not ready", Message(), io.BytesIO(b"starting up"))
        return io.BytesIO(json.dumps({"data": {"resultType": "scalar", "result": [0, "1"]}}).encode())

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Have all requests of this process come here, and no wait take any time."""
        clock = SimpleNamespace(now=0.0)

        def sleep(seconds: float) -> None:
            clock.now += seconds

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(urllib3.PoolManager, "request", lambda _, *args, **more: self.api(*args, **more))
            patched.setattr(requests.adapters.HTTPAdapter, "send", lambda _, *args, **more: self.vault(*args, **more))
            patched.setattr(
                urllib.request.OpenerDirector, "open", lambda _, *args, **more: self.prometheus(*args, **more)
            )
            patched.setattr(cluster, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
            yield


def _refused() -> Exception:
    pool = urllib3.HTTPConnectionPool("api.test", 6443)
    reason = urllib3.exceptions.NewConnectionError(pool, "Connection refused")  # type: ignore[arg-type]
    return urllib3.exceptions.MaxRetryError(pool, "/", reason)


def _slow() -> Exception:
    return urllib3.exceptions.ReadTimeoutError(urllib3.HTTPConnectionPool("api.test", 6443), "/", "Read timed out.")


def _cut() -> Exception:
    return urllib3.exceptions.ProtocolError("Connection broken", http.client.IncompleteRead(b"{"))


FAULTS: dict[str, list[int | Callable[[], Exception]]] = {
    API: [_refused, 503, _slow, 500, _cut, 429, 403],
    VAULT: [
        lambda: requests.ConnectionError("Connection refused"),
        503,
        lambda: requests.ReadTimeout("Read timed out."),
        500,
        lambda: requests.exceptions.ChunkedEncodingError("Connection broken"),
        502,
        lambda: requests.ConnectTimeout("timed out"),
        429,
    ],
    PROMETHEUS: [
        lambda: urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")),
        503,
        lambda: TimeoutError("timed out"),
        lambda: http.client.BadStatusLine("x"),
    ],
}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
