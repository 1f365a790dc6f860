#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the backup of the ledger up to date."""

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence_backup
short_description: Copy the ledger to a second place and verify the copy
version_added: "0.1.0"
description:
  - Adds to the copy what is new in the ledger, entries and objects, then verifies the copy itself.
  - Refuses when the ledger does not hold, or is shorter than or different from its copy, because then the copy is
    what to restore from.
  - With O(metadata), a C(backup) entry in the ledger says that it was done; the copy holds that entry too.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
options:
  target:
    description: Folder of the copy on the managed host, best on another disk.
    type: path
    required: true
  verification:
    description:
      - V(full) verifies and compares all of ledger and copy.
      - V(new) verifies what came since the last backup; changes to older entries and objects are not found.
      - V(auto) is V(full) for a ledger of fewer than 10000 entries, and for a larger one once a day.
    type: str
    choices: [auto, full, new]
    default: auto
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
seealso:
  - module: golden_goose.compliance.evidence_verify
"""

EXAMPLES = r"""
- name: Keep a verified copy of the evidence
  golden_goose.compliance.evidence_backup:
    ledger: /var/lib/golden-goose/ledger
    target: /var/backups/golden-goose/ledger
    metadata: "{{ golden_goose_evidence_metadata }}"
"""

RETURN = r"""
backup:
  description: What the copy holds, and what was added to it. Before copying, in check mode.
  returned: success
  type: dict
  contains:
    size:
      description: Number of entries in the copy.
      type: int
    head:
      description: Hash of the last entry.
      type: str
    target:
      description: Folder of the copy.
      type: str
    copied_bytes:
      description: Bytes of entries that were added.
      type: int
    copied_objects:
      description: Number of objects that were added.
      type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import (
    LEDGER_OPTIONS,
    audit_metadata,
    open_ledger,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.keeping import keep_copy


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            "target": {"type": "path", "required": True},
            "verification": {"type": "str", "choices": ["auto", "full", "new"], "default": "auto"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        metadata = audit_metadata(params) if params["metadata"] else None
        full = {"auto": None, "full": True, "new": False}[params["verification"]]
        kept = keep_copy(open_ledger(params), params["target"], metadata, dry_run=module.check_mode, full=full)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=kept.changed, backup=kept.as_dict())


if __name__ == "__main__":
    main()
