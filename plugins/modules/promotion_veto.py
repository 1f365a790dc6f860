#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a digest from becoming compliant, or lift that again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: promotion_veto
short_description: Keep a digest from becoming compliant, or lift that again
version_added: "0.1.0"
description:
  - A digest that is vetoed is not promoted, whatever its gates say, and nothing is rolled back to it.
  - The veto lasts until it is lifted, and both are evidence. What runs already is left alone; take it back with
    M(golden_goose.compliance.promotion_rollback).
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
  - golden_goose.compliance.promotion.saying
  - golden_goose.compliance.promotion.vault
options:
  digest:
    description: Digest of the artifact, V(sha256:...).
    type: str
  service:
    description: Instead of O(digest), what was deployed to the sandbox last of this service, as the ledger says.
    type: str
  state:
    description: Whether there is a veto.
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
- name: Veto a digest
  golden_goose.compliance.promotion_veto:
    ledger: /var/lib/golden-goose/ledger
    metadata: "{{ golden_goose_evidence_metadata }}"
    digest: "{{ digest }}"
    reason: it loses orders
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
digest:
  description: Digest of the artifact.
  returned: success
  type: str
entry:
  description: Id of the entry that was written.
  returned: when something was written
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import LEDGER_OPTIONS
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.arguments import (
    SAYING_OPTIONS,
    VAULT_OPTION,
    evidence_of,
    voice,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.people import (
    is_known,
    last_deployed,
    lift,
    veto,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            **SAYING_OPTIONS,
            **VAULT_OPTION,
            "digest": {"type": "str"},
            "service": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_one_of=[("digest", "service")],
        mutually_exclusive=[("digest", "service")],
        supports_check_mode=True,
    )
    params = module.params
    try:
        evidence = evidence_of(params, dry_run=module.check_mode)
        digest = params["digest"] or last_deployed(evidence, params["service"])
        with voice(params) as speaker:
            change = veto if params["state"] == "present" else lift
            said = change(evidence, speaker, digest, params["reason"])
            by = speaker.identity.as_dict()
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    if not is_known(evidence, digest):
        module.warn(f"Nothing else in the ledger is about {digest}; check that it is the digest you mean.")
    entry = said.entry.id if said.entry else None
    module.exit_json(changed=said.changed, reason=said.reason, by=by, entry=entry, digest=digest)


if __name__ == "__main__":
    main()
