# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kubeconfig is read here and which by the library, and that both get to the same server with the same proof."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils import kube_transport
from ansible_collections.golden_goose.compliance.plugins.module_utils.kube_transport import (
    Unreachable,
    Untrusted,
    Unusable,
    transport,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.pki.certificates import Authority, Request

DIRECT, LIBRARY = "_Direct", "_Library"
KIND = "application/apply-patch+yaml"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    authority = Authority(folder, check=False)
    for name in ("ca", "other"):
        authority.ensure(Request(name, name, days=2))
    authority.ensure(Request("server", "server", issuer="ca", dns=("localhost",), ip=("127.0.0.1",)))
    authority.ensure(Request("client", "alice", issuer="ca"))
    return folder


@pytest.fixture(scope="module")
def server(pki: Path) -> Iterator[str]:
    """A server that wants a certificate of ours, and answers with whom it sees and what it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_PATCH(self) -> None:
            certificate: Any = self.connection.getpeercert()  # type: ignore[attr-defined]
            names = [value for part in certificate["subject"] for key, value in part if key == "commonName"]
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            said = [*names, self.headers.get("Authorization"), self.path, self.headers["Content-Type"], body]
            content = json.dumps(said).encode()
            self.send_response(409)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "server.crt", pki / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    http.socket = context.wrap_socket(http.socket, server_side=True)
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    yield f"https://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()


def encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def write(folder: Path, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    file = folder / "kubeconfig"
    file.write_text(
        json.dumps(
            {
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": user}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "n"}}],
                "current-context": "x",
            }
        )
    )
    return file


def ask(kubeconfig: Path) -> list[Any]:
    way = transport(kubeconfig)
    status, body = way.send("PATCH", "/a/b", {"x": "y z", "f": "1"}, {"Content-Type": KIND}, {"k": [1]}, 5)
    assert status == 409
    said: list[Any] = json.loads(body)
    return [type(way).__name__, *said]


@pytest.mark.parametrize(
    ("more", "by"),
    [({}, DIRECT), ({"tls-server-name": "localhost"}, LIBRARY), ({"disable-compression": True}, LIBRARY)],
)
@pytest.mark.parametrize("inline", [False, True])
def test_both_ways_show_the_same_and_send_the_same(
    more: dict[str, Any], by: str, inline: bool, server: str, pki: Path, tmp_path: Path
) -> None:
    files = {"certificate-authority": "ca.crt", "client-certificate": "client.crt", "client-key": "client.key"}
    said = {
        (f"{key}-data" if inline else key): (encoded(pki / name) if inline else str(pki / name))
        for key, name in files.items()
    }
    cluster = {key: value for key, value in said.items() if key.startswith("certificate")}
    user = {key: value for key, value in said.items() if key.startswith("client")} | {"token": "secret"}
    asked = ask(write(tmp_path, {"server": server, **cluster, **more}, user))
    asked[3] = asked[3].replace("%20", "+")
    assert asked == [by, "alice", "Bearer secret", "/a/b?x=y+z&f=1", KIND, '{"k": [1]}']


def test_a_server_of_another_authority_is_not_trusted(server: str, pki: Path, tmp_path: Path) -> None:
    cluster = {"server": server, "certificate-authority-data": encoded(pki / "other.crt")}
    with pytest.raises(Untrusted):
        ask(write(tmp_path, cluster, {"token": "t"}))


def test_a_server_under_another_name_is_not_trusted(server: str, pki: Path, tmp_path: Path) -> None:
    # Another way to write the same address, which its certificate does not name.
    cluster = {"server": server.replace("127.0.0.1", "127.1"), "certificate-authority": str(pki / "ca.crt")}
    with pytest.raises(Untrusted):
        ask(write(tmp_path, cluster, {"token": "t"}))


def test_nothing_listens(pki: Path, tmp_path: Path) -> None:
    cluster = {"server": "https://127.0.0.1:9", "certificate-authority": str(pki / "ca.crt")}
    with pytest.raises(Unreachable, match="NewConnectionError"):
        ask(write(tmp_path, cluster, {"token": "t"}))


@pytest.mark.parametrize("more", [{}, {"tls-server-name": "localhost"}])
def test_a_server_that_goes_away_during_the_handshake_does_not_answer(
    more: dict[str, Any], pki: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take_and_leave() -> None:
            connection, _address = listener.accept()
            connection.recv(1 << 16)
            connection.close()

        thread = threading.Thread(target=take_and_leave)
        thread.start()
        address = f"https://127.0.0.1:{listener.getsockname()[1]}"
        cluster = {"server": address, "certificate-authority": str(pki / "ca.crt"), **more}
        with pytest.raises(Unreachable, match=r"SSLEOFError|SSLZeroReturnError"):
            ask(write(tmp_path, cluster, {"token": "t"}))
        thread.join()


@pytest.mark.parametrize("more", [{}, {"tls-server-name": "localhost"}])
def test_both_ways_tell_a_foreign_authority(more: dict[str, Any], server: str, pki: Path, tmp_path: Path) -> None:
    cluster = {"server": server, "certificate-authority": str(pki / "other.crt"), **more}
    with pytest.raises(Untrusted):
        ask(write(tmp_path, cluster, {"token": "t"}))


def test_what_is_wrong_is_said_by_the_library(tmp_path: Path) -> None:
    cluster = {"server": "https://127.0.0.1:9", "certificate-authority": "/there/is/none"}
    with pytest.raises(Unusable, match="/there/is/none"):
        transport(write(tmp_path, cluster, {"token": "t"}))


def test_with_a_proxy_it_is_the_library(pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, {"server": "http://127.0.0.1:9"}, {"token": "t"})
    assert type(transport(file)).__name__ == DIRECT
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    assert type(transport(file)).__name__ == LIBRARY


def test_the_usual_kubeconfig_does_without_the_library(tmp_path: Path) -> None:
    file = write(tmp_path, {"server": "http://127.0.0.1:9"}, {"token": "t"})
    program = (
        f"import sys; from pathlib import Path; from {kube_transport.__name__} import transport; "
        f"transport(Path({str(file)!r})); print('kubernetes' in sys.modules)"
    )
    folder = Path(__file__).resolve().parents[2] / "collections"
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
