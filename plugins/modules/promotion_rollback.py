#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a service back to what was compliant before."""

from __future__ import annotations

DOCUMENTATION = r"""
module: promotion_rollback
short_description: Take a service back to what was compliant before
version_added: "0.1.0"
description:
  - Makes C(compliant) run the digest that it ran before the last promotion, with the manifests that were rolled out
    with it, and writes that down. No gate is evaluated; neither Vault nor the source of the service is needed.
  - A promotion that has started and was never finished is what is taken back first.
  - Right after a rollback, another one without O(digest) changes nothing.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
  - golden_goose.compliance.promotion
options:
  reason:
    description: Why; it becomes part of the evidence.
    type: str
    required: true
  digest:
    description: Go back to this digest, which must have been compliant and not rolled back since.
    type: str
  remove:
    description: Where nothing was compliant before, take the service out of C(compliant).
    type: bool
    default: false
  rollout_timeout:
    description: Seconds that the rollout may take to become healthy.
    type: int
    default: 120
attributes:
  check_mode:
    description: Can run in check mode without making changes.
    support: full
  diff_mode:
    description: There is nothing to show in diff mode.
    support: none
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing.
    support: full
seealso:
  - module: golden_goose.compliance.promotion
"""

EXAMPLES = r"""
- name: Take the service back
  golden_goose.compliance.promotion_rollback:
    ledger: /var/lib/golden-goose/ledger
    metadata: "{{ golden_goose_evidence_metadata }}"
    service: service-a
    kubeconfig: /etc/golden-goose/kubernetes/promoter.kubeconfig
    reason: It answers too slowly
"""

RETURN = r"""
outcome:
  description: C(rolled_back), C(removed) or C(unchanged).
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
  description: The artifact that is compliant now; none after a removal.
  returned: success
  type: str
promotion_id:
  description: Id of the promotion that was taken back.
  returned: when something was taken back
  type: str
hash_chain_id:
  description: Hash of the entry that had made this digest compliant.
  returned: when a digest is compliant again
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import LEDGER_OPTIONS
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.arguments import (
    PROMOTION_OPTIONS,
    promoter,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.rollback import roll_back


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            **PROMOTION_OPTIONS,
            "reason": {"type": "str", "required": True},
            "digest": {"type": "str"},
            "remove": {"type": "bool", "default": False},
            "rollout_timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        engine = promoter(params, dry_run=module.check_mode)
        outcome = roll_back(engine, params["service"], params["reason"], params["digest"], params["remove"])
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(**outcome.as_dict())


if __name__ == "__main__":
    main()
