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
author:
  - Golden Goose founders (@golden-goose)
options:
  services:
    description: Names of the services; a name that is given twice counts once.
    type: list
    elements: str
    required: true
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
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.order import DependencyResolver


def main() -> None:
    module = AnsibleModule(
        argument_spec={"services": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    services = list(dict.fromkeys(module.params["services"]))
    module.exit_json(changed=False, order=DependencyResolver().compute_promotion_order(services))


if __name__ == "__main__":
    main()
