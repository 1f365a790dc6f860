#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_load
short_description: Load an image archive into containerd
version_added: "0.1.0"
description:
  - Imports an OCI archive as C(name@digest), so that a pod with this image and C(imagePullPolicy=Never) starts.
  - The archive is checked first; a damaged one is refused.
author:
  - Golden Goose founders (@golden-goose)
options:
  name:
    description: Name of the image, without tag or digest.
    type: str
    required: true
  archive:
    description: OCI archive with this one image. Required when O(state=present).
    type: path
  digest:
    description: Digest that the archive must have.
    type: str
  tag:
    description: Also name the image C(name:tag).
    type: str
  socket:
    description: Socket of containerd.
    type: path
    required: true
  namespace:
    description: Namespace in containerd; the kubelet's is C(k8s.io).
    type: str
    default: k8s.io
  ctr:
    description: The program C(ctr), a name or a path.
    type: str
    default: ctr
  state:
    description: C(absent) removes every digest and tag of O(name).
    type: str
    choices: [present, absent]
    default: present
attributes:
  check_mode:
    description: Can run in check mode and says whether it would load.
    support: full
  diff_mode:
    description: Returns details on what has changed in diff mode.
    support: none
  idempotent:
    description: An image that containerd holds whole and unpacked is not loaded again.
    support: full
"""

EXAMPLES = r"""
- name: Load service-a
  golden_goose.compliance.image_load:
    name: golden-goose.local/service-a
    archive: "{{ built.archive }}"
    digest: "{{ built.digest }}"
    socket: /run/golden-goose/containerd/containerd.sock

- name: Load the pause image under the name that containerd's configuration uses
  golden_goose.compliance.image_load:
    name: golden-goose.local/pause
    archive: "{{ pause.archive }}"
    tag: "1"
    socket: /run/golden-goose/containerd/containerd.sock
"""

RETURN = r"""
digest:
  description: Digest of the image.
  returned: when O(state=present)
  type: str
  sample: sha256:4c5b2c0a9f5c0e0b3b0e7f0f3d9c1a7f1f7d7d4b3a4f5b6c7d8e9fa0b1c2d3e4
removed:
  description: References that were removed.
  returned: when O(state=absent)
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.containerd import (
    Containerd,
    ensure_loaded,
    ensure_removed,
)


def _run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    containerd = Containerd(Path(params["socket"]), params["namespace"], params["ctr"])
    if params["state"] == "absent":
        removed = ensure_removed(containerd, params["name"], check)
        return {"changed": bool(removed), "removed": removed}
    archive, tag, expected = Path(params["archive"]), params["tag"], params["digest"]
    digest, changed = ensure_loaded(containerd, params["name"], archive, tag, expected, check)
    return {"changed": changed, "digest": digest}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "archive": {"type": "path"},
            "digest": {"type": "str"},
            "tag": {"type": "str"},
            "socket": {"type": "path", "required": True},
            "namespace": {"type": "str", "default": "k8s.io"},
            "ctr": {"type": "str", "default": "ctr"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ("archive",))],
        supports_check_mode=True,
    )
    try:
        result = _run(module.params, module.check_mode)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
