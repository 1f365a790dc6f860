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
"""

    SERVICES = r"""
options:
  services_dir:
    description: Folder that holds the services, one folder each.
    type: path
    required: true
"""
