#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove that an entry is in the ledger, or that the ledger only grew."""

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence_proof_info
short_description: Prove that an entry is in the ledger, or that the ledger only grew
version_added: "0.1.0"
description:
  - With O(sequence) or O(id) it gives the inclusion proof of that entry as C2SP tlog-proof. With the public key, an
    auditor who has neither the ledger nor a network checks it with C(golden-goose-verify) or any other tool for such
    proofs.
  - With O(since) it gives the consistency proof from that checkpoint to the latest one, as an add-checkpoint request of
    C2SP tlog-witness.
  - An entry that no checkpoint has yet cannot be proven, and is an error.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
options:
  sequence:
    description: Number of the entry, from 0.
    type: int
  id:
    description: Id of the entry.
    type: str
  segment:
    description:
      - Segment that O(sequence) or O(since) is of, when the ledger was frozen; by default the last.
    type: int
  since:
    description: Number of entries of an older checkpoint.
    type: int
attributes:
  check_mode:
    description: Can run in check mode without making changes.
    support: full
  diff_mode:
    description: There is nothing to show in diff mode.
    support: none
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing.
    support: full
seealso:
  - module: golden_goose.compliance.evidence_checkpoint
requirements:
  - cryptography
"""

EXAMPLES = r"""
- name: Prove that entry 41 is in the ledger
  golden_goose.compliance.evidence_proof_info:
    ledger: /var/lib/golden-goose/ledger
    sequence: 41
  register: proof

- name: Hand it to the auditor
  ansible.builtin.copy:
    content: "{{ proof.proof }}"
    dest: /tmp/entry-41.tlog-proof
    mode: "0644"
"""

RETURN = r"""
proof:
  description: The proof as text.
  returned: success
  type: str
entry:
  description: The line of the entry that the proof is of, without its line feed; null for a consistency proof.
  returned: success
  type: str
sequence:
  description: Number of that entry; null for a consistency proof.
  returned: success
  type: int
segment:
  description: Number of the ledger's segment that the proof is of.
  returned: success
  type: int
checkpoint:
  description: The signed head that the proof leads to.
  returned: success
  type: str
key:
  description: The public key that signed it.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import LEDGER_OPTIONS, open_ledger
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.proofs import prove


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            "sequence": {"type": "int"},
            "id": {"type": "str"},
            "since": {"type": "int"},
            "segment": {"type": "int"},
        },
        mutually_exclusive=[("sequence", "id", "since")],
        required_one_of=[("sequence", "id", "since")],
        supports_check_mode=True,
    )
    params = module.params
    try:
        given = {name: params[name] for name in ("sequence", "id", "since", "segment")}
        found = prove(open_ledger(params), **given)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
