# Copyright: Contributors to Golden Goose
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make bench` runs: ratios, each of two things measured in one run on the same disk."""

from __future__ import annotations

from pathlib import Path

from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

# As in tests/conftest.py: import the collection from this checkout.
_AnsibleCollectionFinder(paths=[str(Path(__file__).resolve().parent.parent / "collections")])._install()
