"""Tests import the service from ``src``, and talk to a real server on a free port."""

from __future__ import annotations

import http.client
import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from converter.logs import start_logging
from converter.server import Application, Server
from converter.settings import load_settings


@dataclass(frozen=True)
class Reply:
    """Status, headers and body of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict:
        """Return the body parsed."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Running:
    """A server in a thread, with what it logs."""

    server: Server
    log: io.StringIO

    def get(self, target: str, method: str = "GET") -> Reply:
        """Return the answer to one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=30)
        try:
            connection.request(method, target)
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def lines(self) -> list[dict]:
        """Return the log so far."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


@pytest.fixture
def build_file(tmp_path: Path) -> Path:
    """Return a file such as the image build writes."""
    path = tmp_path / "build.json"
    path.write_text(json.dumps({"name": "tested", "version": "1.2.3", "source_sha256": "ab" * 32}))
    return path


@pytest.fixture
def start(build_file: Path) -> Iterator[Callable[..., Running]]:
    """Return a function that starts a ready server; variables of the environment are its arguments."""
    servers: list[tuple[Server, threading.Thread]] = []

    def run(**environment: str) -> Running:
        values = {
            "ADDRESS": "127.0.0.1",
            "PORT": "0",
            "DRAIN_SECONDS": "0",
            "LOG_LEVEL": "DEBUG",
            "BUILD_FILE": str(build_file),
            **environment,
        }
        settings = load_settings(values)
        log = io.StringIO()
        server = Server(Application(settings, start_logging(settings.log_level, log)))
        server.application.ready.set()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return Running(server, log)

    yield run
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()
