#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Append one entry to the ledger."""

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence_append
short_description: Append one entry of evidence to the ledger
version_added: "0.1.0"
description:
  - Appends one hash-chained entry. When the module returns, the entry is on disk.
  - An unfinished last line, left by a killed writer, is set aside first, and an entry says so.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
options:
  type:
    description: What kind of evidence this is.
    type: str
    choices: [promotion, validation]
    required: true
  event:
    description: What happened, a lower-case name; it becomes C(data.event).
    type: str
    required: true
  data:
    description:
      - What there is to say. Credentials are refused.
    type: dict
    default: {}
  id:
    description:
      - A UUID that makes the call repeatable. The same id and content again changes nothing; other content is an error.
      - By default each call makes a new entry.
    type: str
attributes:
  check_mode:
    description: Can run in check mode without making changes.
    support: full
  diff_mode:
    description: Reports what was changed, or would be, in diff mode.
    support: none
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing.
    support: partial
    details: Only when O(id) is given.
seealso:
  - module: golden_goose.compliance.evidence_info
  - module: golden_goose.compliance.evidence_verify
"""

EXAMPLES = r"""
- name: Record that the release meeting agreed
  golden_goose.compliance.evidence_append:
    ledger: /var/lib/golden-goose/ledger
    metadata: "{{ golden_goose_evidence_metadata }}"
    type: validation
    event: review
    data:
      service: service-a
      outcome: agreed
"""

RETURN = r"""
entry:
  description: The entry as it stands in the ledger.
  returned: success, except in check mode when the entry would be new
  type: dict
  sample:
    sequence: 41
    id: 8a1f6a0e-6c1a-4f3a-8f0e-0c6f2a9f8b11
    type: validation
    timestamp: "2025-09-25T10:15:30.123Z"
    data: {event: review, service: service-a, outcome: agreed}
    metadata: {sprint: "1", provisional: true}
    hash: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
    previous_hash: fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import (
    LEDGER_OPTIONS,
    audit_metadata,
    open_ledger,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            "type": {"type": "str", "choices": ["promotion", "validation"], "required": True},
            "event": {"type": "str", "required": True},
            "data": {"type": "dict", "default": {}},
            "id": {"type": "str"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        ledger = open_ledger(params)
        said = {
            "type": params["type"],
            "event": params["event"],
            "data": params["data"],
            "metadata": audit_metadata(params),
            "id": params["id"],
        }
        if module.check_mode:
            known = ledger.preview(**said)
            module.exit_json(changed=known is None, **({"entry": known.as_dict()} if known else {}))
        appended = ledger.append(**said)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=appended.changed, entry=appended.entry.as_dict())


if __name__ == "__main__":
    main()
