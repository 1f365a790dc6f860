#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the evidence package of a service."""

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence_package
short_description: Build the evidence package of a compliant service
version_added: "0.1.0"
description:
  - Writes the five files of the evidence package and C(metadata.json) from the ledger, for the promotion in force.
  - The files are a pure function of the ledger. They appear together or not at all.
  - Refuses when C(service_promotion_validated), C(evidence_chain_complete) or C(audit_metadata_tagged) is not met, and
    says which and what was observed.
author:
  - Golden Goose founders (@golden-goose)
extends_documentation_fragment:
  - golden_goose.compliance.ledger
options:
  service:
    description: Name of the service.
    type: str
    required: true
  packages:
    description: Folder of all packages; this one is C(<packages>/<service>/<hash_chain_id>/evidence).
    type: path
    required: true
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
  - module: golden_goose.compliance.distribution_package
"""

EXAMPLES = r"""
- name: Hand the evidence of service-a to an auditor
  golden_goose.compliance.evidence_package:
    ledger: /var/lib/golden-goose/ledger
    packages: /var/lib/golden-goose/packages
    service: service-a
"""

RETURN = r"""
package:
  description: The package.
  returned: success
  type: dict
  contains:
    path:
      description: Folder of the package.
      type: str
    service:
      description: Name of the service.
      type: str
    digest:
      description: The promoted image.
      type: str
    hash_chain_id:
      description: Hash of the entry that made the service compliant.
      type: str
    promotion_id:
      description: Id of the request.
      type: str
    files:
      description: Names of the files.
      type: list
      elements: str
    requirements:
      description: Each requirement with C(name), C(met) and C(observed).
      type: list
      elements: dict
    provisional:
      description: Sentences that say what Sprint 2 has to add.
      type: list
      elements: str
    reason:
      description: Why it was built, or why not.
      type: str
    sha256:
      description: SHA-256 of the file SHA256SUMS; null where there is none yet.
      type: str
    metadata:
      description: Phase and compliance mode.
      type: dict
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import LEDGER_OPTIONS, open_ledger
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.packaging import build_evidence


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            "service": {"type": "str", "required": True},
            "packages": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        package = build_evidence(
            open_ledger(params), params["service"], Path(params["packages"]), dry_run=module.check_mode
        )
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=package.changed, package=package.as_dict())


if __name__ == "__main__":
    main()
