#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Issue the certificates and kubeconfigs of a cluster in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pki
short_description: Issue the certificates and kubeconfigs of a cluster in one call
version_added: "0.1.0"
description:
  - Issues authorities, certificates, key pairs and kubeconfigs, and issues again what is missing, says something
    else than asked for, comes from another authority or has less than a tenth of its time left.
  - Keys and kubeconfigs are readable by their owner alone.
author:
  - Golden Goose founders (@golden-goose)
requirements:
  - cryptography
attributes:
  check_mode:
    description: Can run in check mode and say what would change.
    support: full
  diff_mode:
    description: Returns no differences; they would hold keys.
    support: none
  idempotent:
    description: A second run issues nothing.
    support: full
options:
  directory:
    description: Folder of C(<name>.crt) and C(<name>.key).
    type: path
    required: true
  authorities:
    description: Self-signed authorities.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the files.
        type: str
        required: true
      common_name:
        description: Subject.
        type: str
        required: true
      days:
        description: Time of validity.
        type: int
        default: 3650
  certificates:
    description: Certificates issued by the authorities.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the files.
        type: str
        required: true
      issuer:
        description: Name of the authority.
        type: str
        required: true
      common_name:
        description: Common name of the subject; for Kubernetes the user.
        type: str
        required: true
      organization:
        description: Organization of the subject; for Kubernetes the group.
        type: str
      dns:
        description: DNS names it is valid for.
        type: list
        elements: str
        default: []
      ip:
        description: Addresses it is valid for.
        type: list
        elements: str
        default: []
      usages:
        description: What the key may be used for.
        type: list
        elements: str
        choices: [server, client]
        default: [server, client]
      days:
        description: Time of validity.
        type: int
        default: 365
  key_pairs:
    description: Names of RSA key pairs without a certificate.
    type: list
    elements: str
    default: []
  kubeconfigs:
    description: Kubeconfigs to write.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: File to write.
        type: path
        required: true
      server:
        description: URL of the API server.
        type: str
        required: true
      authority:
        description: Name of the authority of the API server's certificate.
        type: str
        required: true
      certificate:
        description: Name of the client's certificate.
        type: str
        required: true
"""

EXAMPLES = r"""
- name: Issue a server certificate
  golden_goose.compliance.pki:
    directory: /etc/golden-goose/kubernetes/pki
    authorities:
      - {name: etcd-ca, common_name: etcd-ca}
    certificates:
      - {name: etcd, issuer: etcd-ca, common_name: etcd, ip: [127.0.0.1]}
"""

RETURN = r"""
issued:
  description: Names and paths that were written.
  type: list
  elements: str
  returned: success
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.pki import service

AUTHORITY = {
    "name": {"type": "str", "required": True},
    "common_name": {"type": "str", "required": True},
    "days": {"type": "int", "default": 3650},
}
CERTIFICATE = {
    "name": {"type": "str", "required": True},
    "issuer": {"type": "str", "required": True},
    "common_name": {"type": "str", "required": True},
    "organization": {"type": "str"},
    "dns": {"type": "list", "elements": "str", "default": []},
    "ip": {"type": "list", "elements": "str", "default": []},
    "usages": {
        "type": "list",
        "elements": "str",
        "choices": ["server", "client"],
        "default": ["server", "client"],
    },
    "days": {"type": "int", "default": 365},
}
KUBECONFIG = {
    "path": {"type": "path", "required": True},
    "server": {"type": "str", "required": True},
    "authority": {"type": "str", "required": True},
    "certificate": {"type": "str", "required": True},
}
ARGUMENTS = {
    "directory": {"type": "path", "required": True},
    "authorities": {"type": "list", "elements": "dict", "default": [], "options": AUTHORITY},
    "certificates": {"type": "list", "elements": "dict", "default": [], "options": CERTIFICATE},
    "key_pairs": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "kubeconfigs": {"type": "list", "elements": "dict", "default": [], "options": KUBECONFIG},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    try:
        issued = service.ensure(
            Path(given["directory"]),
            given["authorities"],
            given["certificates"],
            given["key_pairs"],
            given["kubeconfigs"],
            check=module.check_mode,
        )
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=bool(issued), issued=issued)


if __name__ == "__main__":
    main()
