# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end: first all but the evidence goes, then the evidence too."""

from __future__ import annotations

from .instance import CACHE, Instance
from .leftovers import files, leftovers


def test_teardown_leaves_ledger_copy_and_packages_and_nothing_else(promoted: Instance) -> None:
    evidence = [promoted.ledger, promoted.backup, promoted.packages]
    before = {str(folder): files(folder) for folder in evidence}
    promoted.play("teardown", keep_cache=True)
    assert leftovers(promoted.name, promoted.root) == []
    assert {str(folder): files(folder) for folder in evidence} == before
    others = [
        path
        for path in files(promoted.root)
        if not any((promoted.root / path).is_relative_to(folder) for folder in evidence)
    ]
    # Without its head in Vault the ledger could not be told from an exchanged one.
    anchor = ("etc/golden-goose/vault/", "var/lib/golden-goose/vault/")
    assert [path for path in others if not path.startswith(anchor)] == ["var/lib/golden-goose/status.md"]
    assert {"etc/golden-goose/vault/seal.key", "etc/golden-goose/vault/promoter-approle.json"} <= set(others)


def test_what_is_left_still_verifies(promoted: Instance) -> None:
    promoted.play("verify")


def test_a_new_node_goes_on_with_the_evidence_that_was_left(promoted: Instance) -> None:
    before = promoted.entries()
    promoted.play("site")
    promoted.play("deploy", service="service-a")
    promoted.play("promote", service="service-a")
    after = promoted.entries()
    assert after[: len(before)] == before
    assert "completed" in [entry["data"]["event"] for entry in after[len(before) :]]
    promoted.play("verify")


def test_teardown_with_purge_leaves_nothing(promoted: Instance) -> None:
    promoted.forget_images()
    promoted.play("teardown", purge=True, keep_cache=True)
    assert leftovers(promoted.name, promoted.root) == []
    assert files(promoted.root) == []
    assert (CACHE / "binaries").is_dir(), "what takes minutes to build was to be kept"


def test_teardown_where_nothing_is_left_changes_nothing(promoted: Instance) -> None:
    assert promoted.play("teardown", purge=True, keep_cache=True).record.changed == 0
