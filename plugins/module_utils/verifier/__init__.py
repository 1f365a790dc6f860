# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""``golden-goose-verify``: one file that needs nothing of ours, handed out with every package.

It is a second implementation of docs/ledger-format.md, on purpose: it shares no line with ``ledger/``, and tests hold
the two against each other.
"""

from __future__ import annotations

import pkgutil

from ..errors import GoldenGooseError

# Imported so that Ansible sends it along with the modules that hand it out.
from . import golden_goose_verify

NAME = "golden-goose-verify"


def program() -> bytes:
    """Return the program's text.

    :raises GoldenGooseError: it is not available from where this module was loaded.
    """
    data = pkgutil.get_data(__name__, f"{golden_goose_verify.__name__.rpartition('.')[2]}.py")
    if data is None:
        raise GoldenGooseError("The text of golden-goose-verify is not available, so no package can hold it.")
    # Files below module_utils are not to be run, so this one has no first line of a script there.
    return b"#!/usr/bin/env python3\n" + data
