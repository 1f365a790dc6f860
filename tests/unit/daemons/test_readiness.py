# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a daemon answers, asked of real small servers."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons.model import Ready
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons.readiness import probe, wait_ready
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.pki.certificates import Authority, Request


class Health(BaseHTTPRequestHandler):
    """Answers with the status that the path names."""

    def do_GET(self) -> None:
        status = int(self.path.partition("?")[0].strip("/") or 200)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(f"asked {self.path}\n".encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def serve(context: ssl.SSLContext | None = None) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Health)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


@pytest.fixture
def http() -> Iterator[str]:
    server = serve()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_http(http: str) -> None:
    assert probe(Ready(http=f"{http}/200?a=b")) is None
    assert probe(Ready(http=http)) is None
    assert probe(Ready(http=f"{http}/503?a=b")) == f"{http}/503?a=b answered 503 asked /503?a=b"
    assert probe(Ready(http=f"{http}/503", status=(200, 503))) is None
    assert probe(Ready(http=f"{http}/200", status=(204,))) is not None


def test_https_with_client_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path, check=False)
    for request in (
        Request("ca", "ca"),
        Request("other", "other"),
        Request("server", "s", issuer="ca", ip=("127.0.0.1",)),
        Request("client", "c", issuer="ca"),
    ):
        authority.ensure(request)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.crt"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    server = serve(context)
    url = f"https://127.0.0.1:{server.server_port}/200"
    ca, cert, key = (str(tmp_path / name) for name in ("ca.crt", "client.crt", "client.key"))
    try:
        assert probe(Ready(http=url, ca=ca, cert=cert, key=key)) is None
        assert probe(Ready(http=url, ca=ca)) is not None
        untrusted = probe(Ready(http=url, ca=str(tmp_path / "other.crt"), cert=cert, key=key)) or ""
        assert "certificate verify failed" in untrusted
        assert "No such file" in (probe(Ready(http=url, ca=str(tmp_path / "none.crt"))) or "")
    finally:
        server.shutdown()
        server.server_close()


def test_tcp(http: str, closed_port: int) -> None:
    assert probe(Ready(tcp=http.removeprefix("http://"))) is None
    seen = probe(Ready(tcp=f"127.0.0.1:{closed_port}"))
    assert seen is not None and f"127.0.0.1:{closed_port}" in seen and "refused" in seen


def test_unix(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    assert "No such file" in (probe(Ready(unix=str(path))) or "")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert "refused" in (probe(Ready(unix=str(path))) or "")
        server.listen()
        assert probe(Ready(unix=str(path))) is None


def test_waits_until_it_answers(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as server:

        def open_late() -> None:
            server.bind(str(path))
            server.listen()

        timer = threading.Timer(0.3, open_late)
        timer.start()
        elapsed = wait_ready("gg-web", Ready(unix=str(path), timeout=10), lambda: True, "log")
        timer.join()
    assert 0.2 < elapsed < 5


def test_says_what_was_last_seen(closed_port: int) -> None:
    ready = Ready(http=f"http://127.0.0.1:{closed_port}/x", timeout=0.2)
    with pytest.raises(GoldenGooseError) as caught:
        wait_ready("gg-web", ready, lambda: True, "journalctl -u gg-web")
    said = str(caught.value)
    assert said.startswith(f"gg-web was not ready after 0 s; last seen: http://127.0.0.1:{closed_port}/x: ")
    assert "refused" in said and said.endswith("Read its log: journalctl -u gg-web")


def test_does_not_wait_for_what_was_given_up(closed_port: int) -> None:
    with pytest.raises(GoldenGooseError, match=r"gg-web does not stay up; last seen: .*refused.*Read its log: here"):
        wait_ready("gg-web", Ready(tcp=f"127.0.0.1:{closed_port}", timeout=60), lambda: False, "here")
