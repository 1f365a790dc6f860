#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell where promotions stand."""

from __future__ import annotations

DOCUMENTATION = r"""
module: promotion_info
short_description: Tell where the promotions of services stand
version_added: "0.1.0"
description:
  - Returns all promotions in the ledger and what is compliant now. The ledger is all that it reads.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
options:
  service:
    description: Only this service; by default all.
    type: str
attributes:
  check_mode:
    description: Can run in check mode without making changes.
    support: full
  diff_mode:
    description: There is nothing to show in diff mode.
    support: none
  idempotent:
    description: The module never changes anything.
    support: full
seealso:
  - module: golden_goose.compliance.promotion
"""

EXAMPLES = r"""
- name: See what is compliant
  golden_goose.compliance.promotion_info:
    ledger: /var/lib/golden-goose/ledger
  register: promotions
"""

RETURN = r"""
services:
  description: One item for each service that was ever requested, by name.
  returned: success
  type: dict
  contains:
    compliant:
      description: The digest that is compliant now; none when nothing is.
      type: str
    hash_chain_id:
      description: Hash of the entry that made it so.
      type: str
    history:
      description: Digests that a rollback can go back to, oldest first, and the one that is compliant now.
      type: list
      elements: str
    revoked:
      description: Why what is compliant no longer passes, if so.
      type: str
    open:
      description: Id of the promotion that is not finished, if there is one.
      type: str
    promotions:
      description: All promotions, oldest first, with id, digest, phase, plan, requested_at, requested_by and verdicts.
      type: list
      elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import LEDGER_OPTIONS, open_ledger
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.summary import summaries


def main() -> None:
    module = AnsibleModule(argument_spec={**LEDGER_OPTIONS, "service": {"type": "str"}}, supports_check_mode=True)
    try:
        found = summaries(open_ledger(module.params).entries(), module.params["service"])
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=False, services=found)


if __name__ == "__main__":
    main()
