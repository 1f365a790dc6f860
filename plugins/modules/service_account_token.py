#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a service account's token in a file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_account_token
short_description: Keep a service account's token, or a kubeconfig with it, in a file
version_added: "0.1.0"
description:
  - Reads the token that the cluster has put into a Secret of type C(kubernetes.io/service-account-token) and keeps it
    in a file that only its owner may read, as it is or as a kubeconfig.
author:
  - Golden Goose founders (@golden-goose)
requirements:
  - kubernetes
attributes:
  check_mode:
    description: Can run in check mode and say what would change.
    support: full
  diff_mode:
    description: Returns no differences; they would hold the token.
    support: none
  idempotent:
    description: A second run changes nothing.
    support: full
options:
  kubeconfig:
    description: Kubeconfig that may read the Secret.
    type: path
    required: true
  namespace:
    description: Namespace of the Secret.
    type: str
    required: true
  secret:
    description: Name of the Secret.
    type: str
    required: true
  path:
    description: File to write.
    type: path
    required: true
  format:
    description: V(token) writes the token alone, V(kubeconfig) a file for the same cluster with it.
    type: str
    choices: [token, kubeconfig]
    default: token
  authority_path:
    description: File to write the PEM of the API server's authority to.
    type: path
  timeout:
    description: Seconds to wait for the cluster to issue the token.
    type: float
    default: 30
"""

EXAMPLES = r"""
- name: Keep the token of the monitoring
  golden_goose.compliance.service_account_token:
    kubeconfig: /etc/golden-goose/kubernetes/admin.kubeconfig
    namespace: golden-goose
    secret: prometheus
    path: /etc/golden-goose/kubernetes/prometheus.token
"""

RETURN = r"""
path:
  description: The file.
  type: str
  returned: success
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import KubernetesCluster
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster_ready import read_account
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.pki.kubeconfig import (
    write_credentials,
    write_public,
)

ARGUMENTS = {
    "kubeconfig": {"type": "path", "required": True},
    "namespace": {"type": "str", "required": True},
    "secret": {"type": "str", "required": True, "no_log": False},
    "path": {"type": "path", "required": True},
    "format": {"type": "str", "choices": ["token", "kubeconfig"], "default": "token"},
    "authority_path": {"type": "path"},
    "timeout": {"type": "float", "default": 30},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    try:
        cluster = KubernetesCluster(given["kubeconfig"])
        account = read_account(cluster, given["namespace"], given["secret"], given["timeout"])
        changed = write_credentials(
            Path(given["path"]),
            account.token,
            Path(given["kubeconfig"]) if given["format"] == "kubeconfig" else None,
            given["secret"],
            check=module.check_mode,
        )
        if given["authority_path"]:
            path, pem = Path(given["authority_path"]), account.authority.encode()
            changed = write_public(path, pem, check=module.check_mode) or changed
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=changed, path=given["path"])


if __name__ == "__main__":
    main()
