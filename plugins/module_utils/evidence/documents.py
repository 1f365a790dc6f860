# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The files of an evidence package (addendum 3.1): a pure function of the ledger."""

from __future__ import annotations

import base64
import json
from typing import Any

from ..ledger import Entry, Ledger, LedgerError, dropping, genesis_hash, link, segments
from ..ledger.entry import FORMAT
from .requirements import Subject, steps

METADATA = {"phase": "sprint1_poc", "compliance_mode": "provisional"}
_HOW_TO_CHECK = (
    "For each line, in order: take it as UTF-8 bytes; it is RFC 8785 canonical JSON. Remove the member 'hash', write "
    "the rest as canonical JSON again: its SHA-256 is 'hash'. 'previous_hash' is the 'hash' of the line before; of "
    "the first line it is the SHA-256 of format, a line feed and origin. 'hash' of the last line is hash_chain_id."
)

_HOW_TO_CHECK_BEFORE = (
    "The ledger was frozen and continued: 'before' has its earlier segments, oldest first, each a chain of its own. "
    "The last line of one freezes it and names the origin of the next, whose first line states 'size' and 'hash' of "
    "it, unless a line 'repaired' with 'segment' says how many of its lines were lost."
)


def evidence_documents(ledger: Ledger, subject: Subject) -> dict[str, bytes]:
    """Return the five files and metadata.json by name; the same ledger gives the same bytes.

    :raises LedgerBroken: an entry or a stored report does not hold.
    """
    return {
        "sast_scan_results.json": _as_json(_report(ledger, subject, "sast")),
        "test_coverage_report.json": _as_json(_report(ledger, subject, "coverage")),
        "audit_chain.json": _as_json(_audit_chain(ledger, subject)),
        "promotion_request.json": _as_json(_request(subject)),
        "promotion_validation.json": _as_json(_validation(subject)),
        "metadata.json": _as_json(METADATA),
    }


def _as_json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _about(subject: Subject) -> dict[str, Any]:
    return {
        "service": subject.promotion.service,
        "digest": subject.digest,
        "promotion_id": subject.promotion.id,
        "hash_chain_id": subject.hash_chain_id,
    }


def _report(ledger: Ledger, subject: Subject, gate: str) -> dict[str, Any]:
    """The gate's raw report: parsed to be read, and verbatim so that its SHA-256 can be recomputed."""
    data = subject.promotion.verdicts[gate].data
    raw = dropping.read(ledger, data["object"]["sha256"])
    verdict: dict[str, Any] = {key: data[key] for key in ("verdict", "reason", "observed", "required") if key in data}
    return {**_about(subject), "gate": gate, **verdict, "object": data["object"], **_readable(raw)}


def _readable(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(raw).decode()}
    try:
        return {"raw": text, "report": json.loads(text)}
    except ValueError:
        return {"raw": text}


def _audit_chain(ledger: Ledger, subject: Subject) -> dict[str, Any]:
    _require_whole(ledger, subject.completed)
    chains: dict[int, list[str]] = {number: [] for number in range(1, subject.completed.segment + 1)}
    for entry in ledger.entries():
        chains[entry.segment].append(entry.line.decode())
        if entry.place == subject.completed.place:
            break
    mine = [subject.build, subject.deployed, *steps(subject.promotion)]
    *before, last = [_chain(ledger, number, mine, lines) for number, lines in chains.items()]
    origin = str(last["origin"])
    earlier = {"before": before, "how_to_check_before": _HOW_TO_CHECK_BEFORE} if before else {}
    return {
        **_about(subject),
        "format": FORMAT,
        "genesis_hash": genesis_hash(origin),
        "how_to_check": _HOW_TO_CHECK,
        **earlier,
        **last,
    }


def _require_whole(ledger: Ledger, completed: Entry) -> None:
    """Check that an entry before ``completed`` tells of what frozen segments before it lack: nothing after it can.

    :raises LedgerError: it does not.
    """
    for loss in link.examine(ledger.root, [*(one.number for one in ledger.earlier), ledger.number])[1].values():
        if loss.segment < completed.segment and (loss.said_in, loss.sequence) > completed.place:
            raise LedgerError(
                f"The package of the promotion that entry {completed.sequence} of segment {completed.segment} ended "
                f"cannot be made again: {loss.sentence()}. A package from before that holds them."
            )


def _chain(ledger: Ledger, number: int, mine: list[Entry], lines: list[str]) -> dict[str, Any]:
    """Return the lines of one segment, and which of them are about the promotion."""
    return {
        "origin": segments.name(ledger.origin, number),
        "sequences_of_this_promotion": sorted(entry.sequence for entry in mine if entry.segment == number),
        "lines": lines,
    }


def _request(subject: Subject) -> dict[str, Any]:
    requested = subject.promotion.requested
    known = ("gates", "image", "requested_by")
    asked: dict[str, Any] = {key: requested.data[key] for key in known if key in requested.data}
    return {**_about(subject), **asked, "requested_at": requested.timestamp, "entry": requested.as_dict()}


def _validation(subject: Subject) -> dict[str, Any]:
    promotion = subject.promotion
    verdicts = [promotion.verdicts[gate] for gate in sorted(promotion.verdicts)]
    return {
        **_about(subject),
        "stage": subject.completed.data.get("stage", "compliant"),
        "completed_at": subject.completed.timestamp,
        "verdicts": [_verdict(entry) for entry in verdicts],
        "requirements": [requirement.name for requirement in subject.requirements if requirement.met],
        "entries": [entry.as_dict() for entry in steps(promotion)],
    }


def _verdict(entry: Entry) -> dict[str, Any]:
    said = {key: value for key, value in entry.data.items() if key not in ("event", "promotion_id", "service")}
    return {**said, "sequence": entry.sequence, "timestamp": entry.timestamp}
