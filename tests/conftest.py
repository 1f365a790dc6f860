"""Make ``ansible_collections.golden_goose.compliance`` importable from this checkout.

The community package installs a regular ``ansible_collections`` package that would hide a namespace
package of ours, so the tests use the same finder that Ansible uses at run time.
"""

from __future__ import annotations

from pathlib import Path

from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

REPOSITORY = Path(__file__).resolve().parent.parent

_AnsibleCollectionFinder(paths=[str(REPOSITORY / "collections")])._install()
