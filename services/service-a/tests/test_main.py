"""The process: start, SIGTERM, and a configuration that cannot be used."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from converter.__main__ import main


@pytest.fixture(autouse=True)
def _restore_signals() -> object:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answer(port: int) -> tuple[http.client.HTTPConnection, int]:
    """Return a connection and the status that it got; the signal handlers are there before the first answer."""
    deadline = time.monotonic() + 30
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while time.monotonic() < deadline:
        try:
            connection.connect()
            break
        except ConnectionRefusedError:
            time.sleep(0.02)
    connection.request("GET", "/healthz")
    return connection, connection.getresponse().status


def test_sigterm_ends_it_with_status_0(build_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = _free_port()

    def terminate_when_up() -> None:
        connection, _status = _answer(port)
        connection.close()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=terminate_when_up).start()
    status = main({"ADDRESS": "127.0.0.1", "PORT": str(port), "DRAIN_SECONDS": "0", "BUILD_FILE": str(build_file)})
    assert status == 0
    messages = capsys.readouterr().out
    assert '"listening"' in messages
    assert '"draining"' in messages
    assert '"stopped"' in messages


def test_a_kept_alive_connection_does_not_hold_up_the_end(build_file: Path) -> None:
    port = _free_port()
    answers: list[tuple[http.client.HTTPConnection, int]] = []

    def use_and_terminate() -> None:
        answers.append(_answer(port))
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=use_and_terminate).start()
    began = time.monotonic()
    values = {"ADDRESS": "127.0.0.1", "PORT": str(port), "DRAIN_SECONDS": "0", "REQUEST_SECONDS": "30"}
    assert main(values | {"BUILD_FILE": str(build_file)}) == 0
    assert [status for _connection, status in answers] == [200]
    assert time.monotonic() - began < 20


def test_bad_configuration_is_status_2_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main({"PORT": "x"}) == 2
    assert capsys.readouterr().err == "configuration: PORT is 'x'; expected a number from 0 to 65535\n"


def test_a_taken_port_is_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main({"ADDRESS": "127.0.0.1", "PORT": str(port), "BUILD_FILE": "/none"}) == 1
    assert f"cannot listen on port {port}" in capsys.readouterr().out
