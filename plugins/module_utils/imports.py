# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Import third-party libraries where they are used, with one clear sentence when one is missing."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from .errors import GoldenGooseError


def require(module: str, distribution: str | None = None) -> ModuleType:
    """Return the imported ``module``.

    :param distribution: its name on PyPI, where that differs from the module's first part.
    :raises GoldenGooseError: the library is not installed for this interpreter.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = distribution or module.partition(".")[0]
        raise GoldenGooseError(
            f"The Python library {name} is missing for {sys.executable} ({error}); install it there "
            "with the version that requirements.txt names, or set ansible_python_interpreter to an "
            "interpreter that has it."
        ) from error
