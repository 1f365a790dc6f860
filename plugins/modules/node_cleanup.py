#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove what a Kubernetes node leaves in the kernel."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_cleanup
short_description: Remove what a Kubernetes node leaves in the kernel
version_added: "0.1.0"
description:
  - Ends the pods that outlive containerd and removes the mounts, network namespaces, links, cgroups and iptables rules
    of one instance. Stop its daemons first.
author:
  - Golden Goose founders (@golden-goose)
attributes:
  check_mode:
    description: Can run in check mode and say what it would remove.
    support: full
  diff_mode:
    description: Returns no differences.
    support: none
  idempotent:
    description: A second run finds nothing.
    support: full
options:
  instance:
    description: Name of the instance, which is the name of its CNI network and of its cgroup.
    type: str
    required: true
  bridge:
    description: Bridge with the node's address.
    type: str
    required: true
  socket:
    description: Socket of the instance's containerd.
    type: path
    required: true
  folders:
    description: Folders below which everything is unmounted; links to logs in them are removed, too.
    type: list
    elements: path
    required: true
"""

EXAMPLES = r"""
- name: Remove what the node left
  golden_goose.compliance.node_cleanup:
    instance: golden-goose
    bridge: gg0
    socket: /run/golden-goose/containerd/containerd.sock
    folders: [/var/lib/golden-goose/kubernetes, /run/golden-goose/containerd]
"""

RETURN = r"""
found:
  description: What was, or in check mode would be, removed, in words.
  type: list
  elements: str
  returned: success
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.node.cleanup import Node, clean

ARGUMENTS = {
    "instance": {"type": "str", "required": True},
    "bridge": {"type": "str", "required": True},
    "socket": {"type": "path", "required": True},
    "folders": {"type": "list", "elements": "path", "required": True},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    node = Node(
        instance=given["instance"],
        bridge=given["bridge"],
        socket=Path(given["socket"]),
        folders=tuple(map(Path, given["folders"])),
    )
    try:
        found = clean(node, check=module.check_mode)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=bool(found), found=found)


if __name__ == "__main__":
    main()
