# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Gates of the user's in Rego, evaluated by rego-cpp (https://microsoft.github.io/rego-cpp/), the library ``regopy``.

It is optional, and runs in a process of its own: only that can be ended when a policy does not come to an end.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..policy import OwnGate
from .context import GateContext, ToolFailed

# Its arguments are the policy and the JSON file with the question; rego-cpp itself says what is wrong with a policy.
_PROGRAM = """
import json, pathlib, sys
try:
    import regopy
except ImportError:
    sys.exit("the Python library regopy is missing; install the version that requirements-dev.txt names")
policy, question = map(pathlib.Path, sys.argv[1:])
interpreter = regopy.Interpreter()
try:
    interpreter.add_module(policy.name, policy.read_text())
    interpreter.set_input(json.loads(question.read_text()))
    results = interpreter.query("data.golden_goose.gate").results
except (regopy.RegoError, OSError, ValueError) as error:
    sys.exit("it is no policy in Rego: " + " ".join(str(error).split()))
said = results[0].expressions[0] if results and results[0].expressions else None
if not isinstance(said, dict):
    sys.exit("it has no package golden_goose.gate with a verdict")
print(json.dumps(said))
"""


def command(gate: OwnGate, context: GateContext) -> list[str]:
    """Return the command that evaluates the policy of ``gate``; the path of the question has to follow.

    :raises ToolFailed: the file is not the one that the policy is bound to any more, or cannot be read.
    """
    try:
        content = Path(gate.rego).read_bytes()
    except OSError as error:
        raise ToolFailed(f"{gate.rego} cannot be read: {error.strerror or error}") from error
    if hashlib.sha256(content).hexdigest() != gate.sha256:
        raise ToolFailed(f"{gate.rego} has changed since the policy was read")
    copy = context.scratch / f"{gate.name}.rego"
    copy.write_bytes(content)
    return [context.scanners.python, "-c", _PROGRAM, str(copy)]
