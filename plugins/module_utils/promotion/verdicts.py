# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The choke point's arithmetic: which verdicts there are, whether they suffice, and what is signed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..ledger import Entry, canonical
from .model import short, stamp
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
        for gate, entry in ((gate, promotion.verdicts[gate]) for gate in promotion.gates)
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


def shortfalls(promotion: Promotion, policy: str, now: datetime) -> list[dict[str, Any]]:
    """Return one item for each required gate that does not allow: gate, verdict, reason, observed, required.

    Only entries of this very promotion and digest are verdicts (see ``state.fold``); none at all is a deny,
    and so is one that was given under another policy or is too old.

    :param policy: the id of the policy that is in force.
    """
    found = [_shortfall(gate, promotion.verdicts.get(gate), policy, now) for gate in promotion.gates]
    return [item for item in found if item is not None]


def waiting(denied: list[dict[str, Any]]) -> bool:
    """Return whether nothing denies, and each gate that could not tell has said when to ask again."""
    return all(item["verdict"] == "defer" and item.get("next_check") for item in denied)


def _shortfall(gate: str, entry: Entry | None, policy: str, now: datetime) -> dict[str, Any] | None:
    if entry is None:
        return _denied(gate, "there is no verdict (required: allow)", {"verdict": None}, {"verdict": "allow"})
    data = entry.data
    if data["verdict"] != "allow":
        keys = ("gate", "verdict", "reason", "observed", "required", "next_check")
        return {key: data[key] for key in keys if key in data}
    if data.get("policy") != policy:
        reason = f"its verdict is of the policy {data.get('policy')} (required: {policy})"
        return _denied(gate, reason, {"policy": data.get("policy")}, {"policy": policy})
    if now > datetime.fromisoformat(str(data["next_check"])):
        reason = f"its verdict is stale since {data['next_check']} (required: one that still counts)"
        return _denied(gate, reason, {"next_check": data["next_check"]}, {"now": stamp(now)})
    return None


def _denied(gate: str, reason: str, observed: dict[str, Any], required: dict[str, Any]) -> dict[str, Any]:
    return {"gate": gate, "verdict": "deny", "reason": reason, "observed": observed, "required": required}


def denial(promotion: Promotion, denied: list[dict[str, Any]]) -> str:
    """Return the sentence that says why the promotion stops: every gate, what it saw and what it requires."""
    says = {"deny": "denies", "defer": "cannot tell"}
    gates = "; ".join(f"gate {item['gate']} {says[item['verdict']]}: {item['reason']}" for item in denied)
    return f"{promotion.service} {short(promotion.digest)} is not promoted: {gates.rstrip('.')}."
