# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The closing summary of the demo, from what the playbooks reported as custom statistics.

Nothing in here knows an address or a path: what no playbook reported is said to be unreported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demo_progress import duration

# Role that reports an endpoint → what a reader calls it.
ENDPOINTS = {
    "kubernetes": "API server",
    "vault": "Vault",
    "prometheus": "Prometheus",
    "kpi_exporter": "KPI exporter",
    "grafana": "Grafana",
}


@dataclass(frozen=True)
class StepTime:
    """One finished step: its name, wall time in seconds and number of changed tasks."""

    name: str
    seconds: float
    changed: int


def summary(facts: Mapping[str, Any], times: Sequence[StepTime]) -> str:
    """Return the closing summary as text; ``facts`` are the merged custom statistics."""
    sections = [
        ("Addresses", list(_addresses(_mapping(facts, "golden_goose_endpoints")))),
        ("Promotion", list(_promotions(_mapping(facts, "golden_goose_promotions")))),
        ("Package", list(_packages(_mapping(facts, "golden_goose_packages")))),
        ("Provisional", list(_provisional(_mapping(facts, "golden_goose_packages")))),
        ("Wall time", list(_times(times))),
    ]
    return "\n".join(f"{title}\n" + "\n".join(f"  {line}" for line in lines) for title, lines in sections if lines)


def _mapping(facts: Mapping[str, Any], key: str) -> Mapping[str, Mapping[str, Any]]:
    value = facts.get(key)
    return value if isinstance(value, Mapping) else {}


def _addresses(endpoints: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if not endpoints:
        return
    for role, title in ENDPOINTS.items():
        endpoint = endpoints.get(role, {})
        found = endpoint.get("address") or endpoint.get("missing") or "not reported by this run"
        yield f"{title:<13} {found}"
    kubeconfig = endpoints.get("kubernetes", {}).get("kubeconfig")
    if kubeconfig:
        yield f"{'kubeconfig':<13} export KUBECONFIG={kubeconfig}"


def _promotions(promotions: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for service, promotion in promotions.items():
        if promotion.get("outcome") == "unchanged":
            yield f"{service}: promoted nothing new; {promotion.get('reason') or 'it is compliant'}"
        else:
            yield f"{service}: {promotion.get('outcome', 'unknown')}"
        if promotion.get("hash_chain_id"):
            yield f"evidence id (hash_chain_id) {promotion['hash_chain_id']}"


def _packages(packages: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for service, package in packages.items():
        state = "built" if package.get("changed") else "already there, verified"
        yield f"{service}: {state}: {package.get('path', 'path not reported')}"


def _provisional(packages: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    statements = [str(statement) for package in packages.values() for statement in package.get("provisional", [])]
    yield from dict.fromkeys(statements)


def _times(times: Sequence[StepTime]) -> Iterator[str]:
    for step in times:
        yield f"{step.name:<9} {duration(step.seconds):>12}  changed={step.changed}"
    if len(times) > 1:
        total = sum(step.seconds for step in times)
        yield f"{'together':<9} {duration(total):>12}  changed={sum(s.changed for s in times)}"
