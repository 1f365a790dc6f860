#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a service to compliant."""

from __future__ import annotations

DOCUMENTATION = r"""
module: promotion
short_description: Request a promotion, or take a service to compliant
version_added: "0.1.0"
description:
  - With O(state=requested) it asks for the artifact that sandbox runs to become the compliant one, or resumes a
    promotion of it that is not finished. When the service is compliant with it and the cluster shows it, nothing is
    written.
  - With O(state=compliant) it is the choke point. Every required gate must have written C(allow) for this promotion and
    digest into the ledger, and a missing verdict is a deny. The verdicts are signed with the key in Vault, the
    manifests are applied, and when the rollout is healthy and the service answers, the promotion is completed. A
    rollout that does not become healthy is put back to the digest before.
  - With O(whole=true) it does all of a promotion in one call, seals the plan, requests, has the gates that have no
    verdict yet evaluated, passes the choke point, and when the service is compliant brings the copy in O(backup) up to
    date and anchors the ledger in Vault. After a refusal nothing is copied and nothing is signed.
  - Every step first looks for its own entry in the ledger, so a run that was killed is finished by running it again.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
  - golden_goose.compliance.promotion
  - golden_goose.compliance.promotion.services
  - golden_goose.compliance.promotion.policy
  - golden_goose.compliance.promotion.gates
  - golden_goose.compliance.promotion.vault
options:
  state:
    description: How far to go.
    type: str
    choices: [requested, compliant]
    required: true
  whole:
    description:
      - With O(state=compliant), do also what comes before the choke point and what comes after the rollout.
      - O(prometheus), O(images_dir), O(vulnerabilities), O(said), O(semgrep_rules) and O(timeout) are for its gates,
        and O(vault) proves who asks.
    type: bool
    default: false
  digest:
    description:
      - Digest of the artifact to request, V(sha256:...). By default it is the one that sandbox runs.
      - Only used when O(state=requested) or O(whole=true).
    type: str
  plan:
    description:
      - Hash of the sealed plan to promote under, as M(golden_goose.compliance.promotion_plan) returned it. What has
        changed since it was sealed is refused, with what differs.
      - By default a plan is sealed for this service alone.
      - Only used when O(state=requested) or O(whole=true).
    type: str
  requested_by:
    description: Who asks; by default the login name of the user that the module runs as.
    type: str
  vault_approle:
    description: File with the promoter's Vault credentials; needed when O(state=compliant).
    type: path
  rollout_timeout:
    description: Seconds that a rollout may take to become healthy, and the service to answer.
    type: int
    default: 120
attributes:
  check_mode:
    description: Can run in check mode; the API server checks the manifests, nothing is written.
    support: full
  diff_mode:
    description: With O(whole=true) it shows the digest that becomes compliant beside the one that is.
    support: partial
    details:
      - The single steps have nothing to show.
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing.
    support: full
seealso:
  - module: golden_goose.compliance.promotion_gate
  - module: golden_goose.compliance.promotion_rollback
"""

EXAMPLES = r"""
- name: Request the promotion
  golden_goose.compliance.promotion:
    ledger: /var/lib/golden-goose/ledger
    metadata: "{{ golden_goose_evidence_metadata }}"
    service: service-a
    services_dir: services
    kubeconfig: /etc/golden-goose/kubernetes/promoter.kubeconfig
    state: requested

- name: Take it to compliant
  golden_goose.compliance.promotion:
    ledger: /var/lib/golden-goose/ledger
    metadata: "{{ golden_goose_evidence_metadata }}"
    service: service-a
    services_dir: services
    kubeconfig: /etc/golden-goose/kubernetes/promoter.kubeconfig
    vault_approle: /etc/golden-goose/vault/promoter-approle.json
    state: compliant

- name: Promote it in one call
  golden_goose.compliance.promotion:
    ledger: /var/lib/golden-goose/ledger
    metadata: "{{ golden_goose_evidence_metadata }}"
    service: service-a
    services_dir: services
    kubeconfig: /etc/golden-goose/kubernetes/promoter.kubeconfig
    vault_approle: /etc/golden-goose/vault/promoter-approle.json
    backup: /var/backups/golden-goose/ledger
    state: compliant
    whole: true
"""

RETURN = r"""
outcome:
  description: C(requested), C(unchanged) or C(compliant).
  returned: success
  type: str
service:
  description: Name of the service.
  returned: success
  type: str
reason:
  description: What the outcome means, in words.
  returned: success
  type: str
digest:
  description: The artifact.
  returned: success
  type: str
promotion_id:
  description: Id of the request, which all entries of the promotion name.
  returned: success
  type: str
hash_chain_id:
  description: Hash of the entry that made the service compliant with this digest.
  returned: when the service is compliant
  type: str
plan:
  description: Hash of the sealed plan.
  returned: when O(whole=true)
  type: str
denied:
  description: Gates that did not allow, each with verdict, reason, observed and required.
  returned: when a gate stopped the promotion
  type: list
  elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import LEDGER_OPTIONS
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.arguments import (
    GATE_OPTIONS,
    POLICY_OPTION,
    PROMOTION_OPTIONS,
    SERVICES_OPTION,
    VAULT_OPTION,
    promoter,
    requester_of,
    requester_sign,
    scanners_of,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.course import run_course


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            **PROMOTION_OPTIONS,
            **SERVICES_OPTION,
            **POLICY_OPTION,
            **GATE_OPTIONS,
            **VAULT_OPTION,
            "state": {"type": "str", "choices": ["requested", "compliant"], "required": True},
            "whole": {"type": "bool", "default": False},
            "digest": {"type": "str"},
            "plan": {"type": "str"},
            "requested_by": {"type": "str"},
            "vault_approle": {"type": "path"},
            "rollout_timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    params = module.params
    name, digest, plan, more = params["service"], params["digest"], params["plan"], dict[str, Any]()
    whole = params["whole"] and params["state"] == "compliant"
    try:
        engine = promoter(params, dry_run=module.check_mode, keeping=whole)
        if whole:
            requester, sign = requester_of(params), requester_sign(params)
            course = run_course(engine, name, requester, scanners_of(params), digest, plan, sign)
            outcome = course.outcome
            more = {"changed": course.changed, "plan": course.plan.sha256}
            more["diff"] = {"before": {name: course.before}, "after": {name: outcome.digest}}
        elif params["state"] == "requested":
            outcome = engine.request(name, digest, requester_of(params), plan)
        else:
            with engine.evidence.reading.once():
                outcome = engine.promote(name)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(**(outcome.as_dict() | more))


if __name__ == "__main__":
    main()
