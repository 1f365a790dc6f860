# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The choke point's arithmetic: which verdicts there are, whether they suffice, and what is signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..ledger import canonical
from .model import REQUIRED_GATES, short
from .state import Promotion


@dataclass(frozen=True)
class Statement:
    """What Vault signs before a rollout.

    ``content`` is the RFC 8785 form of {promotion_id, service, digest, verdicts}, whose four values stand in
    the started entry: a stranger rebuilds the bytes from there.
    """

    verdicts: list[dict[str, Any]]
    content: bytes


def statement(promotion: Promotion) -> Statement:
    """Return the statement over the verdicts of ``promotion``, each named by entry id and hash."""
    verdicts = [
        {"gate": gate, "verdict": entry.data["verdict"], "entry": entry.id, "hash": entry.hash}
        for gate, entry in ((gate, promotion.verdicts[gate]) for gate in REQUIRED_GATES)
    ]
    content = canonical.encode(
        {
            "promotion_id": promotion.id,
            "service": promotion.service,
            "digest": promotion.digest,
            "verdicts": verdicts,
        }
    )
    return Statement(verdicts, content)


def shortfalls(promotion: Promotion) -> list[dict[str, Any]]:
    """Return one item for each required gate that does not allow: gate, verdict, reason, observed, required.

    Only entries of this very promotion and digest are verdicts (see ``state.fold``); none at all is a deny.
    """
    found = []
    for gate in REQUIRED_GATES:
        entry = promotion.verdicts.get(gate)
        if entry is None:
            found.append(
                {
                    "gate": gate,
                    "verdict": "deny",
                    "reason": "there is no verdict (required: allow)",
                    "observed": {"verdict": None},
                    "required": {"verdict": "allow"},
                }
            )
        elif entry.data["verdict"] != "allow":
            keys = ("gate", "verdict", "reason", "observed", "required")
            found.append({key: entry.data[key] for key in keys})
    return found


def denial(promotion: Promotion, denied: list[dict[str, Any]]) -> str:
    """Return the sentence that says why the promotion stops: every gate, what it saw and what it requires."""
    says = {"deny": "denies", "defer": "cannot tell"}
    gates = "; ".join(f"gate {item['gate']} {says[item['verdict']]}: {item['reason']}" for item in denied)
    return f"{promotion.service} {short(promotion.digest)} is not promoted: {gates.rstrip('.')}."
