# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Gates of the user's: an executable that gets one JSON file and prints a verdict.

The file holds {gate, service, digest, image, policy, plan, source} (``source`` is a copy of the service's folder). What
it prints is {"verdict": "allow|deny|defer", "reason": …, "observed": {…}, "required": {…}}, and in a defer perhaps
``next_check``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ..model import Verdict, stamp
from ..policy import OwnGate
from .context import GateContext, ToolFailed, run_tool

_VERDICTS = ("allow", "deny", "defer")


def own_gate(gate: OwnGate) -> Callable[[GateContext], Verdict]:
    """Return the gate that runs the command of ``gate``. Whatever it does wrong is a deny."""

    def decide(context: GateContext) -> Verdict:
        required = {"verdict": "allow"}
        try:
            return _parse(gate.name, _run(gate, context))
        except ToolFailed as error:
            return Verdict(gate.name, "deny", f"{error} (required: a verdict)", {"failed": str(error)}, required)

    return decide


def _run(gate: OwnGate, context: GateContext) -> Any:
    question = context.scratch / f"{gate.name}.json"
    asked = {
        "gate": gate.name,
        "service": context.service.name,
        "digest": context.digest,
        "image": context.service.pinned_image(context.digest),
        "policy": context.policy.id,
        "plan": context.plan.sha256 if context.plan else None,
        "source": str(context.source),
    }
    question.write_text(json.dumps(asked))
    done = run_tool([*gate.command, str(question)], context.source, context.scratch, gate.timeout)
    if done.status != 0:
        raise ToolFailed(f"{gate.command[0]} ended with status {done.status}; last seen: {done.last_words()}")
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise ToolFailed(f"{gate.command[0]} printed no JSON; last seen: {done.last_words()}") from error


def _parse(name: str, said: Any) -> Verdict:
    if not isinstance(said, dict) or said.get("verdict") not in _VERDICTS or not isinstance(said.get("reason"), str):
        raise ToolFailed(f"gate {name} printed no verdict: expected verdict ({', '.join(_VERDICTS)}) and reason")
    observed, required = said.get("observed", {}), said.get("required", {})
    if not isinstance(observed, dict) or not isinstance(required, dict):
        raise ToolFailed(f"gate {name} printed observed or required that is not a mapping")
    again = said.get("next_check")
    try:
        checked = stamp(datetime.fromisoformat(again)) if again else None
    except (TypeError, ValueError) as error:
        raise ToolFailed(f"gate {name} printed a next_check that is no time: {again!r}") from error
    return Verdict(name, said["verdict"], said["reason"], observed, required, next_check=checked)
