# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The order in which services are promoted."""

from __future__ import annotations

from typing import List  # noqa: UP035 - the requirements give this signature word for word


class DependencyResolver:
    """Sprint 1 promotes in a line; the graph in ``service.yml`` is recorded, not yet followed."""

    def compute_promotion_order(self, services: List[str]) -> List[str]:  # noqa: UP006
        """Sprint 1: Returns simple linear order"""
        return sorted(services)  # Basic implementation for POC
