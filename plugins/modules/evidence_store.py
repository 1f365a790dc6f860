#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create the folder of a ledger."""

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence_store
short_description: Create the ledger
version_added: "0.1.0"
description:
  - Makes an empty ledger where there is none, readable by its owner and group only.
  - A ledger that is there is left alone; one of another origin is an error.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
options:
  origin:
    description:
      - Name of the ledger, for example V(golden-goose.local/sandbox). Every hash depends on it.
    required: true
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
- name: Create the ledger
  golden_goose.compliance.evidence_store:
    ledger: /var/lib/golden-goose/ledger
    origin: golden-goose.local/sandbox
"""

RETURN = r"""
origin:
  description: Name of the ledger.
  returned: success
  type: str
  sample: golden-goose.local/sandbox
size:
  description: Number of entries in it.
  returned: success
  type: int
  sample: 0
head:
  description: Hash of the last entry, or of the origin when there are none.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import LEDGER_OPTIONS
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.keeping import create


def main() -> None:
    module = AnsibleModule(
        argument_spec={**LEDGER_OPTIONS, "origin": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    params = module.params
    try:
        changed, head = create(params["ledger"], params["origin"], dry_run=module.check_mode)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=changed, origin=params["origin"], size=head.size, head=head.hash)


if __name__ == "__main__":
    main()
