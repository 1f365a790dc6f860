#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_deploy
short_description: Deploy one image of a service and wait until it answers
version_added: "0.1.0"
description:
  - Renders the manifests of a service for an image digest, applies them (server-side apply), waits until exactly
    the wanted pods run this digest and are ready, and asks the service for its version through the API server.
  - When the time is over it fails and says what was seen last.
author:
  - Golden Goose founders (@golden-goose)
options:
  service:
    description: Name of the service, which is the name of its folder.
    type: str
    required: true
  services_dir:
    description: Folder that holds the services.
    type: path
    required: true
  digest:
    description: Digest of the image to run. Required when O(state=present).
    type: str
  stage:
    description: Stage that the objects are labelled with.
    type: str
    choices: [sandbox]
    default: sandbox
  namespace:
    description: Namespace; by default it has the name of the stage.
    type: str
  kubeconfig:
    description: File with the address and credentials of the cluster.
    type: path
    required: true
  timeout:
    description: Seconds to wait for readiness.
    type: int
    default: 120
  state:
    description: C(absent) removes the objects.
    type: str
    choices: [present, absent]
    default: present
attributes:
  check_mode:
    description: Can run in check mode; the API server says what would change, if there is one.
    support: full
  diff_mode:
    description: Returns details on what has changed in diff mode.
    support: none
  idempotent:
    description: A second run changes nothing.
    support: full
notes:
  - The stage C(compliant) is reached by M(golden_goose.compliance.promotion) only.
"""

EXAMPLES = r"""
- name: Deploy service-a to the sandbox
  golden_goose.compliance.service_deploy:
    service: service-a
    services_dir: services
    digest: "{{ built.digest }}"
    kubeconfig: /etc/golden-goose/kubernetes/admin.kubeconfig
"""

RETURN = r"""
changes:
  description: Objects that were created, changed or removed, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [Deployment service-a in sandbox]
namespace:
  description: Namespace of the objects.
  returned: when O(state=present)
  type: str
image:
  description: Image that the pods run, name and digest.
  returned: when O(state=present)
  type: str
deployment:
  description: The uid and generation of the Deployment, which together name this very rollout.
  returned: when O(state=present) and not in check mode
  type: dict
answered:
  description: Path, status and version that the service answered.
  returned: when O(state=present) and not in check mode
  type: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.services import find_service
from ansible_collections.golden_goose.compliance.plugins.module_utils.services.deploy import Target, deploy, withdraw


def _run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    service = find_service(Path(params["services_dir"]), params["service"])
    target = Target(Path(params["kubeconfig"]), params["stage"], params["namespace"], params["timeout"])
    if params["state"] == "absent":
        changes = withdraw(service, target, check)
        return {"changed": bool(changes), "changes": changes}
    return deploy(service, params["digest"], target, check)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "services_dir": {"type": "path", "required": True},
            "digest": {"type": "str"},
            "stage": {"type": "str", "choices": ["sandbox"], "default": "sandbox"},
            "namespace": {"type": "str"},
            "kubeconfig": {"type": "path", "required": True},
            "timeout": {"type": "int", "default": 120},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ("digest",))],
        supports_check_mode=True,
    )
    try:
        result = _run(module.params, module.check_mode)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
