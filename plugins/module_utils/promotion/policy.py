# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a promotion has to satisfy, as the inventory says it; without any, what Sprint 1 asks for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import GoldenGooseError
from ..ledger import canonical
from .model import REQUIRED_GATES
from .order import LINEAR, ORDERS
from .windows import check_window

ON_FAILURE = ("stop", "continue", "all_or_nothing")
_OWN_KINDS = ("command", "rego", "tasks")
_GATE_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class PolicyError(GoldenGooseError):
    """The policy says something that the engine does not know."""


@dataclass(frozen=True)
class OwnGate:
    """A gate of the user's, one of three.

    ``command`` (argument list) gets the path of a JSON file and prints a verdict; ``rego`` is a file with a policy in
    Rego; ``tasks`` is a file with Ansible tasks, which the play runs.

    ``sha256`` is the digest of that file's content, so that another content is another policy. ``timeout`` and
    ``max_age`` are seconds.
    """

    name: str
    command: tuple[str, ...]
    timeout: float
    max_age: float
    rego: str = ""
    tasks: str = ""
    sha256: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the gate with plain values."""
        said = {"name": self.name, "command": list(self.command), "timeout": self.timeout, "max_age": self.max_age}
        file = {key: value for key, value in (("rego", self.rego), ("tasks", self.tasks)) if value}
        return said | file | ({"sha256": self.sha256} if file else {})


@dataclass(frozen=True)
class Policy:
    """``gates`` are required of every artifact, the five of Sprint 1 always among them.

    ``quorum`` is how many people have to approve a plan, ``max_age`` how many seconds a verdict counts.
    ``freezes`` are the windows of ``windows.py``. ``id`` names version and content.
    """

    version: str = "sprint1"
    order: str = LINEAR
    on_failure: str = "stop"
    gates: tuple[str, ...] = REQUIRED_GATES
    quorum: int = 0
    max_age: float = 3600.0
    freezes: tuple[Mapping[str, Any], ...] = ()
    own_gates: tuple[OwnGate, ...] = ()

    @property
    def id(self) -> str:
        """Version and the first 16 hexadecimal digits of the content's SHA-256, as ``sprint1@0123…``."""
        return f"{self.version}@{hashlib.sha256(canonical.encode(self.as_dict())).hexdigest()[:16]}"

    def as_dict(self) -> dict[str, Any]:
        """Return the policy with plain values."""
        return {
            "version": self.version,
            "order": self.order,
            "on_failure": self.on_failure,
            "gates": list(self.gates),
            "quorum": self.quorum,
            "max_age": self.max_age,
            "freezes": [dict(window) for window in self.freezes],
            "own_gates": [gate.as_dict() for gate in self.own_gates],
        }


def read_policy(given: Mapping[str, Any] | None, known_gates: tuple[str, ...]) -> Policy:
    """Return the policy that the option ``policy`` of a module describes.

    :param known_gates: the gates that come with the collection.
    :raises PolicyError: a key or value is not one; the sentence names it.
    """
    values = dict(given or {})
    default = Policy()
    unknown = sorted(set(values) - set(default.as_dict()))
    if unknown:
        raise PolicyError(
            f"policy.{unknown[0]} is not a known key; expected one of {', '.join(sorted(default.as_dict()))}."
        )
    for key, (expected, accepts) in _RULES.items():
        if key in values and not accepts(values[key]):
            raise PolicyError(f"policy.{key} is {values[key]!r}; expected {expected}.")
    own = tuple(_own_gate(item, known_gates) for item in values.get("own_gates", ()))
    gates = _gates(values.get("gates", ()), own, known_gates)
    for window in values.get("freezes", ()):
        check_window(window)
    return Policy(
        version=values.get("version", default.version),
        order=values.get("order", default.order),
        on_failure=values.get("on_failure", default.on_failure),
        gates=gates,
        quorum=int(values.get("quorum", 0)),
        max_age=float(values.get("max_age", default.max_age)),
        freezes=tuple(values.get("freezes", ())),
        own_gates=own,
    )


def _gates(given: Any, own: tuple[OwnGate, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the required gates, chain last, so that it covers the verdicts of the others."""
    own_names = tuple(gate.name for gate in own)
    for name in given:
        if name not in known and name not in own_names:
            raise PolicyError(
                f"policy.gates names '{name}', which is not a gate; expected one of {', '.join((*known, *own_names))}."
            )
    wanted = {*REQUIRED_GATES, *given, *own_names}
    ordered = [name for name in (*known, *own_names) if name in wanted and name != "chain"]
    return (*ordered, "chain")


def _own_gate(item: Any, known: tuple[str, ...]) -> OwnGate:
    values = item if isinstance(item, Mapping) else {}
    name = values.get("name")
    if not isinstance(name, str) or not _GATE_NAME.fullmatch(name) or name in known:
        raise PolicyError(
            f"policy.own_gates has a gate called {name!r}; expected a name of a-z, 0-9 and '_' that no other gate has."
        )
    kinds = [kind for kind in _OWN_KINDS if kind in values]
    if len(kinds) != 1:
        said = " and ".join(kinds) or "none"
        raise PolicyError(f"policy.own_gates: {name} has {said}; expected one of {', '.join(_OWN_KINDS)}.")
    given, limits = values[kinds[0]], (float(values.get("timeout", 60)), float(values.get("max_age", 3600)))
    if kinds[0] == "command":
        if not isinstance(given, list) or not given or not all(isinstance(word, str) for word in given):
            raise PolicyError(f"policy.own_gates: the command of {name} is {given!r}; expected a list of words.")
        return OwnGate(name, tuple(given), *limits)
    if not isinstance(given, str) or not Path(given).is_absolute():
        raise PolicyError(f"policy.own_gates: {kinds[0]} of {name} is {given!r}; expected the absolute path of a file.")
    try:
        digest = hashlib.sha256(Path(given).read_bytes()).hexdigest()
    except OSError as error:
        why = error.strerror or error
        raise PolicyError(f"policy.own_gates: the file {given} of {name} cannot be read: {why}.") from error
    return OwnGate(name, (), *limits, given if kinds[0] == "rego" else "", given if kinds[0] == "tasks" else "", digest)


def _number(low: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value >= low


_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "version": ("a text without blanks", lambda v: isinstance(v, str) and re.fullmatch(r"\S{1,64}", v) is not None),
    "order": (f"one of {', '.join(ORDERS)}", lambda v: v in ORDERS),
    "on_failure": (f"one of {', '.join(ON_FAILURE)}", lambda v: v in ON_FAILURE),
    "gates": ("a list of names of gates", lambda v: isinstance(v, list) and all(isinstance(g, str) for g in v)),
    "quorum": ("a whole number from 0", lambda v: isinstance(v, int) and _number(0)(v)),
    "max_age": ("a number of seconds from 1", _number(1)),
    "freezes": ("a list of windows", lambda v: isinstance(v, list)),
    "own_gates": ("a list of gates", lambda v: isinstance(v, list)),
}
