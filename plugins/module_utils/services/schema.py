# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a ``service.yml`` may say: one table of keys, and the sentence for each that is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import GoldenGooseError

# RFC 1035 label: Kubernetes asks this of the name of a Service, and we use one name for all objects.
_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
# Registry host with a dot, so that no short-name rule turns it into docker.io/library/…; no tag, no digest.
_IMAGE = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::[0-9]+)?(?:/[a-z0-9]+(?:[._-][a-z0-9]+)*)+")
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)*(?:[.+-][0-9A-Za-z]+)*")
_MAX_REPLICAS = 100
_MISSING = object()


@dataclass(frozen=True)
class _Rule:
    expected: str
    accepts: Callable[[Any], bool]
    default: Any = _MISSING


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _percent(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100


def _path(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and not value.startswith("/")


def _url_path(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"/[A-Za-z0-9._~/-]*", value) is not None


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(_matches(_NAME)(item) for item in value)


_NAME_SENTENCE = "1 to 63 of a-z, 0-9 and '-', starting with a letter and ending with a letter or digit"

_RULES: dict[str, _Rule] = {
    "name": _Rule(_NAME_SENTENCE, _matches(_NAME)),
    "version": _Rule('a version in quotes such as "1.0.0"', _matches(_VERSION), "0.1.0"),
    "image": _Rule("<host with a dot>/<path> without tag or digest", _matches(_IMAGE)),
    "port": _Rule("a whole number from 1024 to 65535 (the service does not run as root)", _whole(1024, 65535)),
    "replicas": _Rule(f"a whole number from 1 to {_MAX_REPLICAS}", _whole(1, _MAX_REPLICAS), 1),
    "dependencies": _Rule("a list of names of services", _names, []),
    "paths.source": _Rule("a folder inside the service", _path, "src"),
    "paths.tests": _Rule("a folder inside the service", _path, "tests"),
    "paths.manifests": _Rule("a folder inside the service", _path, "deploy"),
    "paths.image": _Rule("a folder inside the service", _path, "image"),
    "health.path": _Rule("a URL path such as /healthz", _url_path, "/healthz"),
    "health.ready": _Rule("a URL path such as /readyz", _url_path, "/readyz"),
    "health.version": _Rule("a URL path such as /version", _url_path, "/version"),
    "gates.sast.max_high": _Rule("a whole number from 0", _whole(0, 1 << 31), 0),
    "gates.sast.max_medium": _Rule("a whole number from 0", _whole(0, 1 << 31), 0),
    "gates.coverage.min_percent": _Rule("a number from 0 to 100", _percent, 80),
    "gates.sbom.max_vulnerabilities": _Rule("a whole number from 0", _whole(0, 1 << 31), 0),
    "gates.health.soak_seconds": _Rule("a whole number of seconds from 0", _whole(0, 1 << 31), 0),
    "gates.health.query": _Rule("a PromQL expression, or an empty text", lambda value: isinstance(value, str), ""),
    "gates.health.min_ready": _Rule(f"a whole number from 1 to {_MAX_REPLICAS}", _whole(1, _MAX_REPLICAS), 1),
}
_SECTIONS = {key.rpartition(".")[0] for key in _RULES if "." in key} | {"gates"}


def check(data: Mapping[Any, Any], file: str) -> dict[str, Any]:
    """Return ``data`` with every key of the schema present, nested as in the file.

    :param file: named in the sentence of every error.
    :raises GoldenGooseError: a key is unknown, missing or has a value that is not accepted.
    """
    given = _flatten(data, file)
    result: dict[str, Any] = {}
    for key, rule in _RULES.items():
        value = given.get(key, rule.default)
        if value is _MISSING:
            raise GoldenGooseError(f"{file}: {key} is missing; expected {rule.expected}.")
        if not rule.accepts(value):
            raise GoldenGooseError(f"{file}: {key} is {value!r}; expected {rule.expected}.")
        _place(result, key, value)
    if result["gates"]["health"]["min_ready"] > result["replicas"]:
        raise GoldenGooseError(
            f"{file}: gates.health.min_ready is {result['gates']['health']['min_ready']}; expected at most "
            f"replicas, which is {result['replicas']}."
        )
    return result


def _flatten(data: Mapping[Any, Any], file: str, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in data.items():
        key = f"{prefix}{name}"
        if key in _RULES:
            flat[key] = value
        elif key not in _SECTIONS:
            allowed = sorted(k for k in {*_RULES, *_SECTIONS} if k.rpartition(".")[0] == prefix[:-1])
            raise GoldenGooseError(f"{file}: {key} is not a known key; expected one of {', '.join(allowed)}.")
        elif isinstance(value, Mapping):
            flat |= _flatten(value, file, f"{key}.")
        else:
            raise GoldenGooseError(f"{file}: {key} is {value!r}; expected a mapping.")
    return flat


def _place(result: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        result = result.setdefault(section, {})
    result[last] = value
