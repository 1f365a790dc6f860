#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_info
short_description: Show what a service's folder says
version_added: "0.1.0"
description:
  - Reads and checks C(service.yml), counts the test files, computes the source digest and, for an image digest,
    renders the manifests. Changes nothing.
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
    description: Image digest to render the manifests for; without one they are not rendered.
    type: str
  stage:
    description: Stage to render the manifests for.
    type: str
    choices: [sandbox, compliant]
    default: sandbox
  namespace:
    description: Namespace to render the manifests for; by default it has the name of the stage.
    type: str
attributes:
  check_mode:
    description: Can run in check mode; it never changes anything.
    support: full
  diff_mode:
    description: Returns details on what has changed in diff mode.
    support: none
  idempotent:
    description: It never changes anything.
    support: full
"""

EXAMPLES = r"""
- name: Look at service-a
  golden_goose.compliance.service_info:
    service: service-a
    services_dir: services
  register: looked
"""

RETURN = r"""
service:
  description: The model of the service, every default filled in.
  returned: success
  type: dict
  sample: {name: service-a, version: 1.0.0, image: golden-goose.local/service-a, port: 8080}
source_sha256:
  description: SHA-256 of the folder's source files.
  returned: success
  type: str
tests:
  description: Test files, relative to the folder.
  returned: success
  type: list
  elements: str
manifests:
  description: Kubernetes objects in the order in which to apply them; empty without O(digest).
  returned: success
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.services import (
    find_service,
    find_tests,
    render_manifests,
    source_digest,
)


def _look(params: dict[str, Any]) -> dict[str, Any]:
    service = find_service(Path(params["services_dir"]), params["service"])
    digest, manifests = params["digest"], []
    if digest:
        manifests = render_manifests(service, params["stage"], digest, params["namespace"])
    return {
        "service": service.as_dict(),
        "source_sha256": source_digest(service),
        "tests": [str(path.relative_to(service.folder)) for path in find_tests(service)],
        "manifests": manifests,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "services_dir": {"type": "path", "required": True},
            "digest": {"type": "str"},
            "stage": {"type": "str", "choices": ["sandbox", "compliant"], "default": "sandbox"},
            "namespace": {"type": "str"},
        },
        supports_check_mode=True,
    )
    try:
        result = _look(module.params)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
