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
    description: Whether the approval is given or withdrawn; one that is withdrawn needs a reason.
    type: str
    choices: [given, withdrawn]
    default: given
  override:
    description: Override freezes and stops of the line instead of approving; needs a reason.
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
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.people import (
    approve,
    override,
    withdraw,
)


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
                raise GoldenGooseError("An approval needs a Vault identity; say with the option vault who you are.")
            if params["override"]:
                said = override(evidence, speaker, params["plan"], params["reason"])
            elif params["state"] == "withdrawn":
                said = withdraw(evidence, speaker, params["plan"], params["reason"])
            else:
                said = approve(evidence, speaker, params["plan"], params["reason"])
            by = speaker.identity.as_dict()
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    entry = said.entry.id if said.entry else None
    module.exit_json(changed=said.changed, reason=said.reason, by=by, entry=entry)


if __name__ == "__main__":
    main()
