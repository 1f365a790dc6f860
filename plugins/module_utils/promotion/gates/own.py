# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Gates of the user's: an executable that gets one JSON file and prints a verdict, a policy in Rego, or Ansible tasks.

The file holds {gate, service, digest, image, policy, plan, source} (``source`` is a copy of the service's folder). What
it prints is {"verdict": "allow|deny|defer", "reason": …, "observed": {…}, "required": {…}}, and in a defer perhaps
``next_check``. A policy in Rego gets the same as ``input``, and says the same as ``data.golden_goose.gate``; tasks have
been run by the play, and what they said is handed on with the ``digest`` that they said it of.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ..model import Verdict, stamp
from ..policy import OwnGate
from . import rego
from .context import GateContext, ToolFailed, run_tool

_VERDICTS = ("allow", "deny", "defer")


def own_gate(gate: OwnGate) -> Callable[[GateContext], Verdict]:
    """Return the gate that asks for the verdict of ``gate``. Whatever goes wrong there is a deny."""

    def decide(context: GateContext) -> Verdict:
        required = {"verdict": "allow"}
        try:
            return _parse(gate.name, _said(gate, context) if gate.tasks else _run(gate, context))
        except ToolFailed as error:
            return Verdict(gate.name, "deny", f"{error} (required: a verdict)", {"failed": str(error)}, required)

    return decide


def _said(gate: OwnGate, context: GateContext) -> Any:
    said = context.scanners.said.get(gate.name)
    if said is None:
        raise ToolFailed(f"{gate.tasks} gave no verdict; it has to set golden_goose_verdicts.{gate.name}")
    digest = said.get("digest") if isinstance(said, dict) else None
    if digest != context.digest:
        raise ToolFailed(f"the verdict of {gate.tasks} is of {digest} and not of {context.digest}")
    return said


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
    command = rego.command(gate, context) if gate.rego else gate.command
    done = run_tool([*command, str(question)], context.source, context.scratch, gate.timeout)
    if done.status != 0:
        program = gate.rego or gate.command[0]
        raise ToolFailed(f"{program} ended with status {done.status}; last seen: {done.last_words()}")
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise ToolFailed(f"{gate.rego or gate.command[0]} printed no JSON; last seen: {done.last_words()}") from error


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
