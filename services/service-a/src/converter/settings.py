"""Configuration, all of it from the environment, and what the image build recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_BUILD_FILE = "/app/build.json"


class SettingsError(ValueError):
    """A variable of the environment cannot be used; the text names it and says what is expected."""


@dataclass(frozen=True)
class Build:
    """Name, version and source digest (SHA-256, hexadecimal) that were put into the image."""

    name: str
    version: str
    source_sha256: str


@dataclass(frozen=True)
class Settings:
    """Seconds are wall-clock seconds; ``drain_seconds`` lies between not ready and closing."""

    address: str
    port: int
    stage: str
    log_level: str
    drain_seconds: float
    request_seconds: float
    build: Build


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings that ``environment`` gives.

    ADDRESS, PORT, STAGE, LOG_LEVEL, DRAIN_SECONDS, REQUEST_SECONDS and BUILD_FILE; each has a default.

    :raises SettingsError: a value is out of range, or the build file is not readable.
    """
    level = environment.get("LOG_LEVEL", "INFO").upper()
    if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise SettingsError(f"LOG_LEVEL is '{level}'; expected DEBUG, INFO, WARNING or ERROR")
    return Settings(
        # Inside a pod there is nothing but the pod's own address to listen on.
        address=environment.get("ADDRESS", ""),
        port=int(_number(environment, "PORT", "8080", 0, 65535)),
        stage=environment.get("STAGE", "none"),
        log_level=level,
        drain_seconds=_number(environment, "DRAIN_SECONDS", "2", 0, 300),
        request_seconds=_number(environment, "REQUEST_SECONDS", "10", 0.1, 300),
        build=_build(Path(environment.get("BUILD_FILE", DEFAULT_BUILD_FILE))),
    )


def _number(environment: Mapping[str, str], name: str, default: str, low: float, high: float) -> float:
    text = environment.get(name, default)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise SettingsError(f"{name} is '{text}'; expected a number from {low:g} to {high:g}")
    return value


def _build(path: Path) -> Build:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Build(str(data["name"]), str(data["version"]), str(data["source_sha256"]))
    except FileNotFoundError:
        return Build("unbuilt", "0", "")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"BUILD_FILE {path} cannot be used: {error!r}") from error
