# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode and refusals where nothing has been installed yet."""

from __future__ import annotations

import pytest

from .instance import FOLDER, NAME, Instance
from .leftovers import files, processes


@pytest.fixture(scope="module")
def bare(instance: Instance) -> Instance:
    """Another instance, of which there is nothing at all; these tests come first, so no server runs either."""
    found = Instance(folder=FOLDER / "bare", name=f"{NAME}-bare")
    found.copy_service("service-a")
    return found


@pytest.mark.parametrize("playbook", ["site", "deploy"])
def test_check_mode_on_a_bare_host_succeeds_and_changes_nothing(bare: Instance, playbook: str) -> None:
    bare.play(playbook, check=True, service="service-a")
    assert files(bare.root) == []
    assert list(processes(bare.name, bare.root)) == []


@pytest.mark.parametrize("playbook", ["sandbox", "vault", "monitoring"])
def test_what_the_inventory_asks_for_is_checked_before_anything_is_installed(bare: Instance, playbook: str) -> None:
    message = bare.refused(playbook, infrastructure={**_INFRASTRUCTURE, "kubernetes": {"nodes": 3, "mode": "sandbox"}})
    assert "kubernetes.nodes is 3, it has to be 1 in sandbox mode" in message
    assert files(bare.root) == []


def test_nothing_can_be_promoted_without_a_ledger(bare: Instance) -> None:
    message = bare.refused("promote", service="service-a")
    assert str(bare.ledger) in message
    assert files(bare.root) == []


_INFRASTRUCTURE = {
    "kubernetes": {"nodes": 1, "mode": "sandbox"},
    "vault": {"instance": "lightweight", "mode": "dev"},
    "monitoring": {"prometheus": "basic", "grafana": "essential-dashboards"},
    "storage": {"audit": "local-with-backup", "evidence": "hash-chain-only"},
}
