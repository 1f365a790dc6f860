# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by the promotion modules; its options are in module_utils/promotion/arguments.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  service:
    description: Name of the service.
    type: str
    required: true
  kubeconfig:
    description:
      - Kubeconfig of the promoter on the managed host.
      - It is written by the role P(golden_goose.compliance.promotion_policy#role).
    type: path
    required: true
  run_dir:
    description: Folder for the locks that keep two runs off one service.
    type: path
    default: /run/golden-goose/promotion
  backup:
    description:
      - Folder of the verified copy of the ledger.
      - When given, a ledger that lacks an entry of its copy is not trusted.
    type: path
  wait:
    description: Seconds to wait for another run on the same service to end, before this one is refused.
    type: int
    default: 0
"""

    ENGINE = r"""
options:
  kubeconfig:
    description:
      - Kubeconfig of the promoter on the managed host.
      - It is written by the role P(golden_goose.compliance.promotion_policy#role).
    type: path
    required: true
  run_dir:
    description: Folder for the locks that keep two runs off one service.
    type: path
    default: /run/golden-goose/promotion
  backup:
    description:
      - Folder of the verified copy of the ledger.
      - When given, a ledger that lacks an entry of its copy is not trusted.
    type: path
  wait:
    description: Seconds to wait for another run on the same service to end, before this one is refused.
    type: int
    default: 0
"""

    SERVICES = r"""
options:
  services_dir:
    description: Folder that holds the services, one folder each.
    type: path
    required: true
"""

    POLICY = r"""
options:
  policy:
    description:
      - What a promotion has to satisfy; keys that are left out are as in Sprint 1.
      - C(version) (text) names it. C(order) is V(linear) or V(dependency). C(on_failure) is V(stop), V(continue) or
        V(all_or_nothing). C(gates) are gates that are required beside the five of Sprint 1. C(quorum) is how many
        people have to approve a plan. C(max_age) is how many seconds a verdict counts. C(freezes) are windows in which
        nothing is promoted, each with C(name), C(timezone), C(from), C(until), and if wanted C(days) and C(services).
        C(own_gates) each have C(name), C(timeout), C(max_age) and one of C(command) (an executable with its arguments),
        C(rego) (a file with a policy in Rego) and C(tasks) (a file with Ansible tasks).
    type: dict
"""

    GATES = r"""
options:
  prometheus:
    description: URL of the Prometheus that the gate C(health) sends the query of a service to.
    type: str
  images_dir:
    description: Folder with the archives of images, which the gate C(sbom) reads.
    type: path
  vulnerabilities:
    description: File or folder with OSV records, which the gate C(sbom) compares the packages of an image with.
    type: path
  said:
    description:
      - What the gates of the user's own said that are files with Ansible tasks (C(tasks) in O(policy)), by gate, each
        with C(verdict), C(reason) and the C(digest) that it is about, perhaps C(observed), C(required) and
        C(next_check). Nothing, or a verdict about another digest, is a deny.
    type: dict
    default: {}
  semgrep_rules:
    description: Folder with the semgrep rules of the gate C(sast).
    type: path
    default: /etc/golden-goose/promotion/semgrep
  timeout:
    description: Seconds that one program of a gate may run; a gate whose program is not done by then denies.
    type: int
    default: 300
"""

    VAULT = r"""
options:
  vault:
    description:
      - Proves who speaks, by logging in to Vault. Give a token, or user name and password, or C(role_id) and
        C(secret_id).
      - Without it, who speaks is the login name of the user that the module runs as, which proves nothing.
    type: dict
    suboptions:
      address:
        description: URL of Vault.
        type: str
        default: http://127.0.0.1:8200
      ca_cert:
        description: File with the authority that signed Vault's certificate.
        type: path
      token:
        description: A token of the person; it must have an entity.
        type: str
      username:
        description: Name for the auth method userpass.
        type: str
      password:
        description: Password for the auth method userpass.
        type: str
      role_id:
        description: Role id for the auth method AppRole.
        type: str
      secret_id:
        description: Secret id for the auth method AppRole.
        type: str
      mount:
        description: Where the auth method is mounted, if not under its own name.
        type: str
      transit_mount:
        description: Where the transit engine is mounted, with whose keys people sign what they say.
        type: str
        default: transit
"""

    SAYING = r"""
options:
  reason:
    description: Why; it is kept as evidence.
    type: str
    default: ""
  backup:
    description:
      - Folder of the verified copy of the ledger.
      - When given, a ledger that lacks an entry of its copy is not trusted.
    type: path
"""
