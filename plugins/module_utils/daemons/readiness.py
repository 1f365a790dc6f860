# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Wait until a daemon answers, for a limited time, and say what was last seen."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
import urllib.parse
from collections.abc import Callable

from ..errors import GoldenGooseError
from .model import Ready

_POLL_SECONDS = 0.1
_ATTEMPT_SECONDS = 3.0


def wait_ready(unit: str, ready: Ready, alive: Callable[[], bool], hint: str) -> float:
    """Wait until ``ready`` holds; return how long that took in seconds.

    :param alive: says whether the manager still tries to run the process.
    :param hint: how to read the log of the process.
    :raises GoldenGooseError: the process was given up by its manager, or the time is over.
    """
    started = time.monotonic()
    while True:
        seen = probe(ready)
        elapsed = time.monotonic() - started
        if seen is None:
            return elapsed
        if not alive():
            raise GoldenGooseError(f"{unit} does not stay up; last seen: {seen}. Read its log: {hint}")
        if elapsed > ready.timeout:
            raise GoldenGooseError(
                f"{unit} was not ready after {ready.timeout:.0f} s; last seen: {seen}. Read its log: {hint}"
            )
        time.sleep(_POLL_SECONDS)


def probe(ready: Ready) -> str | None:
    """Look once; return None when ready, else what was seen."""
    try:
        if ready.http:
            return _http(ready, ready.http)
        if ready.tcp:
            host, _colon, port = ready.tcp.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=_ATTEMPT_SECONDS):
                return None
        if ready.unix:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_ATTEMPT_SECONDS)
                connection.connect(ready.unix)
    except (OSError, http.client.HTTPException) as error:
        return f"{ready.http or ready.tcp or ready.unix}: {error}"
    return None


def _http(ready: Ready, url: str) -> str | None:
    parts = urllib.parse.urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=ready.ca)
        if ready.cert:
            context.load_cert_chain(ready.cert, ready.key)
        connection = http.client.HTTPSConnection(host, port, timeout=_ATTEMPT_SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_ATTEMPT_SECONDS)
    try:
        connection.request("GET", f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}")
        answer = connection.getresponse()
        body = answer.read(300).decode(errors="replace").strip()
    finally:
        connection.close()
    return None if answer.status in ready.status else f"{url} answered {answer.status} {body}"
