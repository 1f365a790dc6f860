# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""How requests get to the API server that a kubeconfig names.

What a kubeconfig usually says - an address, an authority, and a certificate or a token - is read here. Importing the
library ``kubernetes`` takes longer than all requests of a promotion, so it is imported only for a kubeconfig that says
more (exec plugins, proxies, a name for TLS, …), and for the sentence about one that says less.
https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from .errors import GoldenGooseError
from .imports import require

# A stage of a promotion has fewer threads than that.
_CONNECTIONS = 8
_CLUSTER_KEYS = frozenset({"server", "certificate-authority", "certificate-authority-data"})
_USER_KEYS = frozenset({"client-certificate", "client-certificate-data", "client-key", "client-key-data", "token"})
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class Unusable(GoldenGooseError):
    """The kubeconfig cannot be used; the sentence is a clause that says why."""


class Untrusted(GoldenGooseError):
    """The certificate of the server is not one that the kubeconfig trusts."""


class Unreachable(GoldenGooseError):
    """Nothing answers; the sentence is the name of what went wrong."""


class Transport(Protocol):
    """One way to the server; ``host`` is its URL."""

    @property
    def host(self) -> str:
        """The URL of the server."""

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None,
        seconds: float,
    ) -> tuple[int, bytes]:
        """Return status and body of the answer, whatever the status.

        :raises Untrusted: the server's certificate is not trusted.
        :raises Unreachable: nothing answers within ``seconds``.
        """


def transport(kubeconfig: Path) -> Transport:
    """Return the way to the server of the current context in ``kubeconfig``.

    :raises Unusable: there is none.
    """
    return _plain(kubeconfig) or _Library(kubeconfig)


@dataclass(frozen=True)
class _Direct:
    """An address, a token to show there, and connections that show a certificate and trust one authority."""

    host: str
    token: str | None
    pool: Any

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None,
        seconds: float,
    ) -> tuple[int, bytes]:
        errors = require("urllib3").exceptions
        shown = dict(headers) | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        url = f"{self.host}{path}" + (f"?{urlencode(query)}" if query else "")
        content = None if body is None else json.dumps(body).encode()
        try:
            answer = self.pool.request(method, url, body=content, headers=shown, timeout=seconds, redirect=False)
        except errors.SSLError as error:
            raise _tls_failure(error) from error
        except (errors.HTTPError, OSError) as error:
            raise Unreachable(type(error).__name__) from error
        return int(answer.status), bytes(answer.data)


class _Library:
    """All that kubeconfig files can say, by way of the library ``kubernetes``."""

    def __init__(self, kubeconfig: Path) -> None:
        client, config = require("kubernetes.client"), require("kubernetes.config")
        settings = client.Configuration()
        # We wait ourselves, with a limit and a sentence.
        settings.retries = False
        try:
            self._api = config.new_client_from_config(
                str(kubeconfig), persist_config=False, client_configuration=settings
            )
        except (config.ConfigException, ValueError, OSError) as error:
            raise Unusable(str(error)) from error

    @property
    def host(self) -> str:
        return str(self._api.configuration.host)

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None,
        seconds: float,
    ) -> tuple[int, bytes]:
        errors, urllib3 = require("kubernetes.client.exceptions"), require("urllib3")
        arguments = self._api.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=dict(headers),
            body=dict(body) if body is not None else None,
            auth_settings=["BearerToken"],
        )
        try:
            response = self._api.call_api(*arguments, _request_timeout=seconds)
            return int(response.status), bytes(response.read() or b"")
        except errors.ApiException as error:
            # The library raises this, with status 0, for what goes wrong in TLS and for nothing else.
            raise _tls_failure(error.__context__) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(type(error).__name__) from error


def _tls_failure(error: BaseException | None) -> GoldenGooseError:
    """Return what went wrong: a server that goes away during a handshake has not shown a wrong certificate."""
    cause = error.args[0] if error is not None and error.args else None
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLCertVerificationError):
        return Unreachable(type(cause).__name__)
    return Untrusted(type(error).__name__)


def _plain(kubeconfig: Path) -> _Direct | None:
    """Return what the current context says when it is of the usual kind, else None."""
    if any(os.environ.get(name) or os.environ.get(name.lower()) for name in _PROXIES):
        return None
    yaml = require("yaml", "pyyaml")
    try:
        document = yaml.safe_load(kubeconfig.read_bytes())
        context = _named(document["contexts"], document["current-context"], "context")
        cluster = _named(document["clusters"], context["cluster"], "cluster")
        user = _named(document["users"], context["user"], "user")
        if not (set(cluster) <= _CLUSTER_KEYS and set(user) <= _USER_KEYS):
            return None
        host, folder = str(cluster["server"]).rstrip("/"), kubeconfig.parent
        options = {"ssl_context": _tls(cluster, user, folder)} if host.startswith("https:") else {}
        pool = require("urllib3").PoolManager(maxsize=_CONNECTIONS, retries=False, **options)
        return _Direct(host, str(user["token"]) if user.get("token") else None, pool)
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError, OSError):
        return None


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    context: ssl.SSLContext = require("urllib3").util.ssl_.create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.load_verify_locations(cadata=_content(cluster, "certificate-authority", folder).decode("ascii"))
    if any(key.startswith("client-") for key in user):
        # OpenSSL takes a certificate only from a file, which may hold its key as well.
        with tempfile.NamedTemporaryFile() as file:
            pair = (_content(user, "client-certificate", folder), _content(user, "client-key", folder))
            file.write(b"\n".join(pair))
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _named(items: Any, name: str, kind: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [item[kind] or {} for item in items if item["name"] == name]
    return found[0]


def _content(said: Mapping[str, Any], key: str, folder: Path) -> bytes:
    data = said.get(f"{key}-data")
    return base64.b64decode(str(data), validate=True) if data else (folder / str(said[key])).read_bytes()
