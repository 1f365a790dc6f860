# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One question to Prometheus, with a limit.

https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request

from ...errors import GoldenGooseError

_TIMEOUT_SECONDS = 10
_MAX_BODY = 1 << 20


class PrometheusUnavailable(GoldenGooseError):
    """No Prometheus that can serve requests answers; trying again later can help."""


def samples(address: str, query: str) -> list[float]:
    """Return the values that an instant query gives now: those of a vector, or the one of a scalar.

    :raises PrometheusUnavailable: it does not answer in time, or is not able to.
    :raises GoldenGooseError: it does not understand the query.
    """
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise GoldenGooseError(f"The address of Prometheus is {address!r}; give it as http://127.0.0.1:9090.")
    url = f"{address.rstrip('/')}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    # Requests to Prometheus are for this address alone; a proxy of the environment is for others.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_TIMEOUT_SECONDS) as answer:
            document = json.loads(answer.read(_MAX_BODY))
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(1000).decode(errors="replace")
        kind = PrometheusUnavailable if error.code == 429 or error.code >= 500 else GoldenGooseError
        raise kind(f"Prometheus at {address} does not answer the query {query!r}: {said}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PrometheusUnavailable(
            f"Prometheus at {address} does not answer ({type(error).__name__}: {error})."
        ) from error
    try:
        data = document["data"]
        results = [data["result"]] if data["resultType"] == "scalar" else [item["value"] for item in data["result"]]
        return [float(result[1]) for result in results]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise GoldenGooseError(f"Prometheus at {address} gives no instant values for {query!r}.") from error
