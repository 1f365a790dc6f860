#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluate gates and write their verdicts down."""

from __future__ import annotations

DOCUMENTATION = r"""
module: promotion_gate
short_description: Evaluate gates for the artifact whose promotion is requested
version_added: "0.1.0"
description:
  - Evaluates gates for the open promotion of a service and writes one entry for each verdict, C(allow), C(deny) or
    C(defer), with what was observed and what is required. All gates are evaluated, also after one has denied.
  - A verdict does not stop anything here. M(golden_goose.compliance.promotion) reads the verdicts from the ledger and
    refuses when one is missing or is not C(allow).
  - A gate that already has its verdict for this promotion is not evaluated again, unless it could not tell (C(defer)).
  - With O(recheck=true) it is the compliant artifact that is looked at again. A gate that denies it now revokes it.
    That is an entry, and the metric C(golden_goose_digest_revoked) of the exporter becomes 1. What runs is left alone.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
  - golden_goose.compliance.promotion
  - golden_goose.compliance.promotion.services
  - golden_goose.compliance.promotion.policy
  - golden_goose.compliance.promotion.gates
options:
  gates:
    description:
      - The gates to evaluate; they run side by side, C(chain) after the others.
      - By default all that the policy requires; with O(recheck=true), those of them that can be asked again.
    type: list
    elements: str
  recheck:
    description: Evaluate gates of the compliant artifact again, instead of those of an open promotion.
    type: bool
    default: false
attributes:
  check_mode:
    description: In check mode no gate is evaluated; the verdicts that are there are returned.
    support: partial
    details:
      - Tests and scanners are not run.
  diff_mode:
    description: There is nothing to show in diff mode.
    support: none
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing.
    support: full
notes:
  - The gate C(sast) needs bandit and semgrep beside the Python interpreter of the module, C(coverage) pytest and
    pytest-cov. Run as root, the tests of the service run as the user C(nobody) where that user can reach the
    interpreter.
seealso:
  - module: golden_goose.compliance.promotion
"""

EXAMPLES = r"""
- name: Evaluate the gates
  golden_goose.compliance.promotion_gate:
    ledger: /var/lib/golden-goose/ledger
    metadata: "{{ golden_goose_evidence_metadata }}"
    service: service-a
    services_dir: services
    kubeconfig: /etc/golden-goose/kubernetes/promoter.kubeconfig
"""

RETURN = r"""
verdicts:
  description: One item for each gate, as it stands in the ledger.
  returned: success
  type: list
  elements: dict
  contains:
    gate:
      description: Name of the gate.
      type: str
    verdict:
      description: C(allow), C(deny) or C(defer).
      type: str
    reason:
      description: What was observed, and in brackets what is required.
      type: str
    observed:
      description: What was observed, as values.
      type: dict
    required:
      description: What is required, as values.
      type: dict
    entry:
      description: Id of the entry that the verdict stands in.
      type: str
    policy:
      description: Id of the policy that the verdict was given under.
      type: str
    next_check:
      description: When a gate that could not tell is asked again, or until when an C(allow) counts.
      type: str
    object:
      description: Digest, size and media type of the raw report in the ledger's objects.
      type: dict
allowed:
  description: Whether all these verdicts are C(allow).
  returned: success
  type: bool
revoked:
  description: Why the compliant artifact is revoked; empty when it is not.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import LEDGER_OPTIONS
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.arguments import (
    GATE_OPTIONS,
    POLICY_OPTION,
    PROMOTION_OPTIONS,
    SERVICES_OPTION,
    promoter,
    scanners_of,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.recheck import recheck

_SHOWN = ("gate", "verdict", "reason", "observed", "required", "object", "policy", "next_check")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            **PROMOTION_OPTIONS,
            **SERVICES_OPTION,
            **POLICY_OPTION,
            "gates": {"type": "list", "elements": "str"},
            "recheck": {"type": "bool", "default": False},
            **GATE_OPTIONS,
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        engine = promoter(params, dry_run=module.check_mode)
        scanners = scanners_of(params)
        revoked = None
        if params["recheck"]:
            entries, changed, revoked = recheck(engine, params["service"], scanners, params["gates"])
        else:
            entries, changed = engine.evaluate(params["service"], scanners, params["gates"] or engine.policy.gates)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    verdicts = [
        {key: entry.data[key] for key in _SHOWN if key in entry.data} | {"entry": entry.id} for entry in entries
    ]
    allowed = bool(verdicts) and all(verdict["verdict"] == "allow" for verdict in verdicts)
    module.exit_json(changed=changed, verdicts=verdicts, allowed=allowed, revoked=revoked)


if __name__ == "__main__":
    main()
