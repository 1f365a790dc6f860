#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seal what is to be promoted, and settle it when it has run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: promotion_plan
short_description: Seal what is to be promoted, and settle it when it has run
version_added: "0.1.0"
description:
  - With O(state=sealed) it fixes what is promoted - services, digests, order, gates with their thresholds, policy - and
    returns the hash of that. The hash is what people approve and what every entry of the promotions names. The same
    wish has the same hash, and nothing is written twice.
  - Where the policy has a quorum, who asks signs the plan with a key in Vault that only they can use (option O(vault)).
  - With O(request=true) every service of the plan is requested as well, as M(golden_goose.compliance.promotion) does
    it, and it is told which gates have still to be asked about which.
  - With O(state=settled) it tells what became of a plan, and fails when a service of it is not compliant. Where the
    policy says V(all_or_nothing) it first takes back what the plan has promoted. With O(vault_approle) the copy in
    O(backup) is brought up to date and the ledger anchored, whatever became of the plan.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
  - golden_goose.compliance.promotion.engine
  - golden_goose.compliance.promotion.services
  - golden_goose.compliance.promotion.policy
  - golden_goose.compliance.promotion.vault
options:
  state:
    description: Seal a plan, or settle one that has run.
    type: str
    choices: [sealed, settled]
    default: sealed
  services:
    description:
      - Names of the services; a name that is given twice counts once. Needed to seal a plan.
      - The members of a plan never change.
    type: list
    elements: str
    default: []
  digests:
    description: Artifacts by service, where it is not what sandbox runs.
    type: dict
    default: {}
  plan:
    description: Hash of a plan that is sealed already, to be shown or settled.
    type: str
  request:
    description: Request the services of the plan. Only used when O(state=sealed).
    type: bool
    default: false
  vault_approle:
    description: File with the promoter's Vault credentials. Only used when O(state=settled).
    type: path
  rollout_timeout:
    description: Seconds that it may take to put one service back.
    type: int
    default: 120
attributes:
  check_mode:
    description: Can run in check mode; the plan and its hash are returned, nothing is written.
    support: full
  diff_mode:
    description: Shows the digests that would become compliant beside those that are.
    support: full
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing.
    support: full
seealso:
  - module: golden_goose.compliance.promotion
  - module: golden_goose.compliance.promotion_approval
"""

EXAMPLES = r"""
- name: Seal a plan for two services
  golden_goose.compliance.promotion_plan:
    ledger: /var/lib/golden-goose/ledger
    metadata: "{{ golden_goose_evidence_metadata }}"
    services: [service-a, service-b]
    services_dir: services
    kubeconfig: /etc/golden-goose/kubernetes/promoter.kubeconfig
    policy: {order: dependency, on_failure: all_or_nothing}
  register: promotion_plan
"""

RETURN = r"""
plan:
  description: Hash of the plan.
  returned: success
  type: str
order:
  description: The services in the order in which they are promoted.
  returned: success
  type: list
  elements: str
waves:
  description: The same, in waves; the services of one wave may be promoted side by side.
  returned: success
  type: list
  elements: list
on_failure:
  description: C(stop), C(continue) or C(all_or_nothing).
  returned: success
  type: str
policy:
  description: Id of the policy.
  returned: success
  type: str
quorum:
  description: How many people have to approve.
  returned: success
  type: int
gates:
  description: The gates that have to allow.
  returned: success
  type: list
  elements: str
requested_by:
  description: Who asked for the plan.
  returned: success
  type: str
approved_by:
  description: Who has approved it, of those whose approval counts. Their signatures are checked when it is promoted.
  returned: success
  type: list
  elements: str
missing_approvals:
  description: How many people still have to approve it.
  returned: success
  type: int
next:
  description: What can be done next, in words, with the whole hash.
  returned: success
  type: str
services:
  description: What is sealed of each service.
  returned: success
  type: dict
members:
  description:
    - What came of requesting each service, by name, with what M(golden_goose.compliance.promotion) returns of it.
    - C(missing) are the gates that have no verdict of it yet, C(stopped_by) is the sentence that refuses it, if one
      does.
  returned: when O(request=true)
  type: dict
outcomes:
  description: What became of each service, as outcome, digest, hash_chain_id and reason.
  returned: when O(state=settled)
  type: dict
taken_back:
  description: The services that were taken back because another of the plan is not compliant.
  returned: when O(state=settled)
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import LEDGER_OPTIONS
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.arguments import (
    ENGINE_OPTIONS,
    POLICY_OPTION,
    SERVICES_OPTION,
    VAULT_OPTION,
    promoter,
    requester_of,
    requester_sign,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.course import (
    request_members,
    settle_and_keep,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.next_steps import briefing
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.plan import load_plan
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.sealing import make_plan
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.settle import (
    compliant_digests,
    described,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.standing import Standing


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            **ENGINE_OPTIONS,
            **SERVICES_OPTION,
            **POLICY_OPTION,
            **VAULT_OPTION,
            "state": {"type": "str", "choices": ["sealed", "settled"], "default": "sealed"},
            "services": {"type": "list", "elements": "str", "default": []},
            "digests": {"type": "dict", "default": {}},
            "plan": {"type": "str"},
            "request": {"type": "bool", "default": False},
            "vault_approle": {"type": "path"},
            "rollout_timeout": {"type": "int", "default": 120},
        },
        required_if=[("state", "settled", ["plan"])],
        supports_check_mode=True,
    )
    params = module.params
    result = dict[str, Any]()
    try:
        engine = promoter(params, dry_run=module.check_mode, keeping=True)
        if params["state"] == "settled":
            settled = settle_and_keep(engine, params["plan"])
            plan, changed = settled.plan, bool(settled.taken_back)
            result = {"outcomes": settled.outcomes, "taken_back": settled.taken_back}
            if settled.missing:
                raise GoldenGooseError(settled.sentence(), **result)
        elif params["plan"]:
            plan, changed = load_plan(engine.evidence, params["plan"]), False
        else:
            sign = requester_sign(params)
            plan, changed = make_plan(engine, params["services"], params["digests"], requester_of(params), sign)
        if params["request"] and params["state"] == "sealed":
            result["members"] = request_members(engine, plan)
            changed = changed or any(came["changed"] for came in result["members"].values())
        before = compliant_digests(engine, plan)
        people = briefing(plan, Standing.of(engine.evidence.entries()))
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    after = {name: plan.item(name)["digest"] for name in plan.services}
    module.exit_json(changed=changed, **described(plan), **people, **result, diff={"before": before, "after": after})


if __name__ == "__main__":
    main()
