# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module promotion as ansible-core does, in a process of its own, with the arguments of a JSON file."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

from ansible.module_utils.testing import patch_module_args
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

REPOSITORY = Path(__file__).resolve().parents[2]


def main() -> None:
    _AnsibleCollectionFinder(paths=[str(REPOSITORY / "collections")])._install()
    arguments = json.loads(Path(sys.argv[1]).read_text())
    with patch_module_args(arguments):
        runpy.run_module("ansible_collections.golden_goose.compliance.plugins.modules.promotion", run_name="__main__")


if __name__ == "__main__":
    main()
