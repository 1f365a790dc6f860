#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a list of files in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_files
short_description: Write a list of configuration files in one call
version_added: "0.1.0"
description:
  - Writes files as a whole, never half, and creates their folders. One call does what would be one task for each file.
author:
  - Golden Goose founders (@golden-goose)
attributes:
  check_mode:
    description: Can run in check mode and say what would change.
    support: full
  diff_mode:
    description: Returns the difference of files that others may read.
    support: partial
    details:
      - A file that only its owner may read is not shown.
  idempotent:
    description: A second run changes nothing.
    support: full
options:
  state:
    description: Whether the files and folders are to be there.
    type: str
    choices: [present, absent]
    default: present
  directories:
    description: Folders. With O(state=absent) they are removed with all that is in them.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The folder.
        type: path
        required: true
      mode:
        description: Permissions, as octal digits.
        type: str
        default: "0755"
      owner:
        description: User it belongs to.
        type: str
        default: root
  links:
    description: Symbolic links.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The link.
        type: path
        required: true
      target:
        description: What it points to.
        type: path
        required: true
  files:
    description: Files.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The file.
        type: path
        required: true
      content:
        description: Its text; needed unless O(state=absent).
        type: str
      mode:
        description: Permissions, as octal digits.
        type: str
        default: "0644"
      owner:
        description: User it belongs to.
        type: str
        default: root
"""

EXAMPLES = r"""
- name: Write two files
  golden_goose.compliance.config_files:
    files:
      - {path: /etc/example/a.conf, content: "a = 1\n"}
      - {path: /etc/example/secret, content: "{{ secret }}", mode: "0600"}
  no_log: true
"""

RETURN = r"""
paths:
  description: Paths that were changed.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils import config_files
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError

DIRECTORY = {
    "path": {"type": "path", "required": True},
    "mode": {"type": "str", "default": "0755"},
    "owner": {"type": "str", "default": "root"},
}
LINK = {"path": {"type": "path", "required": True}, "target": {"type": "path", "required": True}}
FILE = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str"},
    "mode": {"type": "str", "default": "0644"},
    "owner": {"type": "str", "default": "root"},
}
ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "directories": {"type": "list", "elements": "dict", "default": [], "options": DIRECTORY},
    "links": {"type": "list", "elements": "dict", "default": [], "options": LINK},
    "files": {"type": "list", "elements": "dict", "default": [], "options": FILE},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    act = config_files.ensure if given["state"] == "present" else config_files.remove
    try:
        paths, diff = act(given["directories"], given["links"], given["files"], check=module.check_mode)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=bool(paths), paths=paths, diff=diff)


if __name__ == "__main__":
    main()
