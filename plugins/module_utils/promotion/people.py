# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What people say about plans, digests and the line, each one entry; standing.py is what comes of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..ledger import Entry
from .evidence import Evidence
from .identity import Identity, Sign, looks_signed
from .model import Refused, short
from .plan import Plan, load_plan
from .sealing import checked_digest
from .standing import Standing, person_of, same_person


@dataclass(frozen=True)
class Voice:
    """Someone who says something: who it is, how they sign (None for a login that Vault does not know), and whether
    an entry was signed by them.
    """

    identity: Identity
    sign: Sign | None = None
    has_signed: Callable[[Entry], bool] = looks_signed


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
    who, data = voice.identity.name, {"plan": sha256, "reason": reason}
    known = Standing.of(evidence.entries(), _signed_here(evidence, voice))
    if _counts(voice, [known.approvers(plan, name) for name in plan.services], all):
        return Said(False, f"{who} has approved the plan {sha256[:12]} already")
    return _say(evidence, voice, "approved", data, f"{who} approves the plan {sha256[:12]}")


def withdraw(evidence: Evidence, voice: Voice, sha256: str, reason: str) -> Said:
    """Withdraw one's own approval. What was promoted with it stays.

    :raises Refused: there is no such plan, or no reason is given.
    """
    _require_reason(reason, "An approval is withdrawn with a reason")
    return _take_back(evidence, voice, sha256, reason, "approval_withdrawn", Standing.approvers, "approval of")


def override(evidence: Evidence, voice: Voice, sha256: str, reason: str) -> Said:
    """Override freezes and stops for one plan; it counts once a second person does the same.

    :raises Refused: there is no such plan, or no reason is given.
    """
    plan = _plan(evidence, sha256)
    _require_reason(reason, "A freeze is overridden with a reason")
    who, data = voice.identity.name, {"plan": sha256, "reason": reason}
    known = Standing.of(evidence.entries(), _signed_here(evidence, voice))
    if _counts(voice, [known.overriders(plan, name) for name in plan.services], all):
        return Said(
            False, f"{who} overrides the freeze for the plan {sha256[:12]} already; a second person has to, too"
        )
    said = f"{who} overrides the freeze for the plan {sha256[:12]}, which counts once two people do"
    return _say(evidence, voice, "overridden", data, said)


def withdraw_override(evidence: Evidence, voice: Voice, sha256: str, reason: str) -> Said:
    """Withdraw one's own override of freezes and stops.

    :raises Refused: there is no such plan, or no reason is given.
    """
    _require_reason(reason, "An override is withdrawn with a reason")
    return _take_back(evidence, voice, sha256, reason, "override_withdrawn", Standing.overriders, "override for")


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
    known = _not_ended_by(evidence, voice).vetoes.get(digest)
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
    known = _not_ended_by(evidence, voice).stops.get(service or "")
    if known is None:
        return Said(False, f"the line is not stopped for {what}")
    _require_equal(voice, known, f"The stop for {what}")
    data = {"reason": reason} | ({"service": service} if service else {})
    return _say(evidence, voice, "resumed", data, f"the line runs again for {what}")


def last_deployed(evidence: Evidence, service: str) -> str:
    """Return the digest that was deployed to the sandbox last, as the ledger says.

    :raises Refused: nothing was.
    """
    evidence.require_sound()
    deployed = (entry.data for entry in evidence.entries() if entry.event == "deployed")
    digests = [data.get("digest") for data in deployed if data.get("service") == service]
    if not digests:
        raise Refused(f"The ledger has no deployment of '{service}' to the sandbox; name the digest with -e digest=….")
    return str(digests[-1])


def is_known(evidence: Evidence, digest: str) -> bool:
    """Return whether anything but a veto is about this artifact; with a typing error in the digest nothing is."""
    about = (entry.event for entry in evidence.entries() if entry.data.get("digest") == digest)
    return any(event not in ("vetoed", "veto_lifted") for event in about)


def _plan(evidence: Evidence, sha256: str) -> Plan:
    evidence.require_sound()
    return load_plan(evidence, sha256)


def _say(evidence: Evidence, voice: Voice, event: str, data: dict[str, Any], reason: str) -> Said:
    if evidence.read_only:
        return Said(True, f"{reason} (not in check mode)")
    full, identity = data | {"by": voice.identity.as_dict(), "ledger": evidence.origin}, str(uuid.uuid4())
    if voice.sign is not None:
        full["signed"] = voice.sign(event, full, identity)
    return Said(True, reason, evidence.record(event, full, id=identity))


def _require_reason(reason: str, sentence: str) -> None:
    if not reason.strip():
        raise Refused(f"{sentence}; say why with the option reason.")


def _require_equal(voice: Voice, known: Entry, what: str) -> None:
    by = known.data["by"]
    if by.get("entity") and not voice.identity.entity:
        raise Refused(f"{what} was made by {by['name']} with a Vault identity; undo it with one, too (option vault).")


def _not_ended_by(evidence: Evidence, voice: Voice) -> Standing:
    """Return the vetoes and stops that this very person has not ended yet.

    That another has is not enough: who asks for a promotion does not clear their own way, see ``clears_the_way``.
    """
    return Standing.of(evidence.entries(), _signed_here(evidence, voice), lambda made, undo: _is_by(voice, undo))


def _signed_here(evidence: Evidence, voice: Voice) -> Callable[[Entry], bool]:
    return lambda entry: entry.data.get("ledger") == evidence.origin and voice.has_signed(entry)


def _take_back(
    evidence: Evidence,
    voice: Voice,
    sha256: str,
    reason: str,
    event: str,
    speakers: Callable[[Standing, Plan, str], list[Entry]],
    what: str,
) -> Said:
    """Say ``event`` where the person is among the ``speakers`` for a service of the plan."""
    plan, who = _plan(evidence, sha256), voice.identity.name
    known = Standing.of(evidence.entries(), _signed_here(evidence, voice))
    if not _counts(voice, [speakers(known, plan, name) for name in plan.services], any):
        return Said(False, f"there is no {what} the plan {sha256[:12]} by {who} to withdraw")
    data = {"plan": sha256, "reason": reason}
    return _say(evidence, voice, event, data, f"{who} withdraws the {what} the plan {sha256[:12]}")


def _counts(voice: Voice, counting: list[list[Entry]], of: Callable[[Iterable[bool]], bool]) -> bool:
    """Return whether the person is among those who count, for ``any`` or ``all`` of the services."""
    return of(any(_is_by(voice, entry) for entry in entries) for entries in counting)


def _is_by(voice: Voice, entry: Entry) -> bool:
    return person_of(entry) == (voice.identity.entity or voice.identity.name)
