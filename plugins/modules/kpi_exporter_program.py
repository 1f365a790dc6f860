#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kpi_exporter_program
short_description: Install the exporter of key figures as one file
version_added: "0.1.0"
description:
  - Writes a Python archive that serves the key figures of a ledger to Prometheus. It holds those modules of this
    collection that the exporter needs, so the host needs neither Ansible nor the collection to run it.
  - Run it with C(python PATH --ledger FOLDER --listen 127.0.0.1:9474) and a Python that has C(prometheus-client).
author:
  - Golden Goose founders (@golden-goose)
options:
  path:
    description: Where to write the archive. The folder must exist.
    type: path
    required: true
attributes:
  check_mode:
    description: Can run in check mode and says whether the file would change.
    support: full
  diff_mode:
    description: Returns details on what has changed in diff mode.
    support: none
  idempotent:
    description: The same version of the collection writes the same bytes.
    support: full
"""

EXAMPLES = r"""
- name: Install the exporter
  golden_goose.compliance.kpi_exporter_program:
    path: /opt/golden-goose/kpi-exporter/kpi-exporter.pyz
"""

RETURN = r"""
path:
  description: Where the archive is.
  returned: success
  type: str
  sample: /opt/golden-goose/kpi-exporter/kpi-exporter.pyz
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.kpi.program import install


def main() -> None:
    module = AnsibleModule(argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True)
    path = Path(module.params["path"])
    try:
        changed = install(path, check=module.check_mode)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=changed, path=str(path))


if __name__ == "__main__":
    main()
