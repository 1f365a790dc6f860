#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the status of services from the ledger."""

from __future__ import annotations

DOCUMENTATION = r"""
module: status_info
short_description: Read from the ledger which stage services are in and what is to be done
version_added: "0.1.0"
description:
  - Returns one row for each service, with the columns Date, Service, Stage, Evidence and Next Steps.
  - The same is returned as a Markdown table.
  - A ledger that does not hold is no error here. It is reported as the first thing to do.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
options:
  service:
    description: Only this service. By default every service that the ledger knows.
    type: str
attributes:
  check_mode:
    description: Can run in check mode without making changes.
    support: full
  diff_mode:
    description: Reports what was changed, or would be, in diff mode.
    support: none
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Read the status table
  golden_goose.compliance.status_info:
    ledger: /var/lib/golden-goose/ledger
  register: status
"""

RETURN = r"""
rows:
  description: One row for each service.
  returned: success
  type: list
  elements: dict
  contains:
    date:
      description: Date of the last evidence about the service.
      type: str
    service:
      description: Name of the service.
      type: str
    stage:
      description: V(sandbox→compliant), V(sandbox), or V(-) when it was never deployed.
      type: str
    evidence:
      description: The C(hash_chain_id), or V(-).
      type: str
    next_steps:
      description: What is to be done.
      type: list
      elements: str
markdown:
  description: The rows as a Markdown table.
  returned: success
  type: str
chain:
  description: State of the ledger, as M(golden_goose.compliance.evidence_verify) reports it.
  returned: success
  type: str
  sample: intact
summary:
  description: The state of the ledger in one sentence.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import LEDGER_OPTIONS, open_ledger
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.status import status


def main() -> None:
    module = AnsibleModule(argument_spec={**LEDGER_OPTIONS, "service": {"type": "str"}}, supports_check_mode=True)
    try:
        found = status(open_ledger(module.params), module.params["service"] or None)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(
        changed=False,
        rows=[row.as_dict() for row in found.rows],
        markdown=found.markdown(),
        chain=found.chain,
        summary=found.summary,
    )


if __name__ == "__main__":
    main()
