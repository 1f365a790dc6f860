#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify the whole ledger."""

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence_verify
short_description: Verify every entry and object of the ledger
version_added: "0.1.0"
description:
  - Recomputes every hash and link from the bytes of the ledger, and the hash of every object that an entry refers to.
  - Fails unless the ledger is intact, and says which entry does not hold. A ledger without entries is no success.
  - Nothing is written.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
options:
  copy:
    description:
      - Folder of the copy that M(golden_goose.compliance.evidence_backup) keeps.
      - The ledger must still have every entry that the copy has. Cut-off last entries are noticed only this way.
    type: path
  vault_approle:
    description:
      - File with the promoter's Vault credentials. The ledger is then compared with the head that Vault keeps.
      - A Vault that does not answer, or a file that is not there, says nothing about the evidence, and is a warning.
    type: path
  keys:
    description:
      - The only public keys that may have signed the ledger, each as C(<origin>+<id>+<base64>).
      - By default those that the ledger names itself, which whoever can write to it could have changed.
    type: list
    elements: str
  trusted:
    description:
      - File with a checkpoint that was verified before, for example the one that the last audit kept.
      - Only what came after it is looked at, which takes as long however large the ledger is.
    type: path
  required_state:
    description:
      - V(intact) fails on anything else.
      - V(any) only reports.
    type: str
    choices: [intact, any]
    default: intact
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
  - module: golden_goose.compliance.evidence_backup
"""

EXAMPLES = r"""
- name: Prove that no entry was edited, removed or swapped
  golden_goose.compliance.evidence_verify:
    ledger: /var/lib/golden-goose/ledger
    origin: golden-goose.local/sandbox
    copy: /var/backups/golden-goose/ledger
"""

RETURN = r"""
summary:
  description: The finding in one sentence.
  returned: always
  type: str
  sample: All 42 entries of 'golden-goose.local/sandbox' hold, and so do 6 objects.
report:
  description: What was found.
  returned: always
  type: dict
  contains:
    state:
      description: V(intact), V(broken), V(incomplete) or V(nothing_to_verify).
      type: str
    origin:
      description: Name of the ledger.
      type: str
    size:
      description: Number of entries.
      type: int
    head:
      description: Hash of the last entry.
      type: str
    objects:
      description: Number of objects that entries refer to.
      type: int
    dropped:
      description: Number of objects more that retention dropped, as an entry says.
      type: int
    signed:
      description: Number of entries that the latest checkpoint has; 0 without one.
      type: int
    unanchored:
      description: Number of entries that are in no checkpoint yet.
      type: int
    lost:
      description: Number of entries that repairs gave up, as entries say.
      type: int
    losses:
      description: What these entries say, in the words of C(golden-goose-verify).
      type: list
      elements: str
    problem_count:
      description: Number of problems.
      type: int
    problems:
      description: The first hundred problems.
      type: list
      elements: dict
      contains:
        sequence:
          description: The entry concerned; null for the ledger as a whole.
          type: int
        kind:
          description: What kind of problem it is.
          type: str
        message:
          description: What does not hold.
          type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import LEDGER_OPTIONS
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.anchoring import compare_report
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.keeping import check
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Key


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            "copy": {"type": "path"},
            "vault_approle": {"type": "path"},
            "trusted": {"type": "path"},
            "keys": {"type": "list", "elements": "str", "no_log": False},
            "required_state": {"type": "str", "choices": ["intact", "any"], "default": "intact"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        keys = [Key.parse(text) for text in params["keys"]] if params["keys"] else None
        report = check(params["ledger"], params["origin"], params["copy"], keys, params["trusted"])
        warning = compare_report(report, params["ledger"], params["vault_approle"]) if params["vault_approle"] else None
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    if warning:
        module.warn(warning)
    facts = {"changed": False, "summary": report.sentence(), "report": report.as_dict()}
    if module.params["required_state"] == "intact" and not report.intact:
        module.fail_json(msg=report.sentence(), **facts)
    module.exit_json(**facts)


if __name__ == "__main__":
    main()
