#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_config
short_description: Lay out the files of an OpenBao server
version_added: "0.1.0"
description:
  - Creates the folders of one OpenBao server, writes its configuration, and makes the key that it unseals itself
    with. All of it is readable by its owner only.
  - The key is made once and never replaced. Where storage exists and its key does not, the module fails, because
    a new key could not open that storage.
author:
  - Golden Goose founders (@golden-goose)
options:
  config_dir:
    description: Folder for the configuration C(openbao.hcl) and the seal key C(seal.key).
    type: path
    required: true
  state_dir:
    description: Folder of the raft storage.
    type: path
    required: true
  log_dir:
    description: Folder of the audit log.
    type: path
    required: true
  content:
    description: Text of the configuration.
    type: str
    required: true
attributes:
  check_mode:
    description: Can run in check mode and says what would change.
    support: full
  diff_mode:
    description: Returns details on what has changed in diff mode.
    support: none
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Lay out the files of OpenBao
  golden_goose.compliance.vault_config:
    config_dir: /etc/golden-goose/vault
    state_dir: /var/lib/golden-goose/vault
    log_dir: /var/log/golden-goose/vault
    content: "{{ lookup('ansible.builtin.template', 'openbao.hcl.j2') }}"
"""

RETURN = r"""
paths:
  description: Folders and files that were created or changed, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [/etc/golden-goose/vault/openbao.hcl]
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.vault_files import ServerFiles


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "config_dir": {"type": "path", "required": True},
            "state_dir": {"type": "path", "required": True},
            "log_dir": {"type": "path", "required": True},
            "content": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    params = dict(module.params)
    content = params.pop("content")
    files = ServerFiles(**{name: Path(path) for name, path in params.items()})
    try:
        paths = files.lay_out(content, check=module.check_mode)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=bool(paths), paths=paths)


if __name__ == "__main__":
    main()
