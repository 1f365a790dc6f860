#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_build
short_description: Build a container image without a registry
version_added: "0.1.0"
description:
  - Builds an image with C(buildah) from a Containerfile and keeps it as an OCI archive that is named by its digest.
  - The same source on the same base gives the same digest; when the cache holds that image, nothing is built.
  - A file C(image.yml) beside the Containerfile says what the build context gets, a Debian base made with
    C(mmdebstrap), Python wheels pinned by hash, or files of the building machine.
  - Needs root, and the programs C(buildah) and, for a Debian base, C(mmdebstrap).
author:
  - Golden Goose founders (@golden-goose)
options:
  service:
    description:
      - Name of a service. Its recipe is used and its name, version and source digest are put into the image.
    type: str
  services_dir:
    description: Folder that holds the services.
    type: path
  name:
    description: Name of the image to build from O(context), without tag or digest.
    type: str
  context:
    description: Folder with a C(Containerfile), the build context itself.
    type: path
  cache_dir:
    description: Folder for bases, wheels and archives, in C(images) under it.
    type: path
    required: true
  debian_mirror:
    description: Where a Debian base comes from.
    type: str
    default: http://deb.debian.org/debian
  debian_security_mirror:
    description: Where its security updates come from; empty for a suite that has none.
    type: str
    default: http://deb.debian.org/debian-security
attributes:
  check_mode:
    description: Can run in check mode and says whether it would build.
    support: full
  diff_mode:
    description: Returns details on what has changed in diff mode.
    support: none
  idempotent:
    description: A second run with the same source builds nothing.
    support: full
"""

EXAMPLES = r"""
- name: Build the image of service-a
  golden_goose.compliance.image_build:
    service: service-a
    services_dir: services
    cache_dir: /var/cache/golden-goose

- name: Build the image that holds a pod's namespaces
  golden_goose.compliance.image_build:
    name: golden-goose.local/pause
    context: files/images/pause
    cache_dir: /var/cache/golden-goose
"""

RETURN = r"""
name:
  description: Name of the image.
  returned: success
  type: str
  sample: golden-goose.local/service-a
digest:
  description: Digest of the image's manifest; null in check mode when the image would be built.
  returned: success
  type: str
  sample: sha256:4c5b2c0a9f5c0e0b3b0e7f0f3d9c1a7f1f7d7d4b3a4f5b6c7d8e9fa0b1c2d3e4
image:
  description: Name and digest, as a pod refers to it; null in check mode when the image would be built.
  returned: success
  type: str
archive:
  description: Path of the OCI archive; null in check mode when the image would be built.
  returned: success
  type: str
source_sha256:
  description: SHA-256 of the source that the image was built from; null in check mode when it would be built.
  returned: success
  type: str
key:
  description: SHA-256 of everything the image depends on; null in check mode when the image would be built.
  returned: success
  type: str
base:
  description: The Debian base (tar, sha256, packages with name, version and architecture); null without one.
  returned: success
  type: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.base import Mirrors
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.build import (
    BuildRequest,
    build_image,
    context_request,
    find_built,
    service_request,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.services import find_service

_NOT_BUILT = dict.fromkeys(("digest", "image", "archive", "source_sha256", "key", "base"))


def _request(params: dict[str, Any]) -> BuildRequest:
    if params["service"]:
        return service_request(find_service(Path(params["services_dir"]), params["service"]))
    return context_request(params["name"], Path(params["context"]))


def _run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    request, cache = _request(params), Path(params["cache_dir"])
    if check:
        found = find_built(request, cache)
        return {"changed": not found, "name": request.image} | (found.as_dict() if found else _NOT_BUILT)
    mirrors = Mirrors(params["debian_mirror"], params["debian_security_mirror"])
    built, changed = build_image(request, cache, mirrors)
    return {"changed": changed} | built.as_dict()


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str"},
            "services_dir": {"type": "path"},
            "name": {"type": "str"},
            "context": {"type": "path"},
            "cache_dir": {"type": "path", "required": True},
            "debian_mirror": {"type": "str", "default": "http://deb.debian.org/debian"},
            "debian_security_mirror": {"type": "str", "default": "http://deb.debian.org/debian-security"},
        },
        required_one_of=[("service", "context")],
        mutually_exclusive=[("service", "context"), ("service", "name")],
        required_by={"service": ("services_dir",), "context": ("name",)},
        supports_check_mode=True,
    )
    try:
        result = _run(module.params, module.check_mode)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
