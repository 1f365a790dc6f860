# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The one error family that every module turns into ``fail_json``."""

from __future__ import annotations

from typing import Any


class GoldenGooseError(Exception):
    """A failure that the user can act on.

    ``str(error)`` is one sentence: what went wrong, where, and what to do. ``facts`` are returned
    beside it by the module, for example the verdicts that stopped a promotion.
    """

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts: dict[str, Any] = facts
