#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the infrastructure that the inventory asks for."""

from __future__ import annotations

DOCUMENTATION = r"""
module: infrastructure_check
short_description: Check the infrastructure that the inventory asks for
version_added: "0.1.0"
description:
  - Stops a play before anything is installed when C(infrastructure) asks for something that the playbooks cannot build,
    such as three nodes in sandbox mode. A refusal becomes an entry of evidence where the ledger exists.
author:
  - Golden Goose founders (@golden-goose)
attributes:
  check_mode:
    description: Can run in check mode; a refusal is not recorded then.
    support: full
  diff_mode:
    description: Changes nothing that has a difference to show.
    support: none
  idempotent:
    description: Changes nothing when the infrastructure can be built.
    support: full
options:
  infrastructure:
    description: The mapping of the requirements, with the parts C(kubernetes), C(vault), C(monitoring) and C(storage).
    type: dict
    required: true
  ledger:
    description: Folder of the ledger, which need not be there.
    type: path
  metadata:
    description: Audit metadata of the entry about a refusal.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Check what the inventory asks for
  golden_goose.compliance.infrastructure_check:
    infrastructure: "{{ infrastructure }}"
"""

RETURN = r"""
problems:
  description: What cannot be built.
  type: list
  elements: str
  returned: failure
recorded:
  description: Id of the entry about the refusal.
  type: str
  returned: failure, where the ledger exists
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.infrastructure import check_and_record

ARGUMENTS = {
    "infrastructure": {"type": "dict", "required": True},
    "ledger": {"type": "path"},
    "metadata": {"type": "dict", "default": {}},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    ledger = Path(given["ledger"]) if given["ledger"] and not module.check_mode else None
    try:
        check_and_record(given["infrastructure"], ledger, given["metadata"])
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
