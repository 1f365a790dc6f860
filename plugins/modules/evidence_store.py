#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create the folder of a ledger, or remove it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence_store
short_description: Create the ledger, or remove it
version_added: "0.1.0"
description:
  - Makes an empty ledger where there is none, readable by its owner and group only.
  - The entries of a ledger that is there are left alone; one of another origin is an error.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
options:
  origin:
    description:
      - Name of the ledger, for example V(golden-goose.local/sandbox). Every hash depends on it.
    required: true
  state:
    description:
      - V(absent) removes the folder with all evidence in it, whatever its origin, and cannot be undone.
    type: str
    choices: [present, absent]
    default: present
  append_only:
    description:
      - Whether the kernel is to refuse anything but writing at the end of the ledger's file (C(chattr +a)).
      - V(always) fails where that is not possible, V(auto) says so in a warning, V(never) takes it off again.
      - It needs a filesystem that has the attribute, such as ext4, and the capability C(CAP_LINUX_IMMUTABLE).
      - Without this option the file stays as it is.
    type: str
    choices: [auto, always, never]
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
    append_only: auto
"""

RETURN = r"""
origin:
  description: Name of the ledger.
  returned: when O(state=present)
  type: str
  sample: golden-goose.local/sandbox
size:
  description: Number of entries in it.
  returned: when O(state=present)
  type: int
  sample: 0
head:
  description: Hash of the last entry, or of the origin when there are none.
  returned: when O(state=present)
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import LEDGER_OPTIONS
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.keeping import create, remove


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            "origin": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "append_only": {"type": "str", "choices": ["auto", "always", "never"]},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        if params["state"] == "absent":
            module.exit_json(changed=remove(params["ledger"], dry_run=module.check_mode))
        changed, head, warning = create(
            params["ledger"], params["origin"], dry_run=module.check_mode, append_only=params["append_only"]
        )
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    if warning:
        module.warn(warning)
    module.exit_json(changed=changed, origin=params["origin"], size=head.size, head=head.hash)


if __name__ == "__main__":
    main()
