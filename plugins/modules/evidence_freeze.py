#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Freeze the ledger and continue it in a new segment."""

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence_freeze
short_description: Freeze the ledger and continue it in a new segment
version_added: "0.1.0"
description:
  - Appends an entry that ends the ledger's last segment and names the next one, has the head signed, and keeps it in
    Vault as the last one of that segment. Then it begins the next segment, whose first entry names that head.
  - A frozen segment takes no entry any more. It stays where it is and is part of the ledger; what reads the ledger
    reads all of its segments.
  - Nothing is written when Vault does not answer, or contradicts the ledger. A run that was killed is finished by the
    same call; until then the ledger may take no entries.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
options:
  segment:
    description:
      - Number of the segment that the ledger is in afterwards; the first is V(1).
      - The one that it is in already, which changes nothing, or the next.
    type: int
    required: true
  vault_approle:
    description: File with the promoter's Vault credentials, which P(golden_goose.compliance.vault#role) writes.
    type: path
    required: true
  copy:
    description: Folder of the copy that M(golden_goose.compliance.evidence_backup) keeps; it gets the new segment, too.
    type: path
attributes:
  check_mode:
    description: Can run in check mode; it compares the ledger with Vault and writes nothing.
    support: full
  diff_mode:
    description: There is nothing to show in diff mode.
    support: none
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing.
    support: full
seealso:
  - module: golden_goose.compliance.evidence_checkpoint
  - module: golden_goose.compliance.evidence_verify
requirements:
  - cryptography
  - hvac
"""

EXAMPLES = r"""
- name: Go on in the second segment
  golden_goose.compliance.evidence_freeze:
    ledger: /var/lib/golden-goose/ledger
    metadata: "{{ golden_goose_evidence_metadata }}"
    vault_approle: /etc/golden-goose/vault/promoter-approle.json
    copy: /var/backups/golden-goose/ledger
    segment: 2
"""

RETURN = r"""
segment:
  description: Number of the segment that takes entries; in check mode as it is now.
  returned: success
  type: int
origin:
  description: Origin of that segment.
  returned: success
  type: str
  sample: golden-goose.local/sandbox/segment/2
path:
  description: Its folder.
  returned: success
  type: str
frozen:
  description: Head of the segment before, as the first entry names it; null for the first segment and in check mode.
  returned: success
  type: dict
  contains:
    origin:
      description: Its origin.
      type: str
    size:
      description: Number of its entries.
      type: int
    root:
      description: Root of their Merkle tree, base64.
      type: str
    hash:
      description: Hash of the last of them.
      type: str
checkpoint:
  description: First signed head of the new segment, as M(golden_goose.compliance.evidence_checkpoint) returns it; empty
    when nothing was to be done, and in check mode.
  returned: success
  type: dict
kind:
  description: What was done to the ledger or to Vault, for example V(segment_missing), V(predecessor) or V(vault_lost).
  returned: when the ledger and Vault contradict each other
  type: str
sequence:
  description: The first entry that is gone or cannot be believed.
  returned: when the ledger and Vault contradict each other
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import (
    LEDGER_OPTIONS,
    audit_metadata,
    open_ledger,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.anchoring import (
    freeze_ledger,
    vault_heads,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            "segment": {"type": "int", "required": True},
            "vault_approle": {"type": "path", "required": True},
            "copy": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        done = freeze_ledger(
            open_ledger(params, edge=False),
            vault_heads(params["vault_approle"]),
            audit_metadata(params),
            params["segment"],
            copy=params["copy"],
            dry_run=module.check_mode,
        )
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(**done)


if __name__ == "__main__":
    main()
