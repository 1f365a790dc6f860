# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by the modules about evidence; its options are in module_utils/arguments.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  ledger:
    description:
      - Folder of the ledger on the managed host.
      - It is created by the role P(golden_goose.compliance.evidence_ledger#role).
    type: path
    required: true
  origin:
    description:
      - Name of the ledger, for example V(golden-goose.local/sandbox).
      - When given, a ledger of another origin is refused.
    type: str
  metadata:
    description:
      - Audit metadata that every entry carries.
      - Modules that write entries need at least the keys C(sprint) (text) and C(provisional) (boolean).
      - Set it once, as C(golden_goose_evidence_metadata) in the inventory.
    type: dict
"""
