#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore a damaged ledger from its copy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence_repair
short_description: Restore a damaged ledger from its copy
version_added: "0.1.0"
description:
  - Keeps the longest chain of entries that can be proven, from the lines of the ledger and of its copy and from the
    entry bundles of both, checked against everything that was signed and against the head in Vault. Restores objects
    from the copy, and makes checkpoints and tiles again.
  - The damaged files are moved below C(damaged/) in the ledger, and an entry C(repaired) names them and says what was
    kept, what came from the copy and what is lost.
  - A frozen segment has to be what the first entry of the next one names, which proves all of it; it is restored to
    just that, and takes no entry. The segment that takes entries says what was done to it. A segment of which nothing
    is left is copied back, or begun again. A folder that is no segment of this ledger is set aside.
  - A loss is only accepted with O(accept_loss). The head in Vault is then moved to the repaired ledger by
    check-and-set, and what it was before stays to be seen there and in the entry. Of a frozen segment the head in Vault
    stays, and says from then on that entries of it are lost.
  - A ledger that is intact is left alone.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
options:
  copy:
    description: Folder of the copy that M(golden_goose.compliance.evidence_backup) keeps.
    type: path
  vault_approle:
    description:
      - File with the promoter's Vault credentials. What is signed there counts before all else.
      - A Vault that does not answer, or a file that is not there, is a warning. What is known is then what ledger and
        copy have.
    type: path
  keys:
    description:
      - The only public keys that may have signed the ledger, each as C(<origin>+<id>+<base64>).
      - By default those that Vault knows, without Vault those that the copy names.
    type: list
    elements: str
  accept_loss:
    description: Whether entries that can be restored from nowhere are given up. Find out why they are gone before.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in check mode; it says what would be kept, taken from the copy and lost.
    support: full
  diff_mode:
    description: There is nothing to show in diff mode.
    support: none
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing.
    support: full
seealso:
  - module: golden_goose.compliance.evidence_verify
  - module: golden_goose.compliance.evidence_backup
requirements:
  - cryptography
  - hvac, with O(vault_approle)
"""

EXAMPLES = r"""
- name: Restore what the copy has
  golden_goose.compliance.evidence_repair:
    ledger: /var/lib/golden-goose/ledger
    copy: /var/backups/golden-goose/ledger
    vault_approle: /etc/golden-goose/vault/promoter-approle.json
    metadata: "{{ golden_goose_evidence_metadata }}"
"""

RETURN = r"""
summary:
  description: What was done in one sentence; in check mode what would be.
  returned: success
  type: str
  sample: 42 entries are kept, 3 of them from the copy; nothing is lost.
repair:
  description: The same in parts.
  returned: success
  type: dict
  contains:
    kept:
      description: Number of entries that can be proven.
      type: int
    head:
      description: Hash of the last of them.
      type: str
    proven:
      description: How many of these lead to a root that was signed; the others rest on the chain and on the copy.
      type: int
    from_copy:
      description: How many of them the ledger did not have any more.
      type: int
    lost:
      description: How many entries can be restored from nowhere.
      type: int
    doubtful:
      description: How many sound lines contradict what is kept, without anything signed against them.
      type: int
    objects:
      description: How many objects come from the copy.
      type: int
    sequence:
      description: Sequence of the last entry about it, in the segment that takes entries; null when none is needed.
      type: int
    set_aside:
      description: Where in the folder of the first damaged segment the damaged files are.
      type: str
    planted:
      description: Numbers of the folders that are no segments of this ledger.
      type: list
      elements: int
    segments:
      description: The segments that were damaged, each with its C(segment) and its part of the figures above.
      type: list
      elements: dict
    state:
      description: What a verification says of the ledger, afterwards or in check mode before.
      type: str
plan:
  description: As RV(repair), what could be done.
  returned: when a loss was not accepted
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import LEDGER_OPTIONS, audit_metadata
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.repairing import (
    repair_evidence,
    second_place,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Key


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            "copy": {"type": "path"},
            "vault_approle": {"type": "path"},
            "keys": {"type": "list", "elements": "str", "no_log": False},
            "accept_loss": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        second, absent = second_place(params["vault_approle"])
        done, warning = repair_evidence(
            params["ledger"],
            params["copy"],
            audit_metadata(params),
            origin=params["origin"],
            keys=[Key.parse(text) for text in params["keys"]] if params["keys"] else None,
            second=second,
            accept_loss=params["accept_loss"],
            dry_run=module.check_mode,
        )
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    for text in filter(None, (absent, warning)):
        module.warn(text)
    module.exit_json(changed=done.changed or done.behind, summary=done.sentence(), repair=done.as_dict())


if __name__ == "__main__":
    main()
