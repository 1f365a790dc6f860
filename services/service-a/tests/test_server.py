"""The server over a real socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest


def _eventually(holds: Callable[[], bool]) -> None:
    """Wait for something that another thread does; half a minute is for a busy machine."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it did not come about within 30 s"
        time.sleep(0.01)


def test_health_and_readiness(start: Callable) -> None:
    running = start()
    assert running.get("/healthz").json() == {"status": "ok"}
    assert running.get("/readyz").status == 200
    running.server.application.ready.clear()
    answer = running.get("/readyz")
    assert answer.status == 503
    assert answer.headers["Connection"] == "close"
    assert running.get("/healthz").status == 200


def test_version_tells_what_was_built_and_where_it_runs(start: Callable) -> None:
    assert start(STAGE="sandbox").get("/version").json() == {
        "name": "tested",
        "version": "1.2.3",
        "source_sha256": "ab" * 32,
        "stage": "sandbox",
    }


def test_convert_answers_with_exact_text(start: Callable) -> None:
    answer = start().get("/v1/convert?value=1.50&from=km&to=m")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {
        "quantity": "length",
        "value": "1.50",
        "from": "km",
        "to": "m",
        "result": "1500",
    }


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "give 'value' exactly once"),
        ("value=1&value=2&from=m&to=km", "give 'value' exactly once"),
        ("value=1&from=m", "give 'to' exactly once"),
        ("value=x&from=m&to=km", "'value' is 'x'"),
        ("value=1&from=m&to=kg", "'m' is a unit of length"),
    ],
)
def test_bad_requests_are_400_with_a_reason(start: Callable, query: str, said: str) -> None:
    answer = start().get(f"/v1/convert?{query}")
    assert answer.status == 400
    assert said in answer.json()["error"]


def test_units_are_listed(start: Callable) -> None:
    assert "km" in start().get("/v1/units").json()["length"]


def test_unknown_paths_and_methods(start: Callable) -> None:
    running = start()
    assert running.get("/nothing").status == 404
    assert running.get("/healthz", method="DELETE").status == 501
    head = running.get("/v1/units", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["Content-Length"]) > 0


def test_metrics_count_by_route_with_few_labels(start: Callable) -> None:
    running = start()
    running.get("/v1/convert?value=1&from=m&to=km")
    running.get("/some/path")
    running.get("/another/path")
    counted = ('http_requests_total{code="404",route="other"} 2.0', 'conversions_total{quantity="length"} 1.0')
    # The count is made after the answer is sent, so the reader can be faster.
    _eventually(lambda: all(line in running.get("/metrics").body.decode() for line in counted))
    text = running.get("/metrics").body.decode()
    assert f'build_info{{name="tested",source_sha256="{"ab" * 32}",version="1.2.3"}} 1.0' in text
    assert "process_resident_memory_bytes" in text


def test_log_is_json_and_does_not_repeat_the_query(start: Callable) -> None:
    running = start()
    # A line is written after the answer is sent, each by the thread of its connection.
    running.get("/v1/convert?value=987654321&from=m&to=km")
    _eventually(lambda: len(running.lines()) == 1)
    running.get("/healthz")
    _eventually(lambda: len(running.lines()) == 2)
    first, second = running.lines()
    assert (first["level"], first["route"], first["status"]) == ("info", "/v1/convert", 200)
    assert second["level"] == "debug"
    assert "987654321" not in running.log.getvalue()


def test_a_malformed_request_line_is_logged_not_fatal(start: Callable) -> None:
    running = start()
    with socket.create_connection(("127.0.0.1", running.server.server_port), timeout=30) as client:
        client.sendall(b"GARBAGE\r\n\r\n")
        assert b"400" in client.recv(1000)
    assert running.get("/healthz").status == 200
    _eventually(lambda: any("Bad request syntax" in line["message"] for line in running.lines()))


def test_a_silent_client_is_given_up(start: Callable) -> None:
    running = start(REQUEST_SECONDS="0.2")
    with socket.create_connection(("127.0.0.1", running.server.server_port), timeout=30) as client:
        assert client.recv(100) == b""


def test_a_fault_ends_one_connection_and_is_logged(start: Callable) -> None:
    running = start()

    def fail(query: dict) -> None:
        raise RuntimeError("broken")

    running.server.application.routes["/broken"] = fail
    with pytest.raises(OSError):
        running.get("/broken")
    assert running.get("/healthz").status == 200
    _eventually(lambda: any("broken" in line.get("exception", "") for line in running.lines()))


def test_draining_is_seen_as_not_ready_before_the_port_closes(start: Callable) -> None:
    running = start(DRAIN_SECONDS="2")
    thread = threading.Thread(target=running.server.drain)
    thread.start()
    _eventually(lambda: running.get("/readyz").status == 503)
    assert running.get("/v1/convert?value=1&from=m&to=km").status == 200
    thread.join(timeout=30)
    assert not thread.is_alive()
