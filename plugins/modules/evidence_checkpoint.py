#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign the head of the ledger and keep it in Vault."""

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence_checkpoint
short_description: Sign the head of the ledger and keep it in Vault
version_added: "0.1.0"
description:
  - Follows the chain over the entries that are new, grows their Merkle tree, has the root signed by the key in Vault's
    transit engine, and keeps it in Vault's KV store by check-and-set.
  - Before that it compares the ledger with the head that Vault keeps. A cut tail, an older copy that was put back, a
    fork, rewritten entries, a checkpoint by a foreign key and a Vault that was made again are each refused, named, and
    nothing is written.
  - Entries are durable without it. Those that are not signed yet are counted as unanchored.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
options:
  vault_approle:
    description: File with the promoter's Vault credentials, which P(golden_goose.compliance.vault#role) writes.
    type: path
    required: true
  copy:
    description: Folder of the copy that M(golden_goose.compliance.evidence_backup) keeps; it gets the checkpoint, too.
    type: path
  vault_required:
    description:
      - Whether a Vault that does not answer is an error.
      - When V(false), a warning says how many entries are not anchored.
    type: bool
    default: true
  accept_replaced:
    description:
      - Take a Vault that was made again or put back to an older state, after the whole ledger was verified with the
        keys that it names. An entry says so.
      - Only for people who know what happened to Vault.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in check mode; it compares the ledger with Vault and signs nothing.
    support: full
  diff_mode:
    description: There is nothing to show in diff mode.
    support: none
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing.
    support: full
seealso:
  - module: golden_goose.compliance.evidence_verify
  - module: golden_goose.compliance.evidence_proof_info
requirements:
  - cryptography
  - hvac
"""

EXAMPLES = r"""
- name: Anchor the evidence
  golden_goose.compliance.evidence_checkpoint:
    ledger: /var/lib/golden-goose/ledger
    metadata: "{{ golden_goose_evidence_metadata }}"
    vault_approle: /etc/golden-goose/vault/promoter-approle.json
    copy: /var/backups/golden-goose/ledger
"""

RETURN = r"""
size:
  description: Number of entries that are signed.
  returned: success
  type: int
unanchored:
  description: Number of entries that are durable but not signed yet.
  returned: success
  type: int
checkpoint:
  description: The signed head; empty in check mode and when Vault does not answer.
  returned: success
  type: dict
  contains:
    size:
      description: Number of entries.
      type: int
    root:
      description: Root of their Merkle tree, base64.
      type: str
    added:
      description: How many of them are new in it.
      type: int
    key:
      description: The public key in the form of a vkey.
      type: str
    checkpoint:
      description: The signed note of C2SP tlog-checkpoint.
      type: str
kind:
  description: What was done to the ledger or to Vault, for example V(cut), V(restored), V(forked) or V(vault_lost).
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
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.anchoring import checkpoint, vault_heads


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            "vault_approle": {"type": "path", "required": True},
            "copy": {"type": "path"},
            "vault_required": {"type": "bool", "default": True},
            "accept_replaced": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        done = checkpoint(
            open_ledger(params, edge=False),
            vault_heads(params["vault_approle"]),
            audit_metadata(params),
            copy=params["copy"],
            required=params["vault_required"],
            accept_replaced=params["accept_replaced"],
            dry_run=module.check_mode,
        )
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    if done.warning:
        module.warn(done.warning)
    module.exit_json(changed=done.changed, size=done.size, unanchored=done.unanchored, checkpoint=done.checkpoint)


if __name__ == "__main__":
    main()
