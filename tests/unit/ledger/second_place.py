# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A second place in memory: what Vault does, without Vault."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import HeadMoved
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class Memory:
    """Keys and heads; ``down`` makes it answer nothing, ``after_write`` is called when a head was kept."""

    def __init__(self, seed: int = 1) -> None:
        self._private = [Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)]
        self.kept: dict[str, tuple[int, str]] = {}
        self.down = False
        self.calls: list[str] = []

    def rotate(self, seed: int) -> None:
        self._private.append(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))

    def public_keys(self) -> list[tuple[int, bytes]]:
        self._called("public_keys")
        return [(n, key.public_key().public_bytes_raw()) for n, key in enumerate(self._private, start=1)]

    def sign(self, data: bytes, version: int) -> bytes:
        self._called("sign")
        return self._private[version - 1].sign(data)

    def read(self, origin: str) -> tuple[int, Mapping[str, Any] | None]:
        self._called("read")
        version, text = self.kept.get(origin, (0, "null"))
        return version, json.loads(text)

    def write(self, origin: str, document: Mapping[str, Any], version: int) -> None:
        self._called("write")
        if self.kept.get(origin, (0, ""))[0] != version:
            raise HeadMoved("another head is there")
        self.kept[origin] = (version + 1, json.dumps(document))

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.down:
            raise GoldenGooseError("it does not answer")
