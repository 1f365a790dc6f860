#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the Golden Goose distribution of a service."""

from __future__ import annotations

DOCUMENTATION = r"""
module: distribution_package
short_description: Build the Golden Goose distribution of a compliant service
version_added: "0.1.0"
description:
  - Builds C(<packages>/<service>/<hash_chain_id>/) with the evidence package, the image archive, the manifests that
    were promoted, C(distribution.yml) and C(SHA256SUMS), and lets the link C(latest) lead there.
  - Appends a C(package) entry with the SHA-256 of C(SHA256SUMS), so that a changed package is noticed.
  - A package that is there is verified, and built again only when it does not hold.
  - Refuses when C(service_promotion_validated), C(evidence_chain_complete) or C(audit_metadata_tagged) is not met, and
    says which and what was observed.
author:
  - Golden Goose founders (@golden-goose)
requirements:
  - PyYAML
extends_documentation_fragment:
  - golden_goose.compliance.ledger
options:
  service:
    description: Name of the service.
    type: str
    required: true
  packages:
    description: Folder of all packages.
    type: path
    required: true
  images:
    description: Folder of the image archives, C(<images>/<name>/<digest>.tar).
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
  - module: golden_goose.compliance.evidence_package
"""

EXAMPLES = r"""
- name: Build what is handed over for service-a
  golden_goose.compliance.distribution_package:
    ledger: /var/lib/golden-goose/ledger
    metadata: "{{ golden_goose_evidence_metadata }}"
    packages: /var/lib/golden-goose/packages
    images: /var/cache/golden-goose/images
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
from ansible_collections.golden_goose.compliance.plugins.module_utils.arguments import (
    LEDGER_OPTIONS,
    audit_metadata,
    open_ledger,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.packaging import build_distribution


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LEDGER_OPTIONS,
            "service": {"type": "str", "required": True},
            "packages": {"type": "path", "required": True},
            "images": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        package = build_distribution(
            open_ledger(params),
            params["service"],
            Path(params["packages"]),
            Path(params["images"]),
            audit_metadata(params),
            dry_run=module.check_mode,
        )
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=package.changed, package=package.as_dict())


if __name__ == "__main__":
    main()
