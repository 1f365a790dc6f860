# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that several files of tests use, one for each file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.services import load_service, render_manifests

from .api_server import DIGEST, Api, api_server
from .programs import REPOSITORY


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with api_server(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def manifests() -> list[dict[str, Any]]:
    return render_manifests(load_service(REPOSITORY / "services/service-a"), "compliant", DIGEST)
