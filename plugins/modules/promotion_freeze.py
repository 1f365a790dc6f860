#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop the line for one service or for all, or start it again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: promotion_freeze
short_description: Stop the line for one service or for all, or start it again
version_added: "0.1.0"
description:
  - While the line is stopped nothing is promoted; rollbacks still go. Two people can override it for one plan, with
    M(golden_goose.compliance.promotion_approval).
  - Freezes that are known beforehand are windows of the policy (C(policy.freezes)) and need no call.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
  - golden_goose.compliance.promotion.saying
  - golden_goose.compliance.promotion.vault
options:
  service:
    description: The service to stop; by default all.
    type: str
  services_dir:
    description: Folder that holds the services; when given, the line is not stopped for a name that is not there.
    type: path
  state:
    description: Whether the line is stopped.
    type: str
    choices: [present, absent]
    default: present
attributes:
  check_mode:
    description: Can run in check mode; it says what it would do and writes nothing.
    support: full
  diff_mode:
    description: There is nothing to show in diff mode.
    support: none
  idempotent:
    description: When run twice in a row with the same arguments, the second run changes nothing.
    support: full
seealso:
  - module: golden_goose.compliance.promotion_plan
"""

EXAMPLES = r"""
- name: Stop the line
  golden_goose.compliance.promotion_freeze:
    ledger: /var/lib/golden-goose/ledger
    metadata: "{{ golden_goose_evidence_metadata }}"
    reason: orders are being lost, and nobody knows why
"""

RETURN = r"""
reason:
  description: What came of it, in words.
  returned: success
  type: str
by:
  description: Who said so, as name, entity and method.
  returned: success
  type: dict
entry:
  description: Id of the entry that was written.
  returned: when something was written
  type: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import LEDGER_OPTIONS
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.arguments import (
    SAYING_OPTIONS,
    VAULT_OPTION,
    evidence_of,
    voice,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.people import resume, stop
from ansible_collections.golden_goose.compliance.plugins.module_utils.services.model import require_known


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            **SAYING_OPTIONS,
            **VAULT_OPTION,
            "service": {"type": "str"},
            "services_dir": {"type": "path"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        evidence = evidence_of(params, dry_run=module.check_mode)
        if params["service"] and params["services_dir"] and params["state"] == "present":
            require_known(Path(params["services_dir"]), params["service"])
        with voice(params) as speaker:
            change = stop if params["state"] == "present" else resume
            said = change(evidence, speaker, params["service"], params["reason"])
            by = speaker.identity.as_dict()
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    entry = said.entry.id if said.entry else None
    module.exit_json(changed=said.changed, reason=said.reason, by=by, entry=entry)


if __name__ == "__main__":
    main()
