# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What people say about plans, digests and the line, each one entry; standing.py is what comes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..ledger import Entry
from .evidence import Evidence
from .identity import Identity, statement
from .model import Refused, short
from .plan import Plan, load_plan
from .sealing import checked_digest
from .standing import Standing, same_person

Sign = Callable[[bytes], dict[str, Any]]


@dataclass(frozen=True)
class Voice:
    """Someone who says something: who it is, and how they sign (None for a login that Vault does not know)."""

    identity: Identity
    sign: Sign | None = None


@dataclass(frozen=True)
class Said:
    """What came of it; ``entry`` is None when it was so already, or in check mode."""

    changed: bool
    reason: str
    entry: Entry | None = None


def approve(evidence: Evidence, voice: Voice, sha256: str, reason: str = "") -> Said:
    """Approve the sealed plan with this hash.

    :raises Refused: there is no such plan, or who approves is who asked for it.
    """
    plan = _plan(evidence, sha256)
    if same_person(voice.identity.as_dict(), plan.requester):
        with evidence.refusing(", ".join(plan.services)):
            raise Refused(
                f"{voice.identity.name} asked for the plan {sha256[:12]} and cannot approve it; someone else has to."
            )
    known = Standing.of(evidence.entries())
    counting = [known.approvers(plan, name) for name in plan.services]
    if all(any(_by(entry) == _key(voice) for entry in entries) for entries in counting):
        return Said(False, f"{voice.identity.name} has approved the plan {sha256[:12]} already")
    return _say(evidence, voice, "approved", {"plan": sha256, "reason": reason}, f"the plan {sha256[:12]} is approved")


def withdraw(evidence: Evidence, voice: Voice, sha256: str, reason: str) -> Said:
    """Withdraw one's own approval.

    :raises Refused: there is no such plan, or no reason is given.
    """
    _plan(evidence, sha256)
    _require_reason(reason, "An approval is withdrawn with a reason")
    if _key(voice) not in Standing.of(evidence.entries()).approvals.get(sha256, {}):
        return Said(False, f"{voice.identity.name} has not approved the plan {sha256[:12]}")
    data = {"plan": sha256, "reason": reason}
    return _say(evidence, voice, "approval_withdrawn", data, f"the approval of {sha256[:12]} is withdrawn")


def override(evidence: Evidence, voice: Voice, sha256: str, reason: str) -> Said:
    """Override freezes and stops for one plan; it counts once a second person does the same.

    :raises Refused: there is no such plan, or no reason is given.
    """
    plan = _plan(evidence, sha256)
    _require_reason(reason, "A freeze is overridden with a reason")
    known = Standing.of(evidence.entries())
    counting = [known.overriders(plan, name) for name in plan.services]
    if all(any(_by(entry) == _key(voice) for entry in entries) for entries in counting):
        return Said(False, f"{voice.identity.name} has overridden the freeze for {sha256[:12]} already")
    data = {"plan": sha256, "reason": reason}
    return _say(
        evidence, voice, "overridden", data, f"the freeze is overridden for {sha256[:12]}, if two people say so"
    )


def veto(evidence: Evidence, voice: Voice, digest: str, reason: str) -> Said:
    """Keep a digest from ever becoming compliant, until the veto is lifted.

    :raises Refused: it is no digest, or no reason is given.
    """
    checked_digest(digest)
    _require_reason(reason, "A veto needs a reason")
    if digest in Standing.of(evidence.entries()).vetoes:
        return Said(False, f"{short(digest)} is vetoed already")
    return _say(evidence, voice, "vetoed", {"digest": digest, "reason": reason}, f"{short(digest)} is vetoed")


def lift(evidence: Evidence, voice: Voice, digest: str, reason: str) -> Said:
    """Lift the veto of a digest. One that a person at Vault made is lifted by a person at Vault.

    :raises Refused: no reason is given, or who lifts it is only a login.
    """
    checked_digest(digest)
    _require_reason(reason, "A veto is lifted with a reason")
    known = Standing.of(evidence.entries()).vetoes.get(digest)
    if known is None:
        return Said(False, f"{short(digest)} is not vetoed")
    _require_equal(voice, known, f"The veto of {short(digest)}")
    data = {"digest": digest, "reason": reason}
    return _say(evidence, voice, "veto_lifted", data, f"the veto of {short(digest)} is lifted")


def stop(evidence: Evidence, voice: Voice, service: str | None, reason: str) -> Said:
    """Stop the line for one service, or for all: nothing is promoted, rollbacks still go.

    :raises Refused: no reason is given.
    """
    _require_reason(reason, "Stopping the line needs a reason")
    what = service or "all services"
    if (service or "") in Standing.of(evidence.entries()).stops:
        return Said(False, f"the line is stopped for {what} already")
    data = {"reason": reason} | ({"service": service} if service else {})
    return _say(evidence, voice, "stopped", data, f"the line is stopped for {what}")


def resume(evidence: Evidence, voice: Voice, service: str | None, reason: str) -> Said:
    """Let the line run again. A stop that a person at Vault made is ended by a person at Vault.

    :raises Refused: no reason is given, or who resumes is only a login.
    """
    _require_reason(reason, "The line is started again with a reason")
    what = service or "all services"
    known = Standing.of(evidence.entries()).stops.get(service or "")
    if known is None:
        return Said(False, f"the line is not stopped for {what}")
    _require_equal(voice, known, f"The stop for {what}")
    data = {"reason": reason} | ({"service": service} if service else {})
    return _say(evidence, voice, "resumed", data, f"the line runs again for {what}")


def _plan(evidence: Evidence, sha256: str) -> Plan:
    evidence.require_sound()
    return load_plan(evidence, sha256)


def _say(evidence: Evidence, voice: Voice, event: str, data: dict[str, Any], reason: str) -> Said:
    if evidence.read_only:
        return Said(True, f"{reason} (not in check mode)")
    full = data | {"by": voice.identity.as_dict()}
    if voice.sign is not None:
        full["signed"] = voice.sign(statement(event, full))
    return Said(True, reason, evidence.record(event, full))


def _require_reason(reason: str, sentence: str) -> None:
    if not reason.strip():
        raise Refused(f"{sentence}; say why with the option reason.")


def _require_equal(voice: Voice, known: Entry, what: str) -> None:
    by = known.data["by"]
    if by.get("entity") and not voice.identity.entity:
        raise Refused(f"{what} was made by {by['name']} with a Vault identity; undo it with one, too (option vault).")


def _key(voice: Voice) -> str:
    return voice.identity.entity or voice.identity.name


def _by(entry: Entry) -> str:
    return str(entry.data["by"].get("entity") or entry.data["by"]["name"])
