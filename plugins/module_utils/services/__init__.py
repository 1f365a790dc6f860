# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Services as their folders describe them: model, source digest and rendered manifests."""

from __future__ import annotations

from .model import Gates, Health, Service, find_service, find_tests, load_service
from .render import render_manifests
from .source import source_digest

__all__ = [
    "Gates",
    "Health",
    "Service",
    "find_service",
    "find_tests",
    "load_service",
    "render_manifests",
    "source_digest",
]
