# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What Sprint 1 demands that an entry says about itself (addendum 1.1, 1.3 and 8.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LABEL = "compliance flow POC"
TAGS = ("sprint1_poc", "pending_worm_migration")
# Key in the metadata, with dots for depth, and the value that it must have.
_VALUES: dict[str, object] = {
    "sprint": "1",
    "provisional": True,
    "mesh_enforcement": "pending",
    "audit.storage_mode": "provisional",
    "audit.migration_required": True,
    "audit_metadata.sprint": "1",
    "audit_metadata.mode": "poc",
    "audit_metadata.provisional_flags.service_mesh": "pending",
    "audit_metadata.provisional_flags.worm_storage": "pending",
    "audit_metadata.provisional_flags.full_compliance": "sprint2",
}


def untagged(metadata: Mapping[str, Any]) -> list[str]:
    """Return what is missing from an entry's ``metadata``, as ``key=value`` or ``tag <name>``."""
    missing = [f"{key}={value}" for key, value in _VALUES.items() if _at(metadata, key) != value]
    tags = metadata.get("tags")
    tags = tags if isinstance(tags, list) else []
    missing += [f"tag {tag}" for tag in TAGS if tag not in tags]
    if LABEL not in (*tags, metadata.get("label")):
        missing.append(f"label {LABEL}")
    return missing


def provisional(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return what Sprint 2 has to do according to an entry's ``metadata``, each with a sentence about it."""
    found = {}
    if metadata.get("mesh_enforcement") == "pending":
        found["mesh enforcement"] = "Service mesh enforcement is pending: Sprint 2 makes it mandatory."
    if _at(metadata, "audit.migration_required") is True:
        found["WORM migration"] = (
            "Evidence storage is provisional, a hash chain with a verified copy: Sprint 2 migrates it to WORM storage."
        )
    if _at(metadata, "audit_metadata.provisional_flags.full_compliance") == "sprint2":
        found["full compliance"] = f"This is a {LABEL}: full compliance is due in Sprint 2."
    return found


def _at(metadata: Mapping[str, Any], key: str) -> Any:
    value: Any = metadata
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
