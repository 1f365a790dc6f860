# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Check the ``infrastructure`` that an inventory asks for (addendum 2.1) before anything is installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import GoldenGooseError
from .ledger import Ledger

# What the playbooks can build; each value is named as the requirements spell it.
_ALLOWED: dict[str, tuple[Any, ...]] = {
    "kubernetes.nodes": (1,),
    "kubernetes.mode": ("sandbox",),
    "vault.instance": ("lightweight",),
    "vault.mode": ("dev",),
    "monitoring.prometheus": ("basic",),
    "monitoring.grafana": ("essential-dashboards",),
    "storage.audit": ("local-with-backup",),
    "storage.evidence": ("hash-chain-only",),
}


def check_infrastructure(infrastructure: Mapping[str, Any]) -> None:
    """Return when the playbooks can build ``infrastructure``.

    :raises GoldenGooseError: a key is missing, unknown or has a value that cannot be built; the
        sentence names every such key.
    """
    given = _flatten(infrastructure)
    problems = [f"{key} is unknown" for key in given if key not in _ALLOWED]
    for key, allowed in _ALLOWED.items():
        wanted = " or ".join(repr(value) for value in allowed)
        if key not in given:
            problems.append(f"{key} is missing, set it to {wanted}")
        elif given[key] not in allowed or isinstance(given[key], bool):
            where = " in sandbox mode" if key == "kubernetes.nodes" else ""
            problems.append(f"{key} is {given[key]!r}, it has to be {wanted}{where}")
    if problems:
        raise GoldenGooseError(
            f"The inventory's infrastructure cannot be built: {'; '.join(problems)}. Nothing was changed.",
            problems=problems,
        )


def _flatten(infrastructure: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for part, settings in infrastructure.items():
        if not isinstance(settings, Mapping):
            raise GoldenGooseError(
                f"The inventory's infrastructure.{part} is {settings!r}; it has to be a mapping. Nothing was changed."
            )
        flat.update({f"{part}.{key}": value for key, value in settings.items()})
    return flat


def check_and_record(infrastructure: Mapping[str, Any], ledger: Path | None, metadata: Mapping[str, Any]) -> None:
    """Do ``check_infrastructure``; what it refuses becomes an entry where the ledger exists.

    :raises GoldenGooseError: as ``check_infrastructure``; with ``facts["recorded"]``, or why it was not.
    """
    try:
        check_infrastructure(infrastructure)
    except GoldenGooseError as refusal:
        if ledger is not None and ledger.exists():
            data = {"subject": "infrastructure", "reason": str(refusal)}
            try:
                appended = Ledger.open(ledger).append(
                    type="validation", event="refused", data=data, metadata=dict(metadata)
                )
                refusal.facts["recorded"] = appended.entry.id
            except GoldenGooseError as error:
                refusal.facts["not_recorded"] = str(error)
        raise
