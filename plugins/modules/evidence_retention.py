#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drop objects of the ledger past a date."""

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence_retention
short_description: Drop objects of the ledger past a date
version_added: "0.1.0"
description:
  - Removes large files (reports, manifests) that only entries from before a date refer to, from the ledger and from
    its copy. The entries stay as they are, with the digests and sizes of what they refer to.
  - An entry C(objects_dropped) lists what is dropped, and is in ledger and copy before anything is removed. From then
    on it is reported as dropped; what is missing without such an entry still makes the evidence incomplete.
  - Sealed plans are never dropped, nor is anything about what is deployed in sandbox, compliant now, what a rollback
    goes back to, or a promotion that is not finished; nor what was kept within the last hour.
  - A ledger that is broken or lacks an object is refused.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
options:
  before:
    description: Date, C(YYYY-MM-DD) in UTC; objects of entries from that day on are kept.
    type: str
  keep_days:
    description: How many days up to today to keep, instead of O(before).
    type: int
  reason:
    description: Why; the entry says so.
    type: str
    default: retention
  copy:
    description: Folder of the copy that M(golden_goose.compliance.evidence_backup) keeps; its objects are dropped, too.
    type: path
attributes:
  check_mode:
    description: Can run in check mode; it lists what would be dropped.
    support: full
  diff_mode:
    description: There is nothing to show in diff mode.
    support: none
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing.
    support: full
seealso:
  - module: golden_goose.compliance.evidence_backup
  - module: golden_goose.compliance.evidence_verify
"""

EXAMPLES = r"""
- name: Keep reports for two years
  golden_goose.compliance.evidence_retention:
    ledger: /var/lib/golden-goose/ledger
    copy: /var/backups/golden-goose/ledger
    keep_days: 730
    reason: records of sandbox are kept for two years
    metadata: "{{ golden_goose_evidence_metadata }}"
"""

RETURN = r"""
retention:
  description: What was dropped; in check mode what would be.
  returned: success
  type: dict
  contains:
    before:
      description: The first moment that is kept.
      type: str
      sample: "2025-09-25T00:00:00.000Z"
    objects:
      description: The objects that are newly dropped.
      type: list
      elements: dict
      contains:
        sha256:
          description: Digest of the object.
          type: str
        size:
          description: Its size in bytes.
          type: int
    bytes:
      description: Size of all of them.
      type: int
    removed_files:
      description: How many files were removed, in ledger and copy.
      type: int
    kept:
      description: How many older objects are kept, because they are needed or were used a moment ago.
      type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import (
    LEDGER_OPTIONS,
    audit_metadata,
    open_ledger,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.retention import cut_off, drop_objects


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            "before": {"type": "str"},
            "keep_days": {"type": "int"},
            "reason": {"type": "str", "default": "retention"},
            "copy": {"type": "path"},
        },
        mutually_exclusive=[("before", "keep_days")],
        required_one_of=[("before", "keep_days")],
        supports_check_mode=True,
    )
    params = module.params
    try:
        done = drop_objects(
            open_ledger(params),
            cut_off(params["before"], params["keep_days"]),
            audit_metadata(params),
            reason=params["reason"],
            copy=params["copy"],
            dry_run=module.check_mode,
        )
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=done.changed, retention=done.as_dict())


if __name__ == "__main__":
    main()
