# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What may not get into an entry: it is kept for ever and read by strangers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .errors import EntryRefused

# Addendum 8.2: every entry says of which sprint it is and whether it is provisional.
REQUIRED_METADATA: dict[str, type] = {"sprint": str, "provisional": bool}

_SECRET_KEYS = frozenset(
    {"password", "passwd", "token", "client_token", "secret", "secret_id", "private_key", "api_key", "authorization"}
)
# A PEM private key; tokens of Vault and OpenBao (service, batch, recovery); a Kubernetes or other JWT.
_SECRET_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|^(?:hv[sbr]|s|b)\.[A-Za-z0-9_-]{24,}$"
    r"|^eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}$"
)


# What the canonical bytes of a value have, in lower case, when there may be a secret in it. One expression that begins
# with a quotation mark: to look for each name on its own takes twice as long.
_MARKS = re.compile(
    b'"(?:hv|s\\.|b\\.|eyj|' + b"|".join(re.escape(key.encode()) + b'"' for key in sorted(_SECRET_KEYS)) + b")"
)
_PEM_MARK = b"private key-----"


def suspicious(encoded: bytes) -> bool:
    """Say whether :func:`refuse_secrets` has to look at the value with these canonical bytes; quick."""
    if not encoded.isascii():
        return True  # Letters such as the Kelvin sign become ASCII in lower case.
    lower = encoded.lower()
    return _PEM_MARK in lower or _MARKS.search(lower) is not None


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Refuse metadata without the keys of addendum 8.2.

    :raises EntryRefused: ``sprint`` (text) or ``provisional`` (true or false) is missing or of another type.
    """
    for key, kind in REQUIRED_METADATA.items():
        if not isinstance(metadata.get(key), kind):
            raise EntryRefused(
                f"The metadata of an entry needs '{key}' ({'text' if kind is str else 'true or false'}); "
                "set it in golden_goose_evidence_metadata of the inventory."
            )


def refuse_secrets(value: Any, where: str = "data") -> None:
    """Refuse a value that names or looks like a credential.

    :raises EntryRefused: naming the place, never the value.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            place = f"{where}.{key}"
            if str(key).lower() in _SECRET_KEYS and isinstance(item, str) and item:
                raise EntryRefused(f"{place} is named like a secret; evidence is public, leave it out.")
            refuse_secrets(item, place)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            refuse_secrets(item, f"{where}[{index}]")
    elif isinstance(value, str) and _SECRET_VALUE.search(value):
        raise EntryRefused(f"{where} looks like a key or a token; evidence is public, leave it out.")
