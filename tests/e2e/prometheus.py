# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the instance's Prometheus."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from typing import Any

ADDRESS = "http://127.0.0.1:9090"


def query(expression: str) -> list[dict[str, Any]]:
    """Return the series that ``expression`` gives now."""
    asked = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{ADDRESS}/api/v1/query?{asked}", timeout=10) as answer:
        result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return result


def wait_for(expression: str, seconds: float = 60) -> None:
    """Return once ``expression`` gives a series; it is scraped every 15 seconds."""
    deadline = time.monotonic() + seconds
    while not query(expression):
        assert time.monotonic() < deadline, f"{expression} gives nothing after {seconds:.0f} s"
        time.sleep(0.5)
