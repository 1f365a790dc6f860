#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read entries of the ledger."""

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence_info
short_description: Read entries of evidence from the ledger
version_added: "0.1.0"
description:
  - Returns the head of the ledger and the entries that match all the given filters, in order.
  - Every entry read is checked to follow the one before; a broken ledger is an error.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
options:
  type:
    description: Only entries of this type.
    type: str
    choices: [promotion, validation]
  events:
    description: Only entries of these events. Empty means all.
    type: list
    elements: str
    default: []
  service:
    description: Only entries that concern this service.
    type: str
  promotion_id:
    description: Only the request with this id and the steps of its promotion.
    type: str
  limit:
    description: At most this many entries, the latest ones. V(0) means the head only.
    type: int
    default: 100
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
- name: Read the completed promotions of service-a
  golden_goose.compliance.evidence_info:
    ledger: /var/lib/golden-goose/ledger
    events: [completed]
    service: service-a
  register: completed
"""

RETURN = r"""
entries:
  description: The entries that match, oldest first.
  returned: success
  type: list
  elements: dict
origin:
  description: Name of the ledger.
  returned: success
  type: str
  sample: golden-goose.local/sandbox
size:
  description: Number of entries in the ledger, in all of its segments.
  returned: success
  type: int
  sample: 42
segment:
  description: Number of the segment that takes entries; V(1) in a ledger that was never frozen.
  returned: success
  type: int
  sample: 1
head:
  description: Hash of the last entry, or of the origin when there are none.
  returned: success
  type: str
  sample: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import LEDGER_OPTIONS, open_ledger
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.query import select


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            "type": {"type": "str", "choices": ["promotion", "validation"]},
            "events": {"type": "list", "elements": "str", "default": []},
            "service": {"type": "str"},
            "promotion_id": {"type": "str"},
            "limit": {"type": "int", "default": 100},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        ledger = open_ledger(params)
        head, size = ledger.head(), ledger.size
        found = select(
            ledger,
            type=params["type"],
            events=params["events"],
            service=params["service"],
            promotion_id=params["promotion_id"],
            limit=params["limit"],
        )
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(
        changed=False,
        entries=[entry.as_dict() for entry in found],
        origin=ledger.origin,
        segment=ledger.number,
        size=size,
        head=head.hash,
    )


if __name__ == "__main__":
    main()
