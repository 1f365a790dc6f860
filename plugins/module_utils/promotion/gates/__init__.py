# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The gates by name. A gate is a function from a context to a verdict, in a file of its own."""

from __future__ import annotations

from collections.abc import Callable

from ..model import Verdict
from .approvals import approvals
from .chain import chain
from .context import GateContext, Scanners, private_copy
from .coverage import coverage
from .dependencies import dependencies
from .freeze import freeze
from .health import health
from .own import own_gate
from .provenance import provenance
from .sast import sast
from .sbom import sbom
from .veto import veto

Gate = Callable[[GateContext], Verdict]

# In the order in which they are evaluated; chain is last, so that it covers the verdicts of the others.
GATES: dict[str, Gate] = {
    "provenance": provenance,
    "sast": sast,
    "coverage": coverage,
    "sbom": sbom,
    "health": health,
    "dependencies": dependencies,
    "veto": veto,
    "freeze": freeze,
    "approvals": approvals,
    "chain": chain,
}

__all__ = ["GATES", "Gate", "GateContext", "Scanners", "own_gate", "private_copy"]
