#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_bootstrap
short_description: Make a Vault ready for the promoter to sign evidence
version_added: "0.1.0"
description:
  - Initialises a Vault (OpenBao or HashiCorp Vault) that unseals itself, waits until it is active, and sets
    up a KV version 2 mount, a transit key of type ed25519 that cannot be exported, a policy and an AppRole
    for the promoter.
  - The root token and the recovery key of a Vault that this module initialised go to C(root.json), the
    promoter's credentials to C(promoter-approle.json), both in O(config_dir), readable by their owner only.
    Neither is returned.
  - Every step looks first, so a run that was interrupted is completed by the next one.
author:
  - Golden Goose founders (@golden-goose)
options:
  address:
    description: URL of Vault.
    type: str
    required: true
  config_dir:
    description:
      - Folder for C(root.json) and C(promoter-approle.json). It is created with mode 0700 when absent.
    type: path
    required: true
  ca_cert:
    description: File with the CA certificates that Vault's own is checked against, if not the system's.
    type: path
  token:
    description:
      - Token of an administrator, for a Vault that this module did not initialise.
      - With it, C(root.json) is neither read nor written, and a Vault that is not initialised is an error.
    type: str
  kv_mount:
    description: Path of the KV version 2 mount.
    type: str
    default: golden-goose
  transit_mount:
    description: Path of the transit mount.
    type: str
    default: transit
  key:
    description: Name of the transit key that signs evidence.
    type: str
    default: evidence
  policy:
    description: Name of the promoter's policy.
    type: str
    default: golden-goose-promoter
  approle:
    description: Name of the promoter's AppRole.
    type: str
    default: golden-goose-promoter
  bound_cidrs:
    description: Networks that the promoter may log in from, and use its tokens from. Empty means any.
    type: list
    elements: str
    default: []
  wait_seconds:
    description: How long to wait for Vault to answer and to become active.
    type: int
    default: 60
attributes:
  check_mode:
    description:
      - Can run in check mode and says what would change. Where no Vault answers, all of it would.
    support: full
  diff_mode:
    description: Returns details on what has changed in diff mode.
    support: none
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
requirements:
  - hvac
"""

EXAMPLES = r"""
- name: Set up the Vault of this machine
  golden_goose.compliance.vault_bootstrap:
    address: http://127.0.0.1:8200
    config_dir: /etc/golden-goose/vault
    bound_cidrs: [127.0.0.1/32]

- name: Set up the promoter in a Vault that others run
  golden_goose.compliance.vault_bootstrap:
    address: https://vault.example.com:8200
    token: "{{ vault_token }}"
    config_dir: /etc/golden-goose/vault
"""

RETURN = r"""
changes:
  description: What was done, or in check mode would be, in words. Empty when all was as wanted.
  returned: success
  type: list
  elements: str
  sample: ["initialised Vault", "created the ed25519 key evidence"]
approle_file:
  description: Path of the promoter's credentials.
  returned: success
  type: str
  sample: /etc/golden-goose/vault/promoter-approle.json
public_key:
  description:
    - Public half of the evidence key, base64 of the 32 bytes of an ed25519 key.
    - Null in check mode before the key exists.
  returned: success
  type: str
  sample: pc5ZlpnEawTYYXIZHfNlLDMHAr0TcGhWpQb9/UibHbA=
key_version:
  description: Latest version of the evidence key, counted from 1. Null in check mode before the key exists.
  returned: success
  type: int
  sample: 1
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.vault_bootstrap import (
    APPROLE_FILE,
    Wanted,
    bootstrap,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "config_dir": {"type": "path", "required": True},
            "ca_cert": {"type": "path"},
            "token": {"type": "str", "no_log": True},
            "kv_mount": {"type": "str", "default": "golden-goose"},
            "transit_mount": {"type": "str", "default": "transit"},
            "key": {"type": "str", "default": "evidence", "no_log": False},
            "policy": {"type": "str", "default": "golden-goose-promoter"},
            "approle": {"type": "str", "default": "golden-goose-promoter"},
            "bound_cidrs": {"type": "list", "elements": "str", "default": []},
            "wait_seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    params = dict(module.params)
    config_dir = Path(params.pop("config_dir"))
    wanted = Wanted(config_dir=config_dir, bound_cidrs=tuple(params.pop("bound_cidrs")), **params)
    try:
        outcome = bootstrap(wanted, check=module.check_mode)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(
        changed=bool(outcome.changes),
        changes=outcome.changes,
        approle_file=str(config_dir / APPROLE_FILE),
        public_key=outcome.public_key,
        key_version=outcome.key_version,
    )


if __name__ == "__main__":
    main()
