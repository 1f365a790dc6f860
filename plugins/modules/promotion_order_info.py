#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell the order in which services are promoted."""

from __future__ import annotations

DOCUMENTATION = r"""
module: promotion_order_info
short_description: Tell the order in which services are promoted
version_added: "0.1.0"
description:
  - Returns the services in the order in which to promote them. In Sprint 1 that is the order of their names.
  - With O(order=dependency) it follows the C(dependencies) in each C(service.yml). Services that depend on each other
    in a circle, or on one that there is not, are refused by name.
author:
  - Golden Goose founders (@golden-goose)
options:
  services:
    description: Names of the services; a name that is given twice counts once.
    type: list
    elements: str
    required: true
  order:
    description: In a line by name, or along the graph of dependencies, in waves.
    type: str
    choices: [linear, dependency]
    default: linear
  services_dir:
    description: Folder that holds the services, one folder each; needed when O(order=dependency).
    type: path
attributes:
  check_mode:
    description: Can run in check mode without making changes.
    support: full
  diff_mode:
    description: There is nothing to show in diff mode.
    support: none
  idempotent:
    description: The module never changes anything.
    support: full
"""

EXAMPLES = r"""
- name: Put the services in order
  golden_goose.compliance.promotion_order_info:
    services: [service-b, service-a]
  register: promotion_order
"""

RETURN = r"""
order:
  description: The services in the order in which to promote them.
  returned: success
  type: list
  elements: str
  sample: [service-a, service-b]
waves:
  description: The same, in waves; the services of one wave may be promoted side by side.
  returned: success
  type: list
  elements: list
  sample: [[service-a], [service-b]]
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.order import ORDERS, waves
from ansible_collections.golden_goose.compliance.plugins.module_utils.services.model import (
    find_service,
    known_services,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "list", "elements": "str", "required": True},
            "order": {"type": "str", "choices": list(ORDERS), "default": "linear"},
            "services_dir": {"type": "path"},
        },
        required_if=[("order", "dependency", ["services_dir"])],
        supports_check_mode=True,
    )
    names, order = list(dict.fromkeys(module.params["services"])), module.params["order"]
    graph: dict[str, tuple[str, ...]] = dict.fromkeys(names, ())
    known = []
    try:
        if order == "dependency":
            folder = Path(module.params["services_dir"])
            graph = {name: find_service(folder, name).dependencies for name in names}
            known = known_services(folder)
        found = waves(graph, order, known)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=False, order=[name for wave in found for name in wave], waves=found)


if __name__ == "__main__":
    main()
