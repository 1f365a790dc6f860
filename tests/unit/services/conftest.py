# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of the template service in a folder of its own, free to be broken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

TEMPLATE = Path(__file__).resolve().parents[3] / "services" / "service-a"


@pytest.fixture
def services_dir(tmp_path: Path) -> Path:
    """Return a folder with a copy of service-a."""
    folder = tmp_path / "services"
    shutil.copytree(TEMPLATE, folder / "service-a", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return folder


@pytest.fixture
def change(services_dir: Path) -> Callable[[str, Any], Path]:
    """Return a function that sets (or with None removes) one dotted key of the copy's service.yml."""
    file = services_dir / "service-a" / "service.yml"

    def edit(key: str, value: Any) -> Path:
        data = yaml.safe_load(file.read_text())
        *sections, last = key.split(".")
        target = data
        for section in sections:
            target = target[section]
        if value is None:
            del target[last]
        else:
            target[last] = value
        file.write_text(yaml.safe_dump(data))
        return file

    return edit
