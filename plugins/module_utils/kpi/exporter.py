# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The program that serves the figures over HTTP in Prometheus' text format."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import GoldenGooseError
from ..imports import require
from .delivery import Durations
from .metrics import Metric, metrics
from .watch import Watch


class _Collector:
    """Computes the metrics when they are asked for."""

    def __init__(self, watch: Watch, services: Sequence[str]) -> None:
        self._watch = watch
        self._services = services
        self._said = ""

    def collect(self) -> Iterator[Any]:
        for metric in metrics(self._watch, self._services):
            yield _family(metric)
        self._say()

    def _say(self) -> None:
        """Log what is wrong once, not at every scrape."""
        reason = self._watch.figures().reason
        if reason != self._said:
            _log(reason or "The ledger holds again.")
            self._said = reason


def _family(metric: Metric) -> Any:
    families = require("prometheus_client.core", "prometheus-client")
    made = {
        "gauge": families.GaugeMetricFamily,
        "counter": families.CounterMetricFamily,
        "histogram": families.HistogramMetricFamily,
    }[metric.kind](metric.name, metric.help, labels=metric.labels)
    for labels, value in metric.samples:
        if isinstance(value, Durations):
            made.add_metric(labels, value.cumulative(), value.sum)
        else:
            made.add_metric(labels, value)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status."""
    options = _parser().parse_args(argv)
    host, port = options.listen.rpartition(":")[::2]
    if not host or not port.isdigit():
        _log(f"--listen {options.listen} is not host:port.")
        return 2
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *ignored: stopped.set())
    try:
        client = require("prometheus_client", "prometheus-client")
        registry = client.CollectorRegistry()
        registry.register(_Collector(Watch(options.ledger, options.recheck_seconds), options.service))
        server, thread = client.start_http_server(int(port), host, registry=registry)
    except (GoldenGooseError, OSError) as error:
        _log(f"Cannot serve on {options.listen}: {error}")
        return 1
    stopped.wait()
    server.shutdown()
    thread.join()
    return 0


def _log(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kpi-exporter", description=__doc__)
    parser.add_argument("--ledger", type=Path, required=True, help="folder of the ledger")
    parser.add_argument("--listen", default="127.0.0.1:9474", help="host:port to serve on")
    parser.add_argument("--recheck-seconds", type=float, default=300.0, help="verify anew at least this often")
    parser.add_argument(
        "--service", action="append", default=[], help="service to report even before it is in the ledger"
    )
    return parser
