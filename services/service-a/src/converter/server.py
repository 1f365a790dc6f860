"""The HTTP server: routes, readiness and an orderly end."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from .metrics import CONTENT_TYPE, Metrics
from .settings import Settings
from .units import ConversionError, convert, quantities

_JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """Status, body and media type of one response."""

    status: HTTPStatus
    body: bytes
    media_type: str = _JSON


def as_json(status: HTTPStatus, value: Any) -> Answer:
    """Return ``value`` as a JSON answer."""
    return Answer(status, json.dumps(value).encode() + b"\n")


class Application:
    """What the service answers, apart from how it is carried."""

    def __init__(self, settings: Settings, logger: logging.Logger) -> None:
        self.settings = settings
        self.logger = logger
        self.metrics = Metrics(settings)
        self.ready = threading.Event()
        self.routes: dict[str, Callable[[dict[str, list[str]]], Answer]] = {
            "/healthz": lambda query: as_json(HTTPStatus.OK, {"status": "ok"}),
            "/readyz": self._readiness,
            "/version": self._version,
            "/metrics": lambda query: Answer(HTTPStatus.OK, self.metrics.render(), CONTENT_TYPE),
            "/v1/units": lambda query: as_json(HTTPStatus.OK, quantities()),
            "/v1/convert": self._convert,
        }

    def answer(self, target: str) -> tuple[str, Answer]:
        """Return the route's name ("other" when unknown) and the answer for a request target."""
        parts = urlsplit(target)
        route = self.routes.get(parts.path)
        if route is None:
            return "other", as_json(HTTPStatus.NOT_FOUND, {"error": "no such path"})
        return parts.path, route(parse_qs(parts.query, keep_blank_values=True))

    def _readiness(self, query: dict[str, list[str]]) -> Answer:
        if self.ready.is_set():
            return as_json(HTTPStatus.OK, {"status": "ready"})
        return as_json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "not ready"})

    def _version(self, query: dict[str, list[str]]) -> Answer:
        build = self.settings.build
        return as_json(
            HTTPStatus.OK,
            {
                "name": build.name,
                "version": build.version,
                "source_sha256": build.source_sha256,
                "stage": self.settings.stage,
            },
        )

    def _convert(self, query: dict[str, list[str]]) -> Answer:
        values = {}
        for name in ("value", "from", "to"):
            given = query.get(name, [])
            if len(given) != 1:
                return as_json(HTTPStatus.BAD_REQUEST, {"error": f"give '{name}' exactly once"})
            values[name] = given[0]
        try:
            answer = convert(values["value"], values["from"], values["to"])
        except ConversionError as error:
            return as_json(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        self.metrics.converted(answer.quantity)
        return as_json(
            HTTPStatus.OK,
            # Numbers as text: a JSON number would be rounded by most readers.
            {
                "quantity": answer.quantity,
                "value": f"{answer.value:f}",
                "from": answer.source,
                "to": answer.target,
                "result": f"{answer.result:f}",
            },
        )


class Server(ThreadingHTTPServer):
    """One thread a connection; closing waits for the requests that are being answered."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, application: Application) -> None:
        settings = application.settings
        self.application = application
        self._connections: set[socket.socket] = set()
        super().__init__((settings.address, settings.port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what ended a connection: a client that went away, or a fault of ours."""
        self.application.logger.exception("connection ended by an error")

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection until it ends."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def drain(self) -> None:
        """Say not ready, give the cluster time to stop sending, then end ``serve_forever``.

        Nothing more is read from the connections that are still open, so that one kept alive without a
        request does not hold up the end; an answer that is being written still goes out.
        """
        self.application.ready.clear()
        self.application.logger.info("draining")
        time.sleep(self.application.settings.drain_seconds)
        self.shutdown()
        for connection in list(self._connections):
            # It may end at this very moment by itself.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)


class Handler(BaseHTTPRequestHandler):
    """Carries GET and HEAD to the application; everything else is 501 by the base class."""

    protocol_version = "HTTP/1.1"
    server: Server
    # No hint at versions of Python.
    server_version = "converter"
    sys_version = ""
    quiet_routes: ClassVar[set[str]] = {"/healthz", "/readyz", "/metrics"}

    def setup(self) -> None:
        """Give up on a client that sends nothing."""
        self.timeout = self.server.application.settings.request_seconds
        super().setup()

    def do_GET(self) -> None:
        """Answer a GET."""
        self._respond(body=True)

    def do_HEAD(self) -> None:
        """Answer a HEAD: a GET without its body."""
        self._respond(body=False)

    def log_error(self, format: str, *args: Any) -> None:
        """Keep idle connections that end out of the log; the rest goes the way of every message."""
        level = logging.DEBUG if format.startswith("Request timed out") else logging.WARNING
        self.server.application.logger.log(level, format % args)

    def log_message(self, format: str, *args: Any) -> None:
        """Send what the base class says to our log."""
        self.server.application.logger.info(format % args)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: ``_respond`` logs each answer with its duration."""

    def _respond(self, body: bool) -> None:
        application = self.server.application
        began = time.perf_counter()
        route, answer = application.answer(self.path)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.media_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        if not application.ready.is_set():
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if body:
            self.wfile.write(answer.body)
        seconds = time.perf_counter() - began
        application.metrics.answered(route, answer.status, seconds)
        application.logger.log(
            logging.DEBUG if route in self.quiet_routes else logging.INFO,
            "answered",
            extra={
                "fields": {
                    "method": self.command,
                    "route": route,
                    "status": int(answer.status),
                    "milliseconds": round(seconds * 1000, 3),
                }
            },
        )
