# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""From the options of the promotion modules to the engine; documented in doc_fragments/promotion.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..arguments import audit_metadata, open_ledger
from ..cluster import KubernetesCluster
from ..errors import GoldenGooseError
from .engine import Promoter
from .evidence import Evidence
from .ports import Signer
from .runs import Runs, play_owner

PROMOTION_OPTIONS: dict[str, dict[str, Any]] = {
    "service": {"type": "str", "required": True},
    "kubeconfig": {"type": "path", "required": True},
    "run_dir": {"type": "path", "default": "/run/golden-goose/promotion"},
    "backup": {"type": "path"},
}
SERVICES_OPTION: dict[str, dict[str, Any]] = {"services_dir": {"type": "path", "required": True}}


def promoter(params: Mapping[str, Any], *, dry_run: bool) -> Promoter:
    """Return the engine that a module's options describe; it connects to nothing yet.

    :raises LedgerError: there is no such ledger, or the metadata is incomplete.
    """
    backup = params.get("backup")
    evidence = Evidence(
        open_ledger(params), audit_metadata(params), Path(backup) if backup else None, read_only=dry_run
    )
    return Promoter(
        evidence=evidence,
        cluster=KubernetesCluster(params["kubeconfig"]),
        runs=Runs(Path(params["run_dir"]), play_owner()),
        # A rollback does without the source.
        services_dir=Path(params.get("services_dir") or "."),
        signer=lambda: _signer(params.get("vault_approle")),
        anchor=(lambda: _anchor(evidence, params["vault_approle"])) if params.get("vault_approle") else None,
        rollout_timeout=float(params.get("rollout_timeout") or 120),
        dry_run=dry_run,
    )


def _anchor(evidence: Evidence, approle: str) -> None:
    # As with the signer: only a promotion needs Vault and its library.
    from ..evidence.anchoring import vault_heads
    from ..ledger import anchor

    anchor(evidence.ledger, vault_heads(approle), evidence.metadata)


def _signer(approle: str | None) -> Signer:
    if not approle:
        raise GoldenGooseError(
            "Nothing is promoted without a signature: set vault_approle to the file with the promoter's "
            "Vault credentials, which playbooks/vault.yml writes."
        )
    # Only a promotion needs Vault; gates and rollbacks work without its library.
    from ..vault import PromoterVault

    return PromoterVault.from_approle_file(approle)
