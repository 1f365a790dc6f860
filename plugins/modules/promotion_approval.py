#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Approve a sealed plan, or take the approval back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: promotion_approval
short_description: Approve a sealed plan, or take the approval back
version_added: "0.1.0"
description:
  - Writes down that a person approves the plan with the given hash, and nothing else. A plan that is sealed with
    anything changed has another hash and needs new approvals. Who asked for the plan cannot approve it.
  - With O(override=true) the person overrides freezes and stops of the line for this plan. That counts once a second
    person has done the same.
  - What is said is signed in Vault with a key that only this person can use, and the signature is checked before the
    rollout. An approval that was used by a completed promotion does not count again.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
  - golden_goose.compliance.promotion.saying
  - golden_goose.compliance.promotion.vault
options:
  plan:
    description: Hash of the sealed plan, as M(golden_goose.compliance.promotion_plan) returned it.
    type: str
    required: true
  state:
    description: Whether the approval, or the override, is given or withdrawn; to withdraw needs a reason.
    type: str
    choices: [given, withdrawn]
    default: given
  override:
    description:
      - It is about overriding freezes and stops of the line instead of approving; needs a reason.
      - One that was given before the line was stopped does not count against that stop.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in check mode; it says what it would do and writes nothing.
    support: full
  diff_mode:
    description: There is nothing to show in diff mode.
    support: none
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing.
    support: full
seealso:
  - module: golden_goose.compliance.promotion_plan
"""

EXAMPLES = r"""
- name: Approve the plan
  golden_goose.compliance.promotion_approval:
    ledger: /var/lib/golden-goose/ledger
    metadata: "{{ golden_goose_evidence_metadata }}"
    plan: "{{ plan }}"
    reason: the release notes are fine
    vault:
      username: bob
      password: "{{ bobs_password }}"
"""

RETURN = r"""
reason:
  description: What came of it, in words.
  returned: success
  type: str
by:
  description: Who said so, as name, entity and method.
  returned: success
  type: dict
entry:
  description: Id of the entry that was written.
  returned: when something was written
  type: str
services:
  description: The digests that the plan is about, by service.
  returned: success
  type: dict
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
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import LEDGER_OPTIONS
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.arguments import (
    SAYING_OPTIONS,
    VAULT_OPTION,
    evidence_of,
    voice,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.next_steps import briefing
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.people import (
    approve,
    override,
    withdraw,
    withdraw_override,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.plan import load_plan
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.standing import Standing

# By override and state.
SAY = {
    (False, "given"): approve,
    (False, "withdrawn"): withdraw,
    (True, "given"): override,
    (True, "withdrawn"): withdraw_override,
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            **SAYING_OPTIONS,
            **VAULT_OPTION,
            "plan": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["given", "withdrawn"], "default": "given"},
            "override": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        evidence = evidence_of(params, dry_run=module.check_mode)
        with voice(params) as speaker:
            if speaker.sign is None:
                raise GoldenGooseError(
                    "An approval needs a Vault identity, and nothing says who you are: log in to Vault as a person, so "
                    "that playbooks/approve.yml finds your token, or give the option vault."
                )
            say = SAY[params["override"], params["state"]]
            said = say(evidence, speaker, params["plan"], params["reason"])
            by = speaker.identity.as_dict()
        plan = load_plan(evidence, params["plan"])
        people = briefing(plan, Standing.of(evidence.entries()))
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    entry = said.entry.id if said.entry else None
    services = {name: plan.item(name)["digest"] for name in plan.services}
    module.exit_json(changed=said.changed, reason=said.reason, by=by, entry=entry, services=services, **people)


if __name__ == "__main__":
    main()
