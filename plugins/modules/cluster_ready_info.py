#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until a cluster can take services."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_ready_info
short_description: Wait until a cluster can take services
version_added: "0.1.0"
description:
  - Waits, for a limited time, until every node is Ready, the named deployments are available and DNS answers.
author:
  - Golden Goose founders (@golden-goose)
requirements:
  - kubernetes
attributes:
  check_mode:
    description: Reads only.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
  idempotent:
    description: Changes nothing.
    support: full
options:
  kubeconfig:
    description: Kubeconfig of the cluster.
    type: path
    required: true
  deployments:
    description: Deployments that have to be available, as C(namespace/name).
    type: list
    elements: str
    default: []
  dns_server:
    description: Address of the cluster's DNS; when not given DNS is not asked.
    type: str
  dns_name:
    description: Name that the DNS has to know.
    type: str
    default: kubernetes.default.svc.cluster.local
  timeout:
    description: Seconds to wait.
    type: float
    default: 120
"""

EXAMPLES = r"""
- name: Wait for the cluster
  golden_goose.compliance.cluster_ready_info:
    kubeconfig: /etc/golden-goose/kubernetes/admin.kubeconfig
    deployments: [kube-system/coredns]
    dns_server: 10.96.0.10
"""

RETURN = r"""
nodes:
  description: Names of the nodes.
  type: list
  elements: str
  returned: success
version:
  description: Version of the API server.
  type: str
  returned: success
waited:
  description: Seconds that it took.
  type: float
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import KubernetesCluster
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster_ready import wait_ready
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError

ARGUMENTS = {
    "kubeconfig": {"type": "path", "required": True},
    "deployments": {"type": "list", "elements": "str", "default": []},
    "dns_server": {"type": "str"},
    "dns_name": {"type": "str", "default": "kubernetes.default.svc.cluster.local"},
    "timeout": {"type": "float", "default": 120},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    try:
        result = wait_ready(
            KubernetesCluster(given["kubeconfig"]),
            given["deployments"],
            given["dns_server"],
            given["dns_name"],
            given["timeout"],
        )
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
