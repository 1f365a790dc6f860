# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What callers want to say: checked, and in canonical bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from . import canonical
from .errors import EntryRefused
from .guard import check_metadata, refuse_secrets, suspicious


class Statement(NamedTuple):
    """What a caller wants to say; ``data`` and ``metadata`` are canonical bytes, ``id`` may be left to the ledger."""

    type: str
    data: bytes
    metadata: bytes
    id: str | None

    @property
    def content(self) -> bytes:
        """The bytes that two appends of the same ``id`` must share."""
        return (
            b'{"data":' + self.data + b',"metadata":' + self.metadata + b',"type":' + canonical.encode(self.type) + b"}"
        )


def statements(items: Sequence[Mapping[str, Any]]) -> list[Statement]:
    """Return what the callers' arguments say, after checking it.

    :raises EntryRefused: one is incomplete, not JSON, or holds a secret.
    """
    metadata: Any = None
    values: list[dict[str, Any]] = []
    about: list[bytes] = []
    encoded = b""
    for item in items:
        if item["metadata"] is not metadata:
            metadata = item["metadata"]
            check_metadata(metadata)
            [encoded] = _encoded([dict(metadata)])
        data, event = item["data"], item["event"]
        if data.get("event", event) != event:
            raise EntryRefused(f"data.event is '{data['event']}' but the entry is of the event '{event}'.")
        values.append({**data, "event": event})
        about.append(encoded)
    said = _encoded(values)
    if suspicious(b"".join([*said, *set(about)])):
        for item in items:
            refuse_secrets(item["metadata"], "metadata")
            refuse_secrets(item["data"])
    rows = zip([item["type"] for item in items], said, about, [item.get("id") for item in items], strict=True)
    return list(map(Statement._make, rows))


def _encoded(values: Sequence[dict[str, Any]]) -> list[bytes]:
    try:
        return canonical.encode_many(values)
    except canonical.NotCanonical as error:
        raise EntryRefused(f"The entry cannot be written as canonical JSON: {error}.") from error
