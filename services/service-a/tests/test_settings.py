"""Configuration by environment, and its refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from converter.settings import Build, SettingsError, load_settings


def test_defaults_listen_on_8080_without_a_build_file() -> None:
    settings = load_settings({"BUILD_FILE": "/does/not/exist"})
    assert (settings.address, settings.port, settings.log_level) == ("", 8080, "INFO")
    assert settings.build == Build("unbuilt", "0", "")


def test_values_are_taken_from_the_environment(build_file: Path) -> None:
    settings = load_settings(
        {
            "ADDRESS": "127.0.0.1",
            "PORT": "9000",
            "STAGE": "sandbox",
            "LOG_LEVEL": "debug",
            "DRAIN_SECONDS": "0.5",
            "BUILD_FILE": str(build_file),
        }
    )
    assert (settings.port, settings.stage, settings.log_level) == (9000, "sandbox", "DEBUG")
    assert settings.drain_seconds == 0.5
    assert settings.build == Build("tested", "1.2.3", "ab" * 32)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("PORT", "nan"),
        ("DRAIN_SECONDS", "-1"),
        ("REQUEST_SECONDS", "0"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_bad_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings({name: value})


@pytest.mark.parametrize("text", ["", "[]", '{"name": "x"}'])
def test_a_bad_build_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "build.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match="BUILD_FILE"):
        load_settings({"BUILD_FILE": str(path)})
